import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Waker } from '../../../src/server/services/waker.ts';

test('one that sleeps is woken, and sleeps again', async () => {
  const waker = new Waker();
  const log: string[] = [];
  const sleeper = (async () => {
    await waker.wait();
    log.push('first');
    await waker.wait();
    log.push('second');
  })();
  await Promise.resolve();
  log.push('wake');
  waker.wake();
  for (let i = 0; i < 5; i++) await Promise.resolve();
  log.push('wake');
  waker.wake();
  await sleeper;
  assert.deepEqual(log, ['wake', 'first', 'wake', 'second']);
});

test('a call that came too early is not lost', async () => {
  const waker = new Waker();
  waker.wake();
  await waker.wait();
});
