import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { type Disk, realDisk } from '../../src/bytes/disk.ts';
import { WriteBehind } from '../../src/bytes/write-behind.ts';
import { ToolError } from '../../src/errors.ts';
import { scratch } from '../support/scratch.ts';

const MB = 1 << 20;

test('what was written is there once it is drained, also when the caller reuses its buffer', async (t) => {
  const path = join(scratch(t), 'file');
  const disk = realDisk();
  const fd = disk.create(path, 0o600);
  const output = new WriteBehind(disk, fd);
  const chunk = new Uint8Array(MB);
  for (let i = 0; i < 40; i++) output.write(chunk.fill(i), i * MB);
  // Larger than a buffer: written at once.
  output.write(new Uint8Array(5 * MB).fill(77), 40 * MB);
  await output.drain();
  disk.close(fd);

  const bytes = readFileSync(path);
  assert.equal(bytes.length, 45 * MB);
  for (let i = 0; i < 45; i++) {
    const expected = i < 40 ? i : 77;
    assert.ok(bytes[i * MB] === expected && bytes[(i + 1) * MB - 1] === expected, `at ${i} MB`);
  }
});

test('one write at a time, in the order given, and a backlog while one has to wait', async (t) => {
  const real = realDisk();
  const fd = real.create(join(scratch(t), 'file'), 0o600);
  const finish: Array<() => void> = [];
  const positions: number[] = [];
  const slow: Disk = {
    ...real,
    startWrite: (_fd, _bytes, position) =>
      new Promise((resolve) => {
        positions.push(position);
        finish.push(resolve);
      }),
  };
  const output = new WriteBehind(slow, fd);
  output.write(new Uint8Array(10), 0);
  assert.ok(!output.backlog);
  output.write(new Uint8Array(10), 10);
  output.write(new Uint8Array(10), 20);
  assert.deepEqual(positions, [0]);
  for (const expected of [
    [0, 10],
    [0, 10, 20],
    [0, 10, 20],
  ]) {
    const waited = Promise.resolve(output.backlog);
    finish.at(-1)!();
    await waited;
    assert.deepEqual(positions, expected);
  }
  await output.drain();
  assert.ok(!output.backlog);
  real.close(fd);
});

test('a write that fails is thrown by the next one and by drain, and settle only waits', async (t) => {
  const real = realDisk();
  const failure = new ToolError('io.no-space', 'no space left on device');
  const full: Disk = { ...real, startWrite: async () => Promise.reject(failure) };
  const fd = full.create(join(scratch(t), 'file'), 0o600);
  const output = new WriteBehind(full, fd);
  output.write(new Uint8Array(10), 0);
  await output.settle();
  assert.throws(() => output.write(new Uint8Array(10), 10), failure);
  await assert.rejects(output.drain(), failure);
  real.close(fd);
});
