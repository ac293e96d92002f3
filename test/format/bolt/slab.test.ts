import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Slab } from '../../../src/format/bolt/slab.ts';

test('no byte is given out twice, and neighbours share memory', () => {
  const slab = new Slab(1000);
  const runs: Array<{ run: Uint8Array; byte: number }> = [];
  for (let i = 0; i < 200; i++) {
    const byte = i % 251;
    const run = slab.copy(new Uint8Array((i * 37) % 251).fill(byte));
    runs.push({ run, byte });
  }
  for (const { run, byte } of runs) assert.ok(run.every((one) => one === byte));
  const pieces = new Set(runs.map(({ run }) => run.buffer));
  assert.ok(pieces.size > 20 && pieces.size < 50, `${pieces.size}`);
});

test('a long run has memory of its own', () => {
  const slab = new Slab(1000);
  const before = slab.take(10);
  const long = slab.take(251);
  assert.deepEqual([long.bytes.length, long.start], [251, 0]);
  assert.equal(slab.take(10).bytes, before.bytes);
  assert.equal(slab.copy(new Uint8Array(5000).fill(1)).buffer.byteLength, 5000);
});
