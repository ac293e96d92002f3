import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MemorySource, openFile, type Source } from '../../../src/bytes/source.ts';
import { CLAIM } from '../../../src/format/bolt/claims.ts';
import { BoltFile } from '../../../src/format/bolt/file.ts';
import { boltFile, type BoltReading, latin1, readBolt } from '../../support/bolt-spec.ts';
import { fixture, readFixture, unpacked, VERSIONS } from '../../support/fixtures.ts';
import { unchanged } from '../../support/unchanged.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

/** Files that bbolt made, by the name under which `bbolt-handmade.txt` lists them. */
const HANDMADE = {
  init: fixture('bbolt/init.db'),
  'init-nofl': fixture('bbolt/init-nofl.db'),
  nested: fixture('bbolt/nested.db'),
  smallfl: unpacked('bbolt/smallfl.db.gz', 'smallfl.db'),
  bigfl: unpacked('bbolt/bigfl-0xffff.db.gz', 'bigfl-0xffff.db'),
  ps1024: unpacked('bbolt/ps1024.db.gz', 'ps1024.db'),
  ps2048: unpacked('bbolt/ps2048.db.gz', 'ps2048.db'),
  ps8192: unpacked('bbolt/ps8192.db.gz', 'ps8192.db'),
  ps16384: unpacked('bbolt/ps16384.db.gz', 'ps16384.db'),
  ps65536: unpacked('bbolt/ps65536.db.gz', 'ps65536.db'),
};
const SNAPSHOTS = VERSIONS.map((version) => [`snap-${version}`, fixture(`snap/snap-${version}.db`)] as const);

async function reading<T>(path: string, use: (read: BoltReading) => T): Promise<T> {
  return unchanged(path, () => {
    const source = openFile(path);
    try {
      return use(readBolt(source));
    } finally {
      source.close();
    }
  });
}

/** What `bbolt stats` and `bbolt pages` said. */
function expectedOf(name: string): { branch: number; leaf: number; leafOverflow: number; keys: number } {
  const text = name.startsWith('snap-')
    ? readFixture(`expected/bbolt-stats-${name}.txt`).toString()
    : readFixture('expected/bbolt-handmade.txt')
        .toString()
        .split('== ')
        .find((part) => part.startsWith(`${name}\n`))!;
  const number = (label: string): number => Number(new RegExp(`${label}: (\\d+)`).exec(text)![1]);
  return {
    branch: number('logical branch pages'),
    leaf: number('logical leaf pages'),
    leafOverflow: number('leaf overflow pages'),
    keys: number('keys/value pairs'),
  };
}

for (const [name, path] of [...Object.entries(HANDMADE), ...SNAPSHOTS]) {
  test(`${name}: nothing is found, and the pages are those that bbolt counts`, async () => {
    const expected = expectedOf(name);
    await reading(path, ({ file, findings, buckets }) => {
      assert.deepEqual(findings, []);
      const { claims, live } = file;
      assert.equal(claims.count(CLAIM.branch), expected.branch);
      // The root bucket's own leaf, which the statistics leave out.
      assert.equal(claims.count(CLAIM.leaf), expected.leaf + 1);
      const freelistPages =
        live.freelist === undefined ? 0 : claims.count(CLAIM.overflow) - expected.leafOverflow;
      assert.equal(claims.count(CLAIM.overflow) - freelistPages, expected.leafOverflow);
      assert.equal(freelistPages, name === 'bigfl' ? 619 : 0);
      assert.equal(countPairs(buckets), expected.keys);
    });
  });
}

/** As bbolt counts: a bucket is a pair of the one it lies in. */
function countPairs(buckets: BoltReading['buckets']): number {
  let count = 0;
  for (const bucket of buckets.values())
    count += bucket.pairs.size + bucket.buckets.size + countPairs(bucket.buckets);
  return count;
}

for (const pageSize of [1024, 2048, 8192, 16384, 65536] as const) {
  test(`page size ${pageSize}: every pair is there, by walking and by looking it up`, async () => {
    await reading(HANDMADE[`ps${pageSize}`], ({ file, buckets }) => {
      assert.equal(file.live.pageSize, pageSize);
      const value = '\0'.repeat(50);
      const expected = Array.from({ length: 300 }, (_, i) => [`k${String(i).padStart(4, '0')}`, value]);
      assert.deepEqual([...buckets.get('b')!.pairs], expected);
      const bucket = file.bucket('b')!;
      for (const [key] of expected) assert.equal(latin1(file.get(bucket, bytes(key!))!), value);
      for (const absent of ['', 'a', 'k', 'k0000a', 'k01505', 'z']) {
        assert.equal(file.get(bucket, bytes(absent)), undefined);
      }
    });
  });
}

