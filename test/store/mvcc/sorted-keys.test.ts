import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { SortedKeys } from '../../../src/store/mvcc/sorted-keys.ts';

const nameOf = (number: number): string => String(number).padStart(6, '0');

/** Multiplied by a number that has no divisor in common with `count`: all of them, in disorder. */
function shuffled(count: number): string[] {
  return Array.from({ length: count }, (_, i) => nameOf((i * 7919) % count));
}

function rangeOf(all: readonly string[], from: string, to?: string): string[] {
  return all.filter((key) => key >= from && (to === undefined || key < to));
}

describe('many keys', () => {
  const COUNT = 5000;
  const sorted = Array.from({ length: COUNT }, (_, i) => nameOf(i));

  const orders: Array<[what: string, keys: readonly string[]]> = [
    ['in disorder', shuffled(COUNT)],
    ['ascending', sorted],
    ['descending', sorted.toReversed()],
  ];
  for (const [what, keys] of orders) {
    test(`added ${what} come in order`, () => {
      const found = new SortedKeys();
      for (const key of keys) found.add(key);
      assert.deepEqual([...found.range('')], sorted);
    });

    test(`given at once ${what} come in order`, () => {
      assert.deepEqual([...new SortedKeys(keys).range('')], sorted);
    });

    test(`are gone when they were deleted ${what}`, () => {
      const found = new SortedKeys(sorted);
      const left = new Set(sorted);
      for (const [i, key] of keys.entries()) {
        found.delete(key);
        left.delete(key);
        if (i % 500 === 0) assert.deepEqual([...found.range('')], [...left]);
      }
      assert.deepEqual([...found.range('')], []);
      found.add('again');
      assert.deepEqual([...found.range('')], ['again']);
    });
  }

  test('a range begins and ends at every key, and between two', () => {
    const found = new SortedKeys();
    for (const key of orders[0]![1]) found.add(key);
    for (const [i, key] of sorted.entries()) {
      const next = sorted[i + 2];
      const expected = sorted.slice(i, i + 2);
      assert.deepEqual([...found.range(key, next ?? 'x')], expected, key);
      assert.deepEqual([...found.range(`${key}.`, next ?? 'x')], expected.slice(1), `behind ${key}`);
      assert.deepEqual([...found.range(key, `${key}.`)], [key]);
      assert.deepEqual([...found.range(key, key)], []);
    }
  });
});

test('no keys have no range', () => {
  assert.deepEqual([...new SortedKeys().range('')], []);
  assert.deepEqual([...new SortedKeys().range('a', 'b')], []);
});

test('keys are ordered by their bytes', () => {
  const keys = ['\xff', 'a\0', '\x80', 'a', 'B', 'a\0\0', '~'];
  assert.deepEqual([...new SortedKeys(keys).range('')], ['B', 'a', 'a\0', 'a\0\0', '~', '\x80', '\xff']);
});

test('any changes leave what a plain array holds', () => {
  const number = fc.nat(2999);
  const run = fc.record({
    start: number,
    count: fc.integer({ min: 1, max: 1500 }),
    isDeletion: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(run, { maxLength: 12 }), number, number, (runs, low, high) => {
      const found = new SortedKeys();
      const model = new Set<string>();
      for (const { start, count, isDeletion } of runs) {
        for (let i = start; i < start + count; i++) {
          const key = nameOf((i * 31) % 3000);
          if (isDeletion === !model.has(key)) continue;
          if (isDeletion) {
            found.delete(key);
            model.delete(key);
          } else {
            found.add(key);
            model.add(key);
          }
        }
      }
      const sorted = [...model].sort();
      assert.deepEqual([...found.range('')], sorted);
      const [from, to] = [nameOf(low), nameOf(high)];
      assert.deepEqual([...found.range(from)], rangeOf(sorted, from));
      assert.deepEqual([...found.range(from, to)], rangeOf(sorted, from, to));
    }),
    { numRuns: 100 },
  );
});
