import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Stream } from '../../src/rpc/seam.ts';
import { RpcError, STATUS } from '../../src/rpc/status.ts';
import { callFrame, encodeFrame, FLAG, FRAME, PREFACE, RawClient } from './raw-client.ts';
import { serverUnderTest, text, until, words } from './server-under-test.ts';

test('a server that closes ends calls that wait for something, and those that never said what they want, at once', async (t) => {
  const under = await serverUnderTest({ waiting: ['/test.Streams/Wait', '/test.Calls/Wait'] });
  t.after(() => under.end());
  const channel = await under.connect();
  const unary = channel.unary('/test.Calls/Wait', text('for nothing'));
  const calls = [
    unary,
    channel.stream('/test.Streams/Wait').receive(),
    channel.stream('/test.Calls/Echo').receive(),
  ].map((call) =>
    assert.rejects(call, (error) => error instanceof RpcError && error.status === STATUS.unavailable),
  );
  const working = channel.unary('/test.Calls/Later', text('done'));
  await until(() => under.seen.calls.length === 3, 'the calls arrive');
  const began = performance.now();
  await under.server.close({ graceMs: 60_000 });
  assert.ok(performance.now() - began < 2000);
  await Promise.all(calls);
  assert.equal(words(await working), 'done');
  assert.equal(under.seen.aborted.length, 2);
});

test('a server that closes resets a call that waits when its client takes nothing', async (t) => {
  const path = '/test.Streams/Flood';
  let sentBytes = 0;
  const flood = async (stream: Stream): Promise<void> => {
    while (!stream.signal.aborted) {
      sentBytes += 65_536;
      if (!stream.send(new Uint8Array(65_536))) await stream.drained();
    }
  };
  const under = await serverUnderTest({ waiting: [path], methods: [{ stream: { [path]: flood } }] });
  t.after(() => under.end());
  const channel = await under.connect();
  const stream = channel.stream(path);
  await until(() => sentBytes > 512 * 1024, 'it is stalled');
  const began = performance.now();
  await under.server.close({ graceMs: 60_000 });
  assert.ok(performance.now() - began < 4000, `${performance.now() - began} ms`);
  stream.cancel();
});

test('a status is not lost when it has to wait behind what a client does not read', async (t) => {
  const under = await serverUnderTest();
  t.after(() => under.end());
  const client = new RawClient(under.port);
  t.after(() => client.socket.destroy());
  const window = Buffer.from([0x7f, 0xff, 0, 0]);
  const settings = encodeFrame(FRAME.settings, 0, 0, Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff]));
  client.write(PREFACE, settings, encodeFrame(FRAME.windowUpdate, 0, 0, window));
  const size = Buffer.from(String(32 << 20));
  const request = Buffer.concat([Buffer.from([0, 0, 0, 0, size.length]), size]);
  client.socket.pause();
  client.write(callFrame(1, '/test.Calls/Zeros'), encodeFrame(FRAME.data, FLAG.endStream, 1, request));
  await new Promise((resolve) => setTimeout(resolve, 100));
  // It does not end its side.
  client.write(callFrame(3, '/test.Calls/Fail'), encodeFrame(FRAME.data, 0, 3, request));
  await new Promise((resolve) => setTimeout(resolve, 100));
  client.socket.resume();
  const ofCall = (type: number): boolean => client.of(type).some(({ stream }) => stream === 3);
  await until(() => ofCall(FRAME.resetStream), 'it is told that nobody listens');
  assert.ok(ofCall(FRAME.headers), 'and before that, the status');
});
