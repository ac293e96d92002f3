import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LeaseIdSet } from '../../../src/store/schema/lease-ids.ts';

test('an empty set has nothing', () => {
  const ids = new LeaseIdSet();
  assert.equal(ids.has(0, 0), false);
  assert.equal(ids.count, 0);
});

test('has what was added, whichever word tells them apart, past several growths', () => {
  const ids = new LeaseIdSet();
  const known: Array<[low: number, high: number]> = [];
  // High words above 2^31 are those of negative ids; they sort last, as their bytes do.
  for (const high of [0, 1, 0x694d71ad, 0x7fffffff, 0x80000000, 0xffffffff]) {
    for (let i = 0; i < 1000; i++) known.push([i * 4_000_000 + 1, high]);
  }
  for (const [low, high] of known) ids.add(low, high);

  assert.equal(ids.count, 6000);
  for (const [low, high] of known) {
    assert.ok(ids.has(low, high), `${high}/${low}`);
    assert.equal(ids.has(low + 1, high), false);
    assert.equal(ids.has(low - 1, high), false);
  }
  assert.equal(ids.has(1, 2), false);
  assert.equal(ids.has(0xffffffff, 0xffffffff), false);
});
