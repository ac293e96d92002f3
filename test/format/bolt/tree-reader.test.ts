import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource, type Source } from '../../../src/bytes/source.ts';
import { BoltFile } from '../../../src/format/bolt/file.ts';
import { TreeReader } from '../../../src/format/bolt/tree-reader.ts';
import { boltFile, latin1 } from '../../support/bolt-spec.ts';
import { buildDatabase, text } from '../../store/database-builder.ts';

const name = (i: number): string => `key/${String(i).padStart(6, '0')}`;

interface Reading {
  file: BoltFile;
  reader: TreeReader;
  reads: number[];
}

function readerOf(bytes: Uint8Array, cacheBytes?: number): Reading {
  const memory = new MemorySource(bytes, 'test.db');
  const reads: number[] = [];
  const source: Source = {
    name: 'test.db',
    size: bytes.length,
    readInto(offset, into) {
      reads.push(into.length);
      memory.readInto(offset, into);
    },
    close() {},
  };
  const file = new BoltFile(source, { isReread: true });
  file.buckets();
  reads.length = 0;
  return { file, reader: new TreeReader(file.pages, file.checker, cacheBytes), reads };
}

const many = (): Uint8Array =>
  buildDatabase({
    buckets: {
      lease: Array.from({ length: 20_000 }, (_, i) => [text(name(2 * i)), text(`v${i}`)] as const),
    },
  });

test('rows that were looked up are found again without reading', () => {
  const { file, reader, reads } = readerOf(many());
  const lease = file.bucket('lease')!;
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 20_000; i += 500) {
      assert.equal(latin1(reader.get(lease, text(name(2 * i)))!), `v${i}`);
      assert.equal(reader.get(lease, text(name(2 * i + 1))), undefined);
    }
    if (round === 0) reads.length = 0;
  }
  assert.deepEqual(reads, []);
});

test('a long scan reads ahead, and leaves what is kept alone', () => {
  const { file, reader, reads } = readerOf(many());
  const lease = file.bucket('lease')!;
  let count = 0;
  for (const { key, value } of reader.rows(lease)) {
    assert.equal(latin1(key), name(2 * count));
    assert.equal(latin1(value), `v${count++}`);
  }
  assert.equal(count, 20_000);
  assert.ok(reads.length < 40 && reads.some((size) => size > 65536), reads.join(' '));
  assert.ok(reader.cache.sizeBytes < 80_000, `${reader.cache.sizeBytes}`);
});

test('scans within scans, and look-ups within them, do not disturb each other', () => {
  const { file, reader } = readerOf(many(), 30_000);
  const lease = file.bucket('lease')!;
  let outer = 0;
  for (const { key } of reader.rows(lease)) {
    if (outer % 1000 === 0) {
      let inner = outer + 700;
      for (const row of reader.rows(lease, text(name(2 * inner)), text(name(2 * inner + 2500))))
        assert.equal(latin1(row.value), `v${inner++}`);
      assert.equal(inner, Math.min(20_000, outer + 700 + 1250));
      assert.equal(latin1(reader.get(lease, text(name(300)))!), 'v150');
    }
    assert.equal(latin1(key), name(2 * outer++));
  }
  assert.equal(outer, 20_000);
});

test('a tree that leads in a circle is an error, not a hang', () => {
  const bytes = boltFile({
    root: 2,
    pages: {
      2: { leaf: [{ bucket: 'b', root: 3 }] },
      3: { branch: [['a', 4]] },
      4: { branch: [['a', 3]] },
    },
  });
  const { file, reader } = readerOf(bytes);
  const bucket = file.bucket('b')!;
  assert.throws(() => reader.get(bucket, text('a')), { code: 'bolt.page.depth' });
  assert.throws(() => [...reader.rows(bucket)], { code: 'bolt.page.depth' });
});
