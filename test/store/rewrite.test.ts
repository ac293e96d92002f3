import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { crc32c } from '../../src/bytes/crc32c.ts';
import { Pacer } from '../../src/bytes/pacer.ts';
import { MemorySource } from '../../src/bytes/source.ts';
import { CorruptError, UnsupportedError } from '../../src/errors.ts';
import type { BoltFile } from '../../src/format/bolt/file.ts';
import type { Page } from '../../src/format/bolt/page.ts';
import {
  type BucketEdit,
  type Edits,
  proveEqual,
  readBack,
  type RewriteOptions,
  rewriteDatabase,
  type RewriteResult,
} from '../../src/store/rewrite.ts';
import { boltFile, latin1, readBolt } from '../support/bolt-spec.ts';
import { readFixture, unpacked, VERSIONS } from '../support/fixtures.ts';
import { buildDatabase, openBytes, text } from './database-builder.ts';

const pacer = new Pacer();

interface Rewritten {
  bytes: Uint8Array;
  result: RewriteResult;
}

async function rewrite(bolt: BoltFile, options: Partial<RewriteOptions> = {}): Promise<Rewritten> {
  const parts: Array<{ at: number; bytes: Uint8Array }> = [];
  const output = { write: (bytes: Uint8Array, at: number) => void parts.push({ at, bytes: bytes.slice() }) };
  const result = await rewriteDatabase(bolt, output, { pacer, ...options });
  const bytes = new Uint8Array(result.sizeBytes);
  for (const { at, bytes: part } of parts) bytes.set(part, at);
  return { bytes, result };
}

/** All pairs by bucket; fails when the file is not sound. */
function contentOf(bytes: Uint8Array): Map<string, Map<string, string>> {
  const { buckets, findings } = readBolt(new MemorySource(bytes));
  assert.deepEqual(findings, []);
  return new Map([...buckets].map(([name, { pairs }]) => [name, pairs]));
}

const sources: Array<[name: string, read: () => Buffer]> = [
  ...VERSIONS.map((version): [string, () => Buffer] => [
    `snap-${version}.db`,
    () => readFixture(`snap/snap-${version}.db`).subarray(0, -32),
  ]),
  ['k8s-small-3.6.db', () => readGz('kubernetes/k8s-small-3.6.db.gz')],
  ['ps1024.db', () => readGz('bbolt/ps1024.db.gz')],
];

function readGz(path: string): Buffer {
  const name = path.split('/').at(-1)!.slice(0, -3);
  const file = readFileSync(unpacked(path, name));
  return file.length % 512 === 32 ? file.subarray(0, -32) : file;
}

describe('a copy', () => {
  for (const [name, read] of sources) {
    test(`of ${name} holds the same and is no larger`, async () => {
      const original = read();
      const bolt = openBytes(original);
      const { bytes, result } = await rewrite(bolt);
      assert.deepEqual(contentOf(bytes), contentOf(original));
      assert.equal(result.pageSize, bolt.live.pageSize);
      assert.ok(bytes.length <= bolt.sizeBytes, `${bytes.length} of ${bolt.sizeBytes}`);
      const { hash, recordCount } = await readBack(new MemorySource(original), pacer);
      assert.deepEqual({ hash: result.hash, recordCount: result.recordCount }, { hash, recordCount });
      await proveEqual(new MemorySource(bytes), result, pacer);
    });
  }

  test('of a copy is the same file', async () => {
    const { bytes } = await rewrite(openBytes(readFixture('snap/snap-3.6.db')));
    assert.deepEqual((await rewrite(openBytes(bytes))).bytes, bytes);
  });

  test('hashes names, keys and values in order', async () => {
    const { result } = await rewrite(
      openBytes(
        buildDatabase({
          buckets: {
            meta: [
              [text('b'), text('2')],
              [text('a'), text('1')],
            ],
          },
        }),
      ),
    );
    const names = ['alarm', 'auth', 'authRoles', 'authUsers'];
    let hash = names.reduce((sum, name) => crc32c(text(name), sum), 0);
    hash = crc32c(text('clusterclusterVersion3.6.0keyleasemembers'), hash);
    const { hash: all } = result;
    const member = contentOf(buildDatabase()).get('members')!;
    for (const [key, value] of member) hash = crc32c(text(key + value), hash);
    assert.equal(all, crc32c(text('members_removedmetaa1b2'), hash));
  });

  test('keeps the sequence of a bucket, and takes the transaction id it is given', async () => {
    const file = boltFile({
      root: 3,
      pages: { 3: { leaf: [{ bucket: 'x', sequence: 77n, inline: [['k', 'v']] }] } },
    });
    const { bytes } = await rewrite(openBytes(file), { txid: 500n });
    const bolt = openBytes(bytes);
    assert.equal(bolt.bucket('x')!.sequence, 77n);
    assert.equal(bolt.live.txid, 500n);
    assert.equal(openBytes((await rewrite(openBytes(file))).bytes).live.txid, openBytes(file).live.txid);
  });
});

