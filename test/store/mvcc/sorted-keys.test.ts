import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { SortedKeys } from '../../../src/store/mvcc/sorted-keys.ts';
import { text } from '../database-builder.ts';

const nameOf = (number: number): string => String(number).padStart(6, '0');

/** Multiplied by a number that has no divisor in common with `count`: all of them, in disorder. */
function shuffled(count: number): string[] {
  return Array.from({ length: count }, (_, i) => nameOf((i * 7919) % count));
}

/** Keys by their names instead of ids. */
class NamedKeys {
  readonly #names: string[] = [];
  readonly #keys: SortedKeys;

  constructor(sorted: readonly string[] = []) {
    const ids = Uint32Array.from(sorted, (name) => this.#names.push(name) - 1);
    this.#keys = new SortedKeys((id, key) => Buffer.compare(text(this.#names[id]!), key), ids);
  }

  add(name: string): void {
    this.#keys.add(this.#names.push(name) - 1, text(name));
  }

  delete(name: string): void {
    this.#keys.delete(text(name));
  }

  range(from: string, to?: string, limit = Infinity): string[] {
    const found: string[] = [];
    const end = to === undefined ? undefined : text(to);
    this.#keys.visit(text(from), end, (id) => found.push(this.#names[id]!) < limit);
    return found;
  }
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
      const found = new NamedKeys();
      for (const key of keys) found.add(key);
      assert.deepEqual(found.range(''), sorted);
    });

    test(`are gone when they were deleted ${what}`, () => {
      const found = new NamedKeys(sorted);
      const left = new Set(sorted);
      for (const [i, key] of keys.entries()) {
        found.delete(key);
        left.delete(key);
        if (i % 500 === 0) assert.deepEqual(found.range(''), [...left]);
      }
      assert.deepEqual(found.range(''), []);
      found.add('again');
      assert.deepEqual(found.range(''), ['again']);
    });
  }

  test('a range begins and ends at every key, and between two', () => {
    const found = new NamedKeys();
    for (const key of orders[0]![1]) found.add(key);
    for (const [i, key] of sorted.entries()) {
      const next = sorted[i + 2];
      const expected = sorted.slice(i, i + 2);
      assert.deepEqual(found.range(key, next ?? 'x'), expected, key);
      assert.deepEqual(found.range(`${key}.`, next ?? 'x'), expected.slice(1), `behind ${key}`);
      assert.deepEqual(found.range(key, `${key}.`), [key]);
      assert.deepEqual(found.range(key, key), []);
    }
  });
});

test('given at once they are as if added, and a visit ends where it is told to', () => {
  const sorted = Array.from({ length: 3000 }, (_, i) => nameOf(i));
  const found = new NamedKeys(sorted);
  assert.deepEqual(found.range(''), sorted);
  assert.deepEqual(found.range(nameOf(760), undefined, 20), sorted.slice(760, 780));
});

test('no keys have no range', () => {
  assert.deepEqual(new NamedKeys().range(''), []);
  assert.deepEqual(new NamedKeys().range('a', 'b'), []);
});

test('keys are ordered by their bytes', () => {
  const found = new NamedKeys();
  for (const key of ['\xff', 'a\0', '\x80', 'a', 'B', 'a\0\0', '~']) found.add(key);
  assert.deepEqual(found.range(''), ['B', 'a', 'a\0', 'a\0\0', '~', '\x80', '\xff']);
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
      const found = new NamedKeys();
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
      assert.deepEqual(found.range(''), sorted);
      const [from, to] = [nameOf(low), nameOf(high)];
      assert.deepEqual(found.range(from), rangeOf(sorted, from));
      assert.deepEqual(found.range(from, to), rangeOf(sorted, from, to));
    }),
    { numRuns: 100 },
  );
});
