import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { KeyIndex, type LiveKey } from '../../../src/store/mvcc/key-index.ts';

const nameOf = (number: number): string => `k${String(number).padStart(5, '0')}`;

/** Every column has a value of its own. */
function liveKey(number: number): LiveKey {
  return {
    main: 2 ** 40 + number,
    sub: number + 1,
    createRevision: 2 ** 41 + number,
    version: number + 2,
    lease: BigInt((number % 3) - 1) * 0x7000000000000001n,
  };
}

function assertHolds(index: KeyIndex, model: ReadonlyMap<string, LiveKey>): void {
  assert.equal(index.size, model.size);
  for (const [key, live] of model) assert.deepEqual(index.get(key), live, key);
}

test('a key that was never set, or is deleted, is not there', () => {
  const index = new KeyIndex();
  assert.equal(index.get('a'), undefined);
  index.delete('a');
  index.set('a', liveKey(1));
  index.delete('a');
  assert.deepEqual(
    [index.get('a'), index.size, index.range(''), [...index.leased()]],
    [undefined, 0, [], []],
  );
});

test('what is given can be changed without changing the index', () => {
  const index = new KeyIndex();
  index.set('a', liveKey(1));
  index.get('a')!.main = 7;
  assert.deepEqual(index.get('a'), liveKey(1));
});

test('columns grow with all that is in them', () => {
  const index = new KeyIndex();
  const model = new Map<string, LiveKey>();
  for (let i = 0; i < 5000; i++) {
    index.set(nameOf(i), liveKey(i));
    model.set(nameOf(i), liveKey(i));
  }
  assertHolds(index, model);
});

test('places of deleted keys are used again, and no other key is touched', () => {
  const index = new KeyIndex();
  const model = new Map<string, LiveKey>();
  const set = (name: string, live: LiveKey): void => {
    index.set(name, live);
    model.set(name, live);
  };
  for (let i = 0; i < 1024; i++) set(nameOf(i), liveKey(i));
  for (let i = 0; i < 1024; i += 2) {
    index.delete(nameOf(i));
    model.delete(nameOf(i));
  }
  for (let i = 0; i < 1500; i++) set(nameOf(10_000 + i), liveKey(7000 + i));
  for (let i = 1; i < 1024; i += 6) set(nameOf(i), liveKey(3000 + i));
  assertHolds(index, model);
  assert.deepEqual(index.range(''), [...model.keys()].sort());
});

test('order is kept from the first range on', () => {
  const index = new KeyIndex();
  for (const key of ['c', 'a', 'e']) index.set(key, liveKey(1));
  assert.deepEqual(index.range('b'), ['c', 'e']);
  index.set('d', liveKey(2));
  index.set('a', liveKey(3));
  index.delete('c');
  index.set('b', liveKey(4));
  assert.deepEqual(index.range(''), ['a', 'b', 'd', 'e']);
  assert.deepEqual(index.range('b', 'd'), ['b']);
  assert.deepEqual(index.range('b', 'b'), []);
});

test('each live key that has a lease, and no other', () => {
  const index = new KeyIndex();
  const leases: Array<[string, bigint]> = [
    ['none', 0n],
    ['one', 1n],
    ['largest', 2n ** 63n - 1n],
    ['negative', -5n],
    ['moved', 8n],
    ['dropped', 9n],
    ['deleted', 10n],
  ];
  for (const [key, lease] of leases) index.set(key, { ...liveKey(1), lease });
  index.set('moved', { ...liveKey(1), lease: 11n });
  index.set('dropped', { ...liveKey(1), lease: 0n });
  index.delete('deleted');
  assert.deepEqual(new Map(index.leased()), new Map([...leases.slice(1, 4), ['moved', 11n]]));
});

test('any changes leave what a plain map holds', () => {
  const step = fc.record({
    kind: fc.constantFrom('set', 'set', 'delete', 'range'),
    number: fc.nat(30),
    value: fc.nat(1000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const index = new KeyIndex();
      const model = new Map<string, LiveKey>();
      for (const { kind, number, value } of steps) {
        const name = nameOf(number);
        if (kind === 'set') {
          index.set(name, liveKey(value));
          model.set(name, liveKey(value));
        } else if (kind === 'delete') {
          index.delete(name);
          model.delete(name);
        } else {
          const to = nameOf(value % 40);
          assert.deepEqual(
            index.range(name, to),
            [...model.keys()].sort().filter((key) => key >= name && key < to),
          );
        }
      }
      assertHolds(index, model);
      assert.deepEqual(index.range(''), [...model.keys()].sort());
    }),
    { numRuns: 200 },
  );
});
