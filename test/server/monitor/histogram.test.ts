import assert from 'node:assert/strict';
import { test } from 'node:test';
import { doublingBounds, Histogram } from '../../../src/server/monitor/histogram.ts';

test('a value belongs to the first bucket whose bound it does not exceed', () => {
  const histogram = new Histogram([1, 2, 4]);
  for (const value of [0, 1, 1.5, 4, 5, 100]) histogram.observe(value);
  assert.deepEqual([...histogram.counts], [2, 1, 1, 2]);
  assert.equal(histogram.sum, 111.5);
  assert.equal(histogram.count, 6);
});

test('bounds double', () => {
  assert.deepEqual(doublingBounds(0.001, 4), [0.001, 0.002, 0.004, 0.008]);
  assert.equal(doublingBounds(0.001, 14).at(-1), 8.192);
});
