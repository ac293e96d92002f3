import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PingPolicy } from '../../src/rpc/ping-policy.ts';

const LIMITS = { pingIntervalMinMs: 5000, canPingWithoutStream: false };

/** Which of these pings is one too many; −1 for none. */
function firstTooMany(policy: PingPolicy, times: readonly number[], openStreams: number): number {
  return times.findIndex((time) => policy.isTooMany(time, openStreams));
}

test('the third ping that came too early is too many', () => {
  assert.equal(firstTooMany(new PingPolicy(LIMITS), [0, 1, 2, 3, 4], 1), 3);
  assert.equal(firstTooMany(new PingPolicy(LIMITS), [0, 5000, 10_000, 15_000, 20_000], 1), -1);
});

test('without a call even slow pings are too many, unless that is allowed', () => {
  const times = [0, 60_000, 120_000, 180_000, 240_000];
  assert.equal(firstTooMany(new PingPolicy(LIMITS), times, 0), 3);
  assert.equal(firstTooMany(new PingPolicy({ ...LIMITS, canPingWithoutStream: true }), times, 0), -1);
});

test('what the server sends wipes the slate', () => {
  const policy = new PingPolicy(LIMITS);
  for (let time = 0; time < 100; time++) {
    if (time % 3 === 0) policy.forgive();
    assert.equal(policy.isTooMany(time, 1), false);
  }
});
