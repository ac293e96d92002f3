import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Slab } from '../../src/bytes/slab.ts';

test('what is taken is zero, of its size, and shares no byte with anything else', () => {
  const slab = new Slab();
  const taken = Array.from({ length: 500 }, (_, i) => slab.take((i * 37) % 700));
  for (const [i, bytes] of taken.entries()) {
    assert.equal(bytes.length, (i * 37) % 700);
    assert.ok(bytes.every((byte) => byte === 0));
    bytes.fill(1 + (i % 255));
  }
  for (const [i, bytes] of taken.entries()) assert.ok(bytes.every((byte) => byte === 1 + (i % 255)));
});

test('small ones share memory, large ones have their own', () => {
  const slab = new Slab();
  assert.equal(slab.take(10).buffer, slab.take(10).buffer);
  assert.equal(slab.take(100_000).buffer.byteLength, 100_000);
});
