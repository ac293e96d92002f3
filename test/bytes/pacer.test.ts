import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pacer } from '../../src/bytes/pacer.ts';

function spin(durationMs: number): void {
  for (const end = performance.now() + durationMs; performance.now() < end;);
}

test('it is due after a while, and not right after a rest', async () => {
  const pacer = new Pacer();
  assert.equal(pacer.isDue(), false);
  spin(30);
  assert.equal(pacer.isDue(), true);
  await pacer.rest();
  assert.equal(pacer.isDue(), false);
});

test('a rest lets others run and tells how far the job is', async () => {
  const seen: Array<[number, number]> = [];
  const pacer = new Pacer({ progress: (done, total) => seen.push([done, total]) });
  let hasRun = false;
  setImmediate(() => {
    hasRun = true;
  });
  await pacer.rest(3, 10);
  assert.equal(hasRun, true);
  await pacer.rest();
  assert.deepEqual(seen, [
    [3, 10],
    [0, 0],
  ]);
});

test('a job that is told to stop does so at its next rest', async () => {
  const controller = new AbortController();
  const pacer = new Pacer({ signal: controller.signal });
  pacer.check();
  await pacer.rest();
  const rest = pacer.rest();
  controller.abort();
  await assert.rejects(rest, { code: 'interrupted' });
  assert.throws(() => pacer.check(), { code: 'interrupted' });
});
