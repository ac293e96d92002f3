import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLAIM, PageClaims } from '../../../src/format/bolt/claims.ts';
import { FreePages } from '../../../src/format/bolt/free-pages.ts';
import { Random, seedOfRun } from '../../support/mutate.ts';

function freePages(used: number[], pageLimit: number): FreePages {
  const claims = new PageClaims(pageLimit);
  for (const id of used) claims.claim(id, 0, CLAIM.leaf);
  return FreePages.unclaimed(claims, pageLimit);
}

test('the lowest run that is long enough, then the high-water mark', () => {
  const free = freePages([4, 7], 10);
  // 2 3 . 5 6 . 8 9
  assert.equal(free.take(1), 2);
  assert.equal(free.take(2), 5);
  assert.equal(free.take(2), 8);
  assert.equal(free.take(2), 10);
  assert.equal(free.take(1), 3);
  assert.equal(free.take(3), 12);
  assert.equal(free.take(1), 15);
  assert.equal(free.pageLimit, 16);
});

test('pages that were given are taken again, also new ones, in one run with their neighbours', () => {
  const free = freePages([2, 3, 4], 5);
  assert.equal(free.take(2), 5);
  free.give({ id: 6, count: 1 });
  free.give({ id: 4, count: 1 });
  free.give({ id: 5, count: 1 });
  assert.equal(free.take(3), 4);
  assert.equal(free.pageLimit, 7);
});

test('what a stored freelist claims is free; the metas never are', () => {
  const claims = new PageClaims(6);
  claims.claim(2, 0, CLAIM.leaf);
  claims.claim(3, 1, CLAIM.freelist);
  claims.claim(5, 0, CLAIM.free);
  const free = FreePages.unclaimed(claims, 6);
  assert.deepEqual([free.take(1), free.take(1)], [5, 6]);
});

test('pages below the mark that the file does not have are left alone', () => {
  const free = FreePages.unclaimed(new PageClaims(4), 100);
  assert.deepEqual([free.take(1), free.take(1), free.take(1)], [2, 3, 100]);
});

test('no page is given out twice', (t) => {
  const seed = seedOfRun();
  t.diagnostic(`seed ${seed}`);
  const random = new Random(seed);
  const free = freePages([], 50);
  const runs: Array<{ id: number; count: number }> = [];
  const used = new Set([0, 1]);
  for (let i = 0; i < 5000; i++) {
    if (runs.length > 0 && random.chance(0.5)) {
      const { id, count } = runs.splice(random.below(runs.length), 1)[0]!;
      free.give({ id, count });
      for (let at = id; at < id + count; at++) used.delete(at);
      continue;
    }
    const count = random.chance(0.7) ? 1 : 1 + random.below(6);
    const id = free.take(count);
    for (let at = id; at < id + count; at++) {
      assert.ok(!used.has(at) && at < free.pageLimit, `seed ${seed}`);
      used.add(at);
    }
    runs.push({ id, count });
  }
});

test('pages are counted, and told apart by whether the live state needs them', () => {
  const free = freePages([2, 3, 4], 8);
  assert.equal(free.neededCount, 5);
  assert.deepEqual([...free.unneeded(8)], [0, 0, 0, 0, 0, 1, 1, 1]);
  const run = { id: free.take(2), count: 2 };
  const beyond = { id: free.take(3), count: 3 };
  assert.deepEqual([run.id, beyond.id], [5, 8]);
  // The live state does not need them yet, whatever is taken.
  assert.ok(
    free
      .unneeded(8)
      .subarray(5)
      .every((state) => state !== 0),
  );
  free.keep(run);
  free.keep(beyond);
  free.hold({ id: 2, count: 2 });
  assert.equal(free.neededCount, 8);
  assert.deepEqual(
    Array.from(free.unneeded(11), (state) => Number(state !== 0)),
    [0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0],
  );
});

test('pages that are held are not taken before they are given', () => {
  const free = freePages([2, 3, 4], 5);
  free.hold({ id: 3, count: 1 });
  assert.equal(free.take(1), 5);
  free.give({ id: 3, count: 1 });
  assert.equal(free.take(1), 3);
  assert.equal(free.neededCount, 5);
});
