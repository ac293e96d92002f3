import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { KeyArena } from '../../../src/store/mvcc/key-arena.ts';
import { sortKeys } from '../../../src/store/mvcc/key-order.ts';
import { text } from '../database-builder.ts';

function sorted(names: readonly string[]): string[] {
  const arena = new KeyArena();
  const addresses = names.map((name) => arena.add(text(name), 0, name.length));
  const ids = Uint32Array.from(names, (_, i) => i);
  sortKeys(ids, {
    partOf: (id, depth) => arena.partOf(addresses[id]!, names[id]!.length, depth),
    compareIds: (a, b) => arena.compare(addresses[a]!, names[a]!.length, text(names[b]!)),
  });
  return [...ids].map((id) => names[id]!);
}

test('any keys come in byte order', () => {
  const part = fc.constantFrom('', 'a', 'registry/', 'pods/', '\0', '\xff', 'b');
  const name = fc.array(part, { maxLength: 6 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.uniqueArray(name, { maxLength: 200 }), (names) =>
      assert.deepEqual(sorted(names), names.toSorted()),
    ),
    { numRuns: 300 },
  );
});

test('also many keys that share a long beginning, whatever order they are in', () => {
  const names = Array.from(
    { length: 5000 },
    (_, i) => `/registry/pods/default/pod-${String(i).padStart(9, '0')}`,
  );
  const shuffled = names.map((_, i) => names[(i * 7919) % names.length]!);
  for (const order of [names, names.toReversed(), shuffled]) assert.deepEqual(sorted(order), names);
});
