/** What requests over HTTP count for in the account of their connection. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { HttpCall } from '../../src/rpc/http-call.ts';
import { DEFAULT_LIMITS } from '../../src/rpc/limits.ts';
import { HARMLESS_BYTES, OpenCalls, SLOW_MS } from '../../src/rpc/open-calls.ts';
import { ServerStats } from '../../src/rpc/stats.ts';

const MAX = 16 * HARMLESS_BYTES;

function open(stats = new ServerStats()) {
  const calls = new OpenCalls({ ...DEFAULT_LIMITS, heldBytesMax: MAX }, stats);
  const request = new PassThrough();
  const response = { writableLength: 0 };
  const call = new HttpCall({ calls, request, response, rawHeaders: ['host', 'a'] });
  calls.add(call);
  request.resume();
  return { stats, calls, request, response, call };
}

test('a body counts at once, and no more once it is complete or its call is over', () => {
  const { stats, calls, call } = open();
  call.hold(1000);
  call.hold(3000);
  assert.equal(stats.bodyBytes, 3000);
  assert.equal(stats.heldBytes, 3000);
  call.hold(0);
  assert.equal(stats.heldBytes, 0);
  call.hold(500);
  calls.delete(call);
  call.hold(700);
  calls.delete(call);
  assert.equal(stats.heldBytes, 0);
});

test('a connection whose bodies take its share is flooded, with what HTTP keeps of them', () => {
  const { calls, call, request } = open();
  call.hold(MAX / 4 - 5);
  calls.look(0);
  assert.equal(calls.requestBytes, 5);
  assert.equal(calls.isFlooded, false);
  request.pause();
  request.write('x');
  calls.look(0);
  assert.equal(calls.isFlooded, true);
});

test('when all together hold too much, large bodies wait until they do not; small ones never', () => {
  const { stats, calls, call, request } = open();
  const small = open(stats);
  call.hold(MAX);
  assert.equal(call.isHeldUp, true);
  assert.equal(request.isPaused(), true);
  small.call.hold(HARMLESS_BYTES - 1);
  assert.equal(small.request.isPaused(), false);
  assert.equal(stats.bodiesHeldUp, 1);
  assert.equal(stats.excessBytes(MAX), HARMLESS_BYTES - 1 + MAX / 4);
  small.calls.delete(small.call);
  calls.look(0);
  assert.equal(call.isHeldUp, true);
  const other = open(stats);
  other.call.hold(HARMLESS_BYTES);
  assert.equal(other.call.isHeldUp, true);
  calls.delete(call);
  assert.equal(stats.bodiesHeldUp, 1);
  other.calls.look(0);
  assert.equal(other.call.isHeldUp, false);
  assert.equal(other.request.isPaused(), false);
  assert.equal(stats.bodiesHeldUp, 0);
});

test('a body that is not wanted any more is let through', () => {
  const { call, request } = open();
  call.hold(MAX);
  call.hold(0);
  assert.equal(call.isHeldUp, false);
  assert.equal(request.isPaused(), false);
});

test('a call that is slow says what of it is request, and what reply', () => {
  const { calls, call, response } = open();
  const later = performance.now() + SLOW_MS + 1;
  call.hold(1000);
  response.writableLength = 300;
  calls.look(later);
  assert.deepEqual([calls.slowRequestBytes, calls.slowBytes], [1005, 1305]);
});

test('an answer counts as queued while it is made, as a reply once it is whole', () => {
  const { stats, calls, call, response } = open();
  response.writableLength = 2000;
  calls.look(0);
  assert.equal(calls.queuedBytes, 2000);
  call.replied(500);
  call.replied(500);
  calls.look(0);
  assert.deepEqual([calls.queuedBytes, stats.replyBytes], [0, 2500]);
  assert.equal(calls.isFull, false);
  response.writableLength = 0;
  calls.delete(call);
  assert.equal(stats.replyBytes, 0);
  call.replied(500);
  assert.equal(stats.replyBytes, 0);
});

test('a message that is too long is counted', () => {
  const { stats, call } = open();
  call.noteTooLong();
  assert.equal(stats.refused.message_size, 1);
});