describe('an edit', () => {
  const many = Array.from({ length: 200 }, (_, i): [Uint8Array, Uint8Array] => [
    text(`k${1000 + i}`),
    text(`v${i}`),
  ]);
  const database = buildDatabase({
    buckets: {
      auth: many,
      meta: [
        [text('b'), text('2')],
        [text('d'), text('4')],
      ],
    },
    pageSize: 1024,
  });

  async function edited(bucket: string, edit: BucketEdit): Promise<Map<string, Map<string, string>>> {
    const { bytes, result } = await rewrite(openBytes(database), { edits: new Map([[bucket, edit]]) });
    await proveEqual(new MemorySource(bytes), result, pacer);
    return contentOf(bytes);
  }
  const rows = (over: Record<string, string | undefined>): NonNullable<BucketEdit['rows']> =>
    new Map(Object.entries(over).map(([key, value]) => [key, value === undefined ? undefined : text(value)]));

  const cases: Array<[what: string, edit: BucketEdit, expected: Array<[string, string]>]> = [
    [
      'nothing',
      {},
      [
        ['b', '2'],
        ['d', '4'],
      ],
    ],
    [
      'set before the first',
      { rows: rows({ a: '1' }) },
      [
        ['a', '1'],
        ['b', '2'],
        ['d', '4'],
      ],
    ],
    [
      'set between',
      { rows: rows({ c: '3' }) },
      [
        ['b', '2'],
        ['c', '3'],
        ['d', '4'],
      ],
    ],
    [
      'set behind the last',
      { rows: rows({ e: '5' }) },
      [
        ['b', '2'],
        ['d', '4'],
        ['e', '5'],
      ],
    ],
    [
      'set several, given in any order',
      { rows: rows({ e: '5', a: '1', c: '3', cc: '33' }) },
      [
        ['a', '1'],
        ['b', '2'],
        ['c', '3'],
        ['cc', '33'],
        ['d', '4'],
        ['e', '5'],
      ],
    ],
    [
      'replace',
      { rows: rows({ b: 'two' }) },
      [
        ['b', 'two'],
        ['d', '4'],
      ],
    ],
    [
      'replace by nothing at all',
      { rows: rows({ d: '' }) },
      [
        ['b', '2'],
        ['d', ''],
      ],
    ],
    ['remove', { rows: rows({ b: undefined }) }, [['d', '4']]],
    [
      'remove what is not there',
      { rows: rows({ a: undefined, c: undefined, e: undefined }) },
      [
        ['b', '2'],
        ['d', '4'],
      ],
    ],
    ['remove all', { rows: rows({ b: undefined, d: undefined }) }, []],
    ['clear', { clear: true }, []],
    [
      'clear and set',
      { clear: true, rows: rows({ d: 'x', a: 'y', c: undefined }) },
      [
        ['a', 'y'],
        ['d', 'x'],
      ],
    ],
  ];
  for (const [what, edit, expected] of cases) {
    test(what, async () => {
      const content = await edited('meta', edit);
      assert.deepEqual([...content.get('meta')!], expected);
      content.delete('meta');
      const before = contentOf(database);
      before.delete('meta');
      assert.deepEqual(content, before, 'other buckets stay as they are');
    });
  }

  test('makes buckets that are not there, in name order', async () => {
    const edits: Edits = new Map([
      ['zoo', { rows: rows({ k: 'v' }) }],
      ['aaa', {}],
      ['lease2', { clear: true, rows: rows({ k: undefined }) }],
    ]);
    const { bytes } = await rewrite(openBytes(database), { edits });
    const content = contentOf(bytes);
    assert.deepEqual([...content.get('zoo')!], [['k', 'v']]);
    assert.equal(content.get('aaa')!.size, 0);
    assert.equal(content.get('lease2')!.size, 0);
    assert.deepEqual([...content.keys()], [...content.keys()].sort());
    assert.equal(content.size, 13);
  });

  test('of any rows does to many pages what it does to a Map', async () => {
    const key = fc.integer({ min: 990, max: 1210 }).map((n) => `k${n}`);
    const value = fc.option(fc.string({ unit: 'binary-ascii', maxLength: 30 }), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(fc.dictionary(key, value, { maxKeys: 40 }), fc.boolean(), async (changes, clear) => {
        const expected = new Map(clear ? [] : many.map(([k, v]) => [latin1(k), latin1(v)]));
        for (const [k, v] of Object.entries(changes)) {
          if (v === undefined) expected.delete(k);
          else expected.set(k, v);
        }
        const content = await edited('auth', { clear, rows: rows(changes) });
        assert.deepEqual(
          [...content.get('auth')!],
          [...expected].sort(([a], [b]) => (a < b ? -1 : 1)),
        );
      }),
      { numRuns: 60 },
    );
  });
});

