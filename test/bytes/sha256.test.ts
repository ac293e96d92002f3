import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256Of, startSha256 } from '../../src/bytes/sha256.ts';
import { MemorySource } from '../../src/bytes/source.ts';
import { scratch } from '../support/scratch.ts';

const MB = 1 << 20;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const expected = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

test('of the start of a source, over the edges of its chunks', () => {
  const bytes = Uint8Array.from({ length: 2 * MB + 5 }, (_, i) => (i * 7919) >>> 3);
  for (const length of [0, 1, MB / 8 - 1, MB / 8, MB / 8 + 1, MB, bytes.length]) {
    assert.equal(hex(sha256Of(new MemorySource(bytes), length)), expected(bytes.subarray(0, length)));
  }
  assert.throws(() => sha256Of(new MemorySource(bytes), bytes.length + 1), { code: 'io.short-read' });
});

// Below 16 MB it is done at once, above it in a worker.
for (const size of [1000, 17 * MB]) {
  test(`of a file of ${size} bytes`, async (t) => {
    const path = join(scratch(t), 'file');
    const bytes = Buffer.alloc(size, 'etcdkit');
    writeFileSync(path, bytes);
    assert.equal(hex(await startSha256({ path, length: size }).result), expected(bytes));
    assert.equal(hex(await startSha256({ path, length: size - 3 }).result), expected(bytes.subarray(0, -3)));
    truncateSync(path, size - 1);
    await assert.rejects(startSha256({ path, length: size }).result, { code: 'io.short-read' });
  });

  test(`of ${size} bytes of a file that is not there`, async (t) => {
    const path = join(scratch(t), 'absent');
    await assert.rejects(startSha256({ path, length: size }).result, { code: 'io.not-found' });
  });
}

test('a worker that was prepared does the work, and keeps no process that has none', (t) => {
  const path = join(scratch(t), 'file');
  const bytes = Buffer.alloc(17 * MB, 'etcdkit');
  writeFileSync(path, bytes);
  const module = new URL('../../src/bytes/sha256.js', import.meta.url).href;
  const program = `
    const { prepareSha256, startSha256 } = await import(${JSON.stringify(module)});
    for (const file of [${JSON.stringify(path)}, '/nowhere', '/']) prepareSha256(file);
    const hex = async (length) => Buffer.from(await startSha256({ path: ${JSON.stringify(path)}, length }).result).toString('hex');
    console.log(await hex(${bytes.length}), await hex(${bytes.length - 1}));
    prepareSha256(${JSON.stringify(path)});`;
  const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.deepEqual([stdout, status], [`${expected(bytes)} ${expected(bytes.subarray(0, -1))}\n`, 0]);
});

test('one that nobody waits for does not keep the process, nor fail it', async (t) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, Buffer.alloc(17 * MB));
  const pending = startSha256({ path, length: 17 * MB });
  pending.cancel();
  startSha256({ path: `${path}-absent`, length: 17 * MB });
  startSha256({ path: `${path}-absent`, length: 5 });
  await new Promise((resolve) => setTimeout(resolve, 50));
});
