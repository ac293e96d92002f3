import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { MONOTONIC_CLOCK } from '../../src/server/clock.ts';

test('it goes on, calls once when it is time, and not when it was told not to', async () => {
  const start = MONOTONIC_CLOCK.now();
  const cancel = MONOTONIC_CLOCK.after(1, () => assert.fail('it was cancelled'));
  cancel();
  // What waits on it keeps no process alive, so something else must.
  const alive = setInterval(() => {}, 1000);
  await new Promise<void>((resolve) => {
    MONOTONIC_CLOCK.after(20, resolve);
  });
  clearInterval(alive);
  assert.ok(MONOTONIC_CLOCK.now() - start >= 19);
});

test('it keeps no process alive', () => {
  const url = new URL('../../src/server/clock.js', import.meta.url);
  const script = `(await import(${JSON.stringify(url.href)})).MONOTONIC_CLOCK.after(60_000, () => {})`;
  const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 });
  assert.equal(status, 0);
});