test('observers see every leaf of their bucket, also when it is cleared', async () => {
  const bolt = openBytes(readFixture('snap/snap-3.6.db'));
  let seen = 0;
  const observer = { leaf: (page: Page) => void (seen += page.count), lost() {} };
  const edits: Edits = new Map([['key', { clear: true }]]);
  const { result } = await rewrite(bolt, { observers: new Map([['key', observer]]), edits });
  const { result: whole } = await rewrite(openBytes(readFixture('snap/snap-3.6.db')));
  assert.ok(seen > 0);
  assert.equal(whole.recordCount - result.recordCount, seen);
});

test('a bucket in a bucket is nothing etcd makes', async () => {
  const file = boltFile({
    root: 3,
    pages: {
      3: { leaf: [{ bucket: 'outer', root: 4 }] },
      4: { leaf: [['a', 'b'], { bucket: 'inner', inline: [['k', 'v']] }] },
    },
  });
  await assert.rejects(rewrite(openBytes(file)), (error: unknown) => {
    assert.ok(error instanceof UnsupportedError);
    assert.deepEqual([error.code, error.where?.unit], ['bolt.bucket', 'page 4']);
    return true;
  });
});

test('damage stops a rewrite', async () => {
  const bytes = new Uint8Array(readFixture('snap/snap-3.6.db'));
  const bolt = openBytes(bytes);
  const leaf = bolt.leaves(bolt.bucket('key')!).next()!;
  const at = leaf.fileOffset(leaf.keyStart(3)) + 7;
  bytes[at]! ^= 0x40;
  await assert.rejects(rewrite(openBytes(bytes)), CorruptError);
});

describe('reading back', () => {
  test('finds any byte of content that changed', async () => {
    const { bytes, result } = await rewrite(
      openBytes(buildDatabase({ buckets: { meta: [[text('key-of-a-row'), text('value-of-a-row')]] } })),
    );
    await proveEqual(new MemorySource(bytes), result, pacer);
    const at = Buffer.from(bytes).indexOf('key-of-a-row');
    for (const offset of [at, at + 11, at + 12, at + 25]) {
      const changed = bytes.with(offset, bytes[offset]! ^ 1);
      await assert.rejects(proveEqual(new MemorySource(changed, 'copy'), result, pacer), (error: unknown) => {
        assert.ok(error instanceof CorruptError);
        assert.deepEqual([error.code, error.where?.file], ['defrag.failed', 'copy']);
        return true;
      });
    }
  });

  test('finds a page that was not written', async () => {
    const { bytes, result } = await rewrite(openBytes(readFixture('snap/snap-3.6.db')));
    const changed = bytes.slice();
    changed.fill(0, 2 * result.pageSize, 3 * result.pageSize);
    await assert.rejects(proveEqual(new MemorySource(changed), result, pacer), CorruptError);
    await assert.rejects(proveEqual(new MemorySource(bytes.subarray(0, -1)), result, pacer), CorruptError);
  });

  test('finds a record more or less, whatever the hash', async () => {
    const { bytes, result } = await rewrite(openBytes(buildDatabase()));
    await assert.rejects(
      proveEqual(new MemorySource(bytes), { ...result, recordCount: result.recordCount + 1 }, pacer),
      { code: 'defrag.failed' },
    );
    await assert.rejects(proveEqual(new MemorySource(bytes), { ...result, hash: result.hash ^ 1 }, pacer), {
      code: 'defrag.failed',
    });
  });
});

test('stops when it is asked to', async () => {
  const controller = new AbortController();
  controller.abort();
  const hurried = new Pacer({ signal: controller.signal });
  hurried.isDue = () => true;
  await assert.rejects(rewrite(openBytes(buildDatabase()), { pacer: hurried }), { code: 'interrupted' });
});
