import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { realDisk } from '../../../src/bytes/disk.ts';
import { openFile } from '../../../src/bytes/source.ts';
import { CLAIM } from '../../../src/format/bolt/claims.ts';
import { BoltEditor } from '../../../src/format/bolt/tx.ts';
import { boltFile, type BoltReading, latin1, readBolt } from '../../support/bolt-spec.ts';
import { Random, seedOfRun } from '../../support/mutate.ts';
import { scratch } from '../../support/scratch.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** A file with one bucket that was filled by `commits` of puts (a value) and deletes (undefined). */
async function built(
  t: Parameters<typeof scratch>[0],
  commits: Array<Array<[key: string, value: string | undefined]>>,
  fill = 0.5,
): Promise<{ read: BoltReading; limits: number[] }> {
  const path = join(scratch(t), 'db');
  writeFileSync(path, boltFile({ root: 2, pages: { 2: { leaf: [] } } }));
  const limits: number[] = [];
  const editor = await BoltEditor.open(realDisk(), path);
  for (const edits of commits) {
    const tx = editor.begin();
    const bucket = tx.ensureBucket(bytes('b'));
    bucket.fill = fill;
    for (const [key, value] of edits) {
      if (value === undefined) assert.equal(bucket.delete(bytes(key)), true, key);
      else bucket.put(bytes(key), bytes(value));
    }
    limits.push(tx.commit().pageLimit);
  }
  editor.close();
  const source = openFile(path);
  const read = readBolt(source);
  source.close();
  assert.deepEqual(read.findings, []);
  return { read, limits };
}

const key = (i: number): string => `key-${String(i).padStart(5, '0')}`;
const puts = (from: number, to: number, value = 'x'.repeat(60)): Array<[string, string]> =>
  Array.from({ length: to - from }, (_, i) => [key(from + i), value]);
const deletes = (from: number, to: number): Array<[string, undefined]> =>
  Array.from({ length: to - from }, (_, i) => [key(from + i), undefined]);
/** Leaves and branches, without the root bucket's leaf. */
const shape = ({ file: { claims } }: BoltReading): [leaves: number, branches: number] => [
  claims.count(CLAIM.leaf) - 1,
  claims.count(CLAIM.branch),
];

test('a tree grows by splitting, and shrinks back to an inline bucket', async (t) => {
  const grown = await built(t, [puts(0, 3000)]);
  const [leaves, branches] = shape(grown.read);
  assert.ok(leaves > 500 && branches > 20, `${leaves} leaves, ${branches} branches`);
  const shrunk = await built(t, [puts(0, 3000), deletes(2, 3000)]);
  assert.deepEqual(shape(shrunk.read), [0, 0]);
  assert.deepEqual([...shrunk.read.buckets.get('b')!.pairs.keys()], [key(0), key(1)]);
  const emptied = await built(t, [puts(0, 3000), deletes(0, 3000)]);
  assert.equal(emptied.read.buckets.get('b')!.pairs.size, 0);
  assert.ok(emptied.read.file.bucket('b')!.inline);
});

test('a page that deletions left small is merged: with the right one, or the last with the left one', async (t) => {
  // 85 bytes an element, so five to a half-filled page: leaves of 5 and 10, or of 5, 5 and 10.
  assert.deepEqual(shape((await built(t, [puts(0, 15)])).read), [2, 1]);
  assert.deepEqual(shape((await built(t, [puts(0, 20)])).read), [3, 1]);
  const small = await built(t, [puts(0, 20), deletes(0, 4)]);
  assert.deepEqual(shape(small.read), [2, 1]);
  const last = await built(t, [puts(0, 20), deletes(12, 20)]);
  assert.deepEqual(shape(last.read), [2, 1]);
  const middle = await built(t, [puts(0, 20), deletes(6, 10)]);
  assert.deepEqual(shape(middle.read), [2, 1]);
});

test('branches that lost children are merged too, as often as it takes', async (t) => {
  const thin = Array.from({ length: 3000 }, (_, i) => i).filter((i) => i % 100 !== 0);
  const { read } = await built(t, [puts(0, 3000), thin.map((i) => [key(i), undefined])]);
  assert.equal(read.buckets.get('b')!.pairs.size, 30);
  const [leaves, branches] = shape(read);
  assert.ok(leaves <= 12 && branches === 1, `${leaves} leaves, ${branches} branches`);
});

