import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLAIM, PageClaims } from '../../../src/format/bolt/claims.ts';

test('each page is claimed once; the first one that was taken is named', () => {
  const claims = new PageClaims(10);
  assert.deepEqual([claims.of(0), claims.of(1), claims.of(2)], [CLAIM.meta, CLAIM.meta, CLAIM.none]);
  assert.equal(claims.claim(4, 2, CLAIM.leaf), undefined);
  assert.deepEqual(
    [4, 5, 6, 7].map((id) => claims.of(id)),
    [CLAIM.leaf, CLAIM.overflow, CLAIM.overflow, CLAIM.none],
  );
  assert.equal(claims.claim(3, 2, CLAIM.branch), 4);
  // What was taken stays as it was, the rest is claimed.
  assert.deepEqual(
    [3, 4, 5].map((id) => claims.of(id)),
    [CLAIM.branch, CLAIM.leaf, CLAIM.overflow],
  );
  assert.equal(claims.claim(1, 0, CLAIM.leaf), 1);
  assert.equal(claims.claim(9, 1_000_000_000, CLAIM.leaf), undefined);
});

test('counts and lists', () => {
  const claims = new PageClaims(8);
  claims.claim(5, 1, CLAIM.leaf);
  claims.claim(3, 0, CLAIM.leaf);
  assert.equal(claims.count(CLAIM.leaf), 2);
  assert.deepEqual([...claims.pages(CLAIM.leaf)], [3, 5]);
  assert.deepEqual([...claims.pages(CLAIM.none)], [2, 4, 7]);
});
