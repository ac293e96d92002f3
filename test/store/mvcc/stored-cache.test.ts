/** Records that were read lately. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Stored } from '../../../src/store/mvcc/key-values.ts';
import { StoredCache } from '../../../src/store/mvcc/stored-cache.ts';

const stored = (modRevision: number, size = 100): Stored => ({
  key: 'k',
  createRevision: 1,
  modRevision,
  version: 1,
  lease: 0n,
  bytes: new Uint8Array(size),
});

test('a record is given for its revision alone', () => {
  const cache = new StoredCache(10_000);
  const record = stored(7);
  cache.set(3, 1, record);
  assert.equal(cache.get(3, 7, 1), record);
  assert.equal(cache.get(3, 7, 0), undefined);
  assert.equal(cache.get(3, 8, 1), undefined);
  assert.equal(cache.get(4, 7, 1), undefined);
  const later = stored(9);
  cache.set(3, 0, later);
  assert.equal(cache.get(3, 9, 0), later);
});

test('what is asked for again stays, what is not goes, and memory is bounded', () => {
  const cache = new StoredCache(356 * 20);
  cache.set(0, 0, stored(1));
  for (let id = 1; id < 1000; id++) {
    cache.set(id, 0, stored(1));
    assert.ok(cache.get(0, 1, 0), `asked for at ${id}`);
  }
  const kept = Array.from({ length: 1000 }, (_, id) => id).filter((id) => cache.get(id, 1, 0));
  assert.ok(kept.length <= 21, `${kept.length} are kept`);
  assert.equal(cache.get(500, 1, 0), undefined);
});

test('a record larger than all room is not kept', () => {
  const cache = new StoredCache(1000);
  cache.set(1, 0, stored(1, 2000));
  assert.equal(cache.get(1, 1, 0), undefined);
});
