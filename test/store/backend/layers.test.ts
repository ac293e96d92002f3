/** Changes over a backend that is only read, held against a plain map. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { BackendView } from '../../../src/store/backend/backend.ts';
import { Layers } from '../../../src/store/backend/layers.ts';
import { Overlay } from '../../../src/store/backend/overlay.ts';

const NOTHING: BackendView = { get: () => undefined, scan: () => [] };
const bytes = (text: string): Uint8Array => Buffer.from(text);
const KEYS = ['a', 'b', 'ba', 'c', 'd'];

function filled(rows: Record<string, string>): Overlay {
  const backend = new Overlay(NOTHING);
  for (const [key, value] of Object.entries(rows)) backend.put('key', bytes(key), bytes(value));
  return backend;
}

function rowsOf(backend: BackendView, range = {}): [string, string][] {
  return [...backend.scan('key', range)].map(({ key, value }) => [
    Buffer.from(key).toString(),
    Buffer.from(value).toString(),
  ]);
}

test('any changes over any rows read as if they had been made in place', () => {
  const rows = fc.dictionary(fc.constantFrom(...KEYS), fc.string({ maxLength: 3 }));
  const change = fc.record({ key: fc.constantFrom(...KEYS), value: fc.option(fc.string({ maxLength: 3 })) });
  const bound = fc.option(fc.constantFrom(...KEYS), { nil: undefined });
  fc.assert(
    fc.property(rows, fc.array(change), bound, bound, (before, changes, from, to) => {
      const base = filled(before);
      const layers = new Layers(base, new Overlay(NOTHING));
      const model = new Map(Object.entries(before));
      for (const { key, value } of changes) {
        if (value === null) layers.delete('key', bytes(key));
        else layers.put('key', bytes(key), bytes(value));
        if (value === null) model.delete(key);
        else model.set(key, value);
      }
      const expected = [...model]
        .filter(([key]) => (from === undefined || key >= from) && (to === undefined || key < to))
        .sort(([a], [b]) => (a < b ? -1 : 1));
      const range = { from: from && bytes(from), to: to && bytes(to) };
      assert.deepEqual(rowsOf(layers, range), expected);
      for (const key of KEYS) {
        const value = layers.get('key', bytes(key));
        assert.equal(value && Buffer.from(value).toString(), model.get(key));
      }
      assert.deepEqual(rowsOf(base), rowsOf(filled(before)));
    }),
  );
});

test('an empty value is a row, not a deletion', () => {
  const layers = new Layers(filled({ a: 'x' }), new Overlay(NOTHING));
  layers.put('key', bytes('a'), new Uint8Array());
  assert.deepEqual(rowsOf(layers), [['a', '']]);
  assert.deepEqual(layers.get('key', bytes('a')), new Uint8Array());
});
