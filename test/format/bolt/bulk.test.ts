import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MemorySource, openFile } from '../../../src/bytes/source.ts';
import { type BulkResult, BulkWriter } from '../../../src/format/bolt/bulk.ts';
import { CLAIM } from '../../../src/format/bolt/claims.ts';
import { BoltFile } from '../../../src/format/bolt/file.ts';
import { type BoltReading, latin1, readBolt } from '../../support/bolt-spec.ts';
import { fixture, unpacked, VERSIONS } from '../../support/fixtures.ts';
import { Random, seedOfRun } from '../../support/mutate.ts';

const PAGE_SIZES = [1024, 2048, 4096, 8192, 16384, 32768, 65536];
const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

type Content = Array<{ name: string; sequence?: bigint; pairs: Array<[key: string, value: string]> }>;

/** Keeps what is written, and asserts that it comes front to back, with the metas last. */
class MemoryOutput {
  #bytes = new Uint8Array(1 << 16);
  #end: number;
  #isDone = false;

  constructor(pageSize: number) {
    this.#end = 2 * pageSize;
  }

  write(content: Uint8Array, position: number): void {
    assert.equal(this.#isDone, false);
    if (position === 0) this.#isDone = true;
    else {
      assert.equal(position, this.#end);
      this.#end += content.length;
    }
    const size = Math.max(this.#end, this.#bytes.length);
    if (size > this.#bytes.length) {
      const grown = new Uint8Array(2 * size);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(content, position);
  }

  finish(): Uint8Array {
    assert.equal(this.#isDone, true);
    return this.#bytes.subarray(0, this.#end);
  }
}

function build(content: Content, pageSize: number): { file: Uint8Array; result: BulkResult } {
  const output = new MemoryOutput(pageSize);
  const writer = new BulkWriter(output, { pageSize });
  for (const { name, sequence, pairs } of content) {
    writer.beginBucket(bytes(name), sequence);
    for (const [key, value] of pairs) writer.addPair(bytes(key), bytes(value));
    writer.endBucket();
  }
  const result = writer.finish({ txid: 12n });
  return { file: output.finish(), result };
}

/** Builds the file and asserts that it reads back pair by pair, without a finding, and leaves no page unused. */
function assertRoundTrip(content: Content, pageSize: number): BoltReading {
  const { file, result } = build(content, pageSize);
  const read = readBolt(new MemorySource(file));
  assert.deepEqual(read.findings, []);
  const found = [...read.buckets].map(([name, { sequence, pairs }]) => ({
    name,
    sequence,
    pairs: [...pairs],
  }));
  assert.deepEqual(
    found,
    content.map((bucket) => ({ sequence: 0n, ...bucket })),
  );
  assert.equal(result.sizeBytes, file.length);
  assert.equal(result.pageLimit, read.file.live.pageLimit);
  assert.equal(read.file.claims.count(CLAIM.none), 0);
  const [first, second] = read.file.metas.slots;
  assert.deepEqual({ ...first.meta, page: 1, txid: 11n }, second.meta);
  return read;
}

for (const name of [
  'init.db',
  'bigfl-0xffff.db.gz',
  'smallfl.db.gz',
  ...[1024, 2048, 8192, 16384, 65536].map((pageSize) => `ps${pageSize}.db.gz`),
]) {
  test(`${name}, rewritten`, () => {
    const plain = name.replace('.gz', '');
    rewrite(plain === name ? fixture(`bbolt/${name}`) : unpacked(`bbolt/${name}`, plain));
  });
}
for (const version of VERSIONS)
  test(`snap-${version}.db, rewritten`, () => rewrite(fixture(`snap/snap-${version}.db`)));

/** Rewrites the plain buckets of a file. */
function rewrite(path: string): void {
  const source = openFile(path);
  const { buckets, file } = readBolt(source);
  source.close();
  const content = [...buckets].map(([name, { sequence, pairs }]) => ({ name, sequence, pairs: [...pairs] }));
  const copy = assertRoundTrip(content, file.live.pageSize);
  assert.ok(copy.file.live.pageLimit <= file.live.pageLimit);
}

test('the sequence of a bucket is kept, and so are plain buckets beside nested ones', () => {
  const source = openFile(fixture('bbolt/nested.db'));
  const { buckets } = readBolt(source);
  source.close();
  const content = [...buckets]
    .filter(([, bucket]) => bucket.buckets.size === 0)
    .map(([name, { pairs }]) => ({ name, sequence: 5n, pairs: [...pairs] }));
  assertRoundTrip(content, 4096);
});

for (const pageSize of PAGE_SIZES) {
  test(`page size ${pageSize}: a bucket is inline up to a quarter of a page`, () => {
    const sized = (size: number): Content => [{ name: 'b', pairs: [['k', 'x'.repeat(size - 16 - 16 - 1)]] }];
    assert.ok(assertRoundTrip(sized(pageSize / 4), pageSize).file.bucket('b')!.inline);
    assert.equal(assertRoundTrip(sized(pageSize / 4 + 1), pageSize).file.bucket('b')!.inline, undefined);
    assert.ok(assertRoundTrip([{ name: 'b', pairs: [] }], pageSize).file.bucket('b')!.inline);
  });

  test(`page size ${pageSize}: pages filled to the last byte`, () => {
    for (const spare of [-1, 0, 1]) {
      for (const pages of [1, 2, 3]) {
        const size = pages * pageSize - 16 - 16 - 1 + spare;
        assertRoundTrip(
          [
            {
              name: 'b',
              pairs: [
                ['k', 'x'.repeat(size)],
                ['l', 'after'],
                ['m', 'x'.repeat(size)],
              ],
            },
          ],
          pageSize,
        );
      }
    }
  });
}

test('branches grow over several levels', () => {
  const pairs = Array.from({ length: 20_000 }, (_, i): [string, string] => [
    `key-${String(i).padStart(8, '0')}`,
    `${i}`,
  ]);
  const { file } = assertRoundTrip([{ name: 'b', pairs }], 1024);
  assert.ok(file.claims.count(CLAIM.branch) > 15);
  const bucket = new BoltFile(file.source).bucket('b')!;
  for (let i = 0; i < pairs.length; i += 97)
    assert.equal(latin1(file.get(bucket, bytes(pairs[i]![0]))!), `${i}`);
});

test('keys of which no two fit a page still make a tree that narrows', () => {
  const pairs = Array.from({ length: 100 }, (_, i): [string, string] => [
    String(i).padStart(3, '0').repeat(10_000),
    'v',
  ]);
  assertRoundTrip([{ name: 'b', pairs }], 1024);
});

test('no bucket at all, and many', () => {
  assertRoundTrip([], 4096);
  const many = Array.from({ length: 500 }, (_, i) => ({
    name: `bucket-${String(i).padStart(4, '0')}`,
    pairs: [[`k${i}`, 'v']] as Array<[string, string]>,
  }));
  assertRoundTrip(many, 1024);
});

test('any pairs', () => {
  const text = (sizes: { minLength: number; maxLength: number }): fc.Arbitrary<string> =>
    fc.uint8Array({ ...sizes, size: 'max' }).map(latin1);
  const pair = fc.tuple(text({ minLength: 1, maxLength: 60 }), text({ minLength: 0, maxLength: 400 }));
  const bucket = fc.record({
    name: text({ minLength: 1, maxLength: 20 }),
    sequence: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    pairs: fc.uniqueArray(pair, { selector: ([key]) => key, maxLength: 60 }).map(sorted),
  });
  const content = fc
    .uniqueArray(bucket, { selector: ({ name }) => name, maxLength: 6 })
    .map((buckets) => buckets.sort((a, b) => (a.name < b.name ? -1 : 1)));
  fc.assert(
    fc.property(
      content,
      fc.constantFrom(...PAGE_SIZES),
      (buckets, pageSize) => void assertRoundTrip(buckets, pageSize),
    ),
    { numRuns: 150 },
  );
});

function sorted(pairs: Array<[string, string]>): Array<[string, string]> {
  return pairs.sort(([a], [b]) => (a < b ? -1 : 1));
}

test('thousands of keys with values of every size up to 70 KB', (t) => {
  const seed = seedOfRun();
  t.diagnostic(`seed ${seed}`);
  const random = new Random(seed);
  const filler = latin1(random.bytes(70_000));
  for (const pageSize of [1024, 4096, 65536]) {
    const pairs = new Map<string, string>();
    for (let i = 0; i < 5000; i++) {
      const key = latin1(random.bytes(1 + random.below(random.chance(0.05) ? 2000 : 20)));
      const size = random.below(random.chance(0.02) ? 70_000 : 300);
      pairs.set(key, filler.slice(0, size));
    }
    assertRoundTrip([{ name: 'b', pairs: sorted([...pairs]) }], pageSize);
  }
});

test('keys that do not ascend are refused, also across pages, and so are empty ones', () => {
  const writer = new BulkWriter({ write() {} }, { pageSize: 1024 });
  writer.beginBucket(bytes('b'));
  for (const key of ['a', 'c']) writer.addPair(bytes(key), new Uint8Array(2000));
  for (const key of ['b', 'c', 'a', '']) {
    // The first one is tried on a page of its own.
    assert.throws(() => writer.addPair(bytes(key), new Uint8Array(2000)), { code: 'unexpected' }, key);
  }
  writer.addPair(bytes('d'), bytes(''));
  writer.endBucket();
  // Another bucket starts over; its name must lie above.
  writer.beginBucket(bytes('a'));
  writer.addPair(bytes('a'), bytes(''));
  assert.throws(() => writer.endBucket(), { code: 'unexpected' });
});

test('names and pairs are copied', () => {
  const output = new MemoryOutput(1024);
  const writer = new BulkWriter(output, { pageSize: 1024 });
  const buffer = Buffer.from('b');
  writer.beginBucket(buffer);
  buffer.fill('k');
  writer.addPair(buffer, buffer);
  buffer.fill('x');
  writer.endBucket();
  writer.finish({ txid: 2n });
  const { buckets } = readBolt(new MemorySource(output.finish()));
  assert.deepEqual([...buckets.get('b')!.pairs], [['k', 'k']]);
});