test('nested buckets, sequences, overflow, and the limit of inlining', async () => {
  await reading(HANDMADE.nested, ({ file, buckets }) => {
    assert.deepEqual([...buckets.keys()], ['big', 'emptyb', 'in1024', 'in1025', 'outer']);
    const outer = buckets.get('outer')!;
    assert.equal(outer.sequence, 42n);
    assert.deepEqual(
      [...outer.pairs],
      [
        ['empty', ''],
        ['plain', 'v'],
      ],
    );
    const inner = outer.buckets.get('inner')!;
    assert.equal(inner.sequence, 7n);
    assert.deepEqual([...inner.pairs], [['x', 'y']]);
    assert.deepEqual([...inner.buckets.get('deep')!.pairs], [['d', 'e']]);
    assert.equal(buckets.get('big')!.pairs.get('ov'), '\0'.repeat(10000));
    assert.equal(buckets.get('emptyb')!.pairs.size, 0);
    assert.ok(file.bucket('in1024')!.inline);
    assert.equal(file.bucket('in1025')!.inline, undefined);
    assert.equal(latin1(file.get(file.bucket('in1024')!, bytes('k'))!), '\0'.repeat(1024 - 33));
  });
});

for (const [name, path] of SNAPSHOTS) {
  test(`${name}: every pair, against an independent reader`, async () => {
    const expected = JSON.parse(readFixture(`expected/buckets-${name}.json`).toString()) as {
      meta: { txid: number; hwm: number; root: number };
      buckets: Record<string, Array<[string, string]>>;
    };
    await reading(path, ({ file, buckets }) => {
      const { txid, pageLimit, root } = file.live;
      assert.deepEqual({ txid: Number(txid), hwm: pageLimit, root }, expected.meta);
      assert.equal(file.sizeBytes, readFileSync(path).length - 32);
      const hex = (text: string): string => Buffer.from(text, 'latin1').toString('hex');
      const found = [...buckets].map(([label, { pairs }]) => [
        label,
        [...pairs].map((pair) => pair.map(hex)),
      ]);
      assert.deepEqual(Object.fromEntries(found), expected.buckets);
    });
  });
}

/** Opens the bytes and gives the codes that a full check finds. */
function codesIn(source: Source): string[] {
  return readBolt(source).findings.map(({ code }) => code);
}

test('a plain key in the root, and buckets whose value is no bucket header', () => {
  const root = [['plain', 'v'], { bucket: 'short', root: 0 }, { bucket: 'sound', inline: [] }] as const;
  const content = boltFile({ root: 2, pages: { 2: { leaf: root } } });
  assert.deepEqual(codesIn(new MemorySource(content)), ['bolt.bucket', 'bolt.bucket']);
  assert.throws(() => new BoltFile(new MemorySource(content)).buckets(), { code: 'bolt.bucket' });
});

test('an inline page with a header of its own kind', () => {
  const inline = boltFile({ root: 2, pages: { 2: { leaf: [{ bucket: 'b', inline: [['k', 'v']] }] } } });
  // Behind the page header, the element, the name and the bucket header.
  const at = 2 * 1024 + 16 + 16 + 1 + 16;
  for (const [offset, value] of [
    [0, 9],
    [8, 1],
    [10, 2],
    [12, 1],
  ] as const) {
    const damaged = inline.slice();
    damaged[at + offset] = value;
    assert.equal(codesIn(new MemorySource(damaged)).length, 1, `byte ${offset}`);
  }
});

test('a high-water mark far beyond the file sizes nothing, and pages there are reported', () => {
  const pages = { 2: { leaf: [{ bucket: 'b', root: 4_000_000_000 }] } };
  const content = boltFile({ root: 2, pageLimit: 3, pages, metas: [{}, { pageLimit: 2 ** 40 }] });
  const { findings, file } = readBolt(new MemorySource(content));
  assert.deepEqual(
    findings.map(({ code, where }) => [code, where.unit]),
    [['bolt.page.bounds', 'page 4000000000']],
  );
  assert.ok(file.claims.pageLimit < 10);
});

test('looking a key up in a tree that leads in a circle or to a page of no use is an error', () => {
  const branch = (child: number): Uint8Array =>
    boltFile({
      root: 2,
      pages: { 2: { leaf: [{ bucket: 'b', root: 3 }] }, 3: { branch: [['a', child]] }, 4: { freelist: [] } },
    });
  for (const child of [3, 4]) {
    const file = new BoltFile(new MemorySource(branch(child)));
    assert.throws(() => file.get(file.bucket('b')!, bytes('a')), { code: 'bolt.page.flags' });
  }
});