test('keys that come in order, with a high fill, rewrite only the last page', async (t) => {
  const commits = Array.from({ length: 60 }, (_, i) => puts(10 * i, 10 * i + 10));
  const { read } = await built(t, commits, 0.9);
  const [leaves] = shape(read);
  assert.ok(leaves <= 600 / 9, `${leaves} leaves`);
});

test('pages that are freed are used again', async (t) => {
  const rounds = Array.from({ length: 30 }, (_, i) => puts(0, 200, String(i % 10).repeat(80)));
  const { limits } = await built(t, rounds);
  assert.equal(new Set(limits.slice(3)).size, 1, limits.join(' '));
  // Between inline and paged, back and forth.
  const inlining = Array.from({ length: 30 }, (_, i) => puts(0, 1, 'x'.repeat(i % 2 === 0 ? 10 : 500)));
  const turns = await built(t, inlining);
  assert.equal(new Set(turns.limits.slice(3)).size, 1, turns.limits.join(' '));
});

test('the pages of a stored freelist are used again', async (t) => {
  const path = join(scratch(t), 'db');
  writeFileSync(path, boltFile({ root: 2, freelist: 3, pages: { 2: { leaf: [] }, 3: { freelist: [] } } }));
  const editor = await BoltEditor.open(realDisk(), path);
  const roots = ['a', 'b', 'c'].map((name) => {
    const tx = editor.begin();
    tx.ensureBucket(bytes(name));
    return tx.commit().root;
  });
  editor.close();
  assert.deepEqual(roots, [4, 2, 3]);
});

/** Random batches against a map, with a full check after every commit. */
for (const { pageSize, commits, batch, valueMax } of [
  { pageSize: 1024, commits: 60, batch: 120, valueMax: 300 },
  { pageSize: 1024, commits: 20, batch: 40, valueMax: 20_000 },
  { pageSize: 4096, commits: 40, batch: 300, valueMax: 500 },
  { pageSize: 65536, commits: 12, batch: 1000, valueMax: 2000 },
]) {
  test(`random batches, page size ${pageSize}, values up to ${valueMax}`, async (t) => {
    const seed = seedOfRun();
    t.diagnostic(`seed ${seed}`);
    const random = new Random(seed);
    const path = join(scratch(t), 'db');
    writeFileSync(path, boltFile({ pageSize, root: 2, pages: { 2: { leaf: [] } } }));
    const model = new Map<string, Map<string, string>>();
    let editor = await BoltEditor.open(realDisk(), path);
    for (let commit = 0; commit < commits; commit++) {
      const tx = editor.begin();
      // Waves: the tree grows, then nearly vanishes.
      const deleting = commit % 10 >= 6 ? 0.85 : 0.2;
      for (let i = 0; i < batch; i++) {
        const name = random.pick(['a', 'b', 'c']);
        const bucket = tx.ensureBucket(bytes(name));
        const pairs = model.get(name) ?? new Map<string, string>();
        model.set(name, pairs);
        if (random.chance(0.02)) bucket.fill = 0.1 + random.below(10) / 10;
        if (random.chance(deleting) && pairs.size > 0) {
          const key = [...pairs.keys()][random.below(pairs.size)]!;
          assert.equal(bucket.delete(bytes(key)), true);
          pairs.delete(key);
        } else {
          const key = random.chance(0.1)
            ? latin1(random.bytes(1 + random.below(300)))
            : `k${random.below(3 * batch)}`;
          const value = latin1(random.bytes(random.chance(0.2) ? random.below(valueMax) : random.below(40)));
          bucket.put(bytes(key), bytes(value));
          pairs.set(key, value);
          if (random.chance(0.1)) assert.equal(latin1(bucket.get(bytes(key))!), value);
        }
      }
      tx.commit();
      assertModel(path, model, `seed ${seed}, commit ${commit}`);
      if (random.chance(0.1)) {
        editor.close();
        editor = await BoltEditor.open(realDisk(), path);
      }
    }
    editor.close();
  });
}

function assertModel(path: string, model: Map<string, Map<string, string>>, message: string): void {
  const source = openFile(path);
  const { findings, buckets } = readBolt(source);
  source.close();
  assert.deepEqual(findings, [], message);
  assert.equal(buckets.size, model.size, message);
  for (const [name, pairs] of model) assert.deepEqual(buckets.get(name)!.pairs, pairs, message);
}
