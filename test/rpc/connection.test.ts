/** Clients that do not behave: each costs a bounded amount, and others are served meanwhile. */
import assert from 'node:assert/strict';
import { constants } from 'node:http2';
import { test, type TestContext } from 'node:test';
import type { Limits } from '../../src/rpc/limits.ts';
import type { Stream } from '../../src/rpc/seam.ts';
import {
  callFrame,
  encodeFrame,
  encodeHeaders,
  FLAG,
  FRAME,
  PREFACE,
  RawClient,
  resetFrame,
} from './raw-client.ts';
import { serverUnderTest, text, type UnderTest, until, words } from './server-under-test.ts';

const PING = encodeFrame(FRAME.ping, 0, 0, Buffer.from('12345678'));
const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

async function setUp(
  t: TestContext,
  limits: Partial<Limits> = {},
): Promise<{ under: UnderTest; hostile: RawClient }> {
  const under = await serverUnderTest({ limits });
  t.after(() => under.end());
  const hostile = new RawClient(under.port);
  t.after(() => hostile.socket.destroy());
  return { under, hostile };
}

/** Somebody else is served. */
async function assertServes(under: UnderTest): Promise<void> {
  const channel = await under.connect();
  assert.equal(words(await channel.unary('/test.Calls/Echo', text('others'), { timeoutMs: 3000 })), 'others');
}

async function assertExpelled(under: UnderTest, hostile: RawClient): Promise<void> {
  await until(() => hostile.isClosed, 'the hostile connection is closed');
  await until(() => under.server.stats.streams === 0, 'its calls are gone');
  await assertServes(under);
}

test('a client that pings without pause is told too_many_pings, and closed', async (t) => {
  const { under, hostile } = await setUp(t);
  hostile.greet().write(...Array.from({ length: 4 }, () => PING));
  await assertExpelled(under, hostile);
  assert.deepEqual(hostile.goaway, { code: constants.NGHTTP2_ENHANCE_YOUR_CALM, text: 'too_many_pings' });
  assert.equal(under.server.stats.refused.pings, 1);
});

test('three pings are borne, and so are those after which something was sent', async (t) => {
  const { under, hostile } = await setUp(t);
  hostile.greet().write(PING, PING, PING);
  await until(() => hostile.of(FRAME.ping).length === 3, 'they are answered');
  for (const stream of [1, 3, 5, 7, 9]) {
    const data = encodeFrame(FRAME.data, FLAG.endStream, stream, Buffer.from([0, 0, 0, 0, 0]));
    hostile.write(callFrame(stream, '/test.Calls/Echo'), data);
    await until(() => hostile.of(FRAME.data).length === (stream + 1) / 2, 'a reply');
    hostile.write(PING);
    await until(() => hostile.of(FRAME.ping).length === 3 + (stream + 1) / 2, 'a pong');
  }
  assert.equal(hostile.goaway, undefined);
  assert.equal(under.server.stats.refused.pings, 0);
});

test('pings at the allowed pace beside an open call are borne', async (t) => {
  const { under, hostile } = await setUp(t, { pingIntervalMinMs: 20 });
  hostile.greet().write(callFrame(1, '/test.Streams/Wait'));
  await until(() => under.seen.calls.length === 1, 'the call is open');
  for (let ping = 1; ping <= 6; ping++) {
    hostile.write(PING);
    await sleep(30);
  }
  assert.equal(hostile.of(FRAME.ping).length, 6);
  assert.equal(hostile.isClosed, false);
});

test('a client that resets calls as fast as it makes them is closed (CVE-2023-39325)', async (t) => {
  const { under, hostile } = await setUp(t);
  hostile.greet();
  for (let stream = 1; stream < 20_000; stream += 2)
    hostile.write(callFrame(stream, '/test.Calls/Wait'), resetFrame(stream));
  await assertExpelled(under, hostile);
  const { stats } = under.server;
  // What nghttp2 lets through before it falls silent.
  assert.ok(stats.resets <= 1001, `${stats.resets} resets`);
  assert.ok(hostile.goaway, 'it is told to go');
});

test('a client that hides its resets behind an open call is found out', async (t) => {
  const { under, hostile } = await setUp(t, { keepAliveTimeoutMs: 200 });
  hostile.greet().write(callFrame(1, '/test.Streams/Wait'));
  await until(() => under.seen.calls.length === 1, 'the call is open');
  for (let stream = 3; stream < 10_000; stream += 2)
    hostile.write(callFrame(stream, '/test.Calls/Wait'), resetFrame(stream));
  await assertExpelled(under, hostile);
  const { refused } = under.server.stats;
  assert.equal(refused.resets + refused.silence, 1);
});

test('a client with many cancelled calls is asked to move, and its open calls go on', async (t) => {
  const { under } = await setUp(t, { resetsSoftMax: 5 });
  const channel = await under.connect();
  const kept = channel.stream('/test.Streams/Echo');
  kept.send(text('before'));
  assert.equal(words(await kept.receive()), 'before');
  for (let call = 0; call <= 25 && !channel.isClosed; call++) {
    const stream = channel.stream('/test.Streams/Wait');
    await until(() => under.seen.calls.length > call || channel.isClosed, 'the call arrives');
    stream.cancel();
    await until(() => under.server.stats.resets > call || channel.isClosed, 'the server hears of it');
  }
  await until(() => channel.isClosed, 'the client is asked to connect anew');
  kept.send(text('after'));
  assert.equal(words(await kept.receive()), 'after');
  kept.end();
  assert.equal(await kept.receive(), undefined);
  await assertServes(under);
});

test('a client that opens calls without end has only so many', async (t) => {
  const { under, hostile } = await setUp(t, { streamsPerConnectionMax: 100 });
  hostile.greet();
  for (let stream = 1; stream < 10_000; stream += 2) hostile.write(callFrame(stream, '/test.Streams/Wait'));
  await until(() => hostile.of(FRAME.resetStream).length + hostile.of(FRAME.goaway).length > 0, 'a refusal');
  assert.ok(under.server.stats.streams <= 100);
  await assertServes(under);
  hostile.socket.destroy();
  await until(() => under.server.stats.streams === 0, 'its calls are gone');
});

for (const [what, flood] of [
  ['SETTINGS', encodeFrame(FRAME.settings, 0, 0)],
  ['PING', PING],
  ['empty DATA', encodeFrame(FRAME.data, 0, 1)],
] as const) {
  test(`a flood of ${what} ends the connection`, async (t) => {
    const { under, hostile } = await setUp(t);
    hostile.greet().write(callFrame(1, '/test.Streams/Wait'));
    await until(() => under.seen.calls.length === 1, 'the call is open');
    // It reads no answers, so that they pile up.
    hostile.socket.pause();
    hostile.write(...Array.from({ length: 20_000 }, () => flood));
    await until(() => under.server.stats.connections === 0, 'the connection is gone');
    await assertServes(under);
  });
}

test('headers without end are refused', async (t) => {
  const { under, hostile } = await setUp(t);
  const block = encodeHeaders({ ':method': 'POST', ':scheme': 'http', ':path': '/test.Calls/Echo' });
  hostile.greet().write(encodeFrame(FRAME.headers, 0, 1, block));
  const more = encodeHeaders({ 'x-filler': 'x'.repeat(100) });
  for (let frame = 0; frame < 5000; frame++) hostile.write(encodeFrame(FRAME.continuation, 0, 1, more));
  await until(() => hostile.isClosed || hostile.goaway !== undefined, 'an end');
  await assertServes(under);
  assert.equal(under.server.stats.streams, 0);
});

test('a client that says neither settings nor anything else is closed', async (t) => {
  const { under, hostile } = await setUp(t, { handshakeTimeoutMs: 50 });
  hostile.write(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'));
  await assertExpelled(under, hostile);
  assert.equal(under.server.stats.refused.silence, 1);
});

test('a client that no longer answers is found out and closed', async (t) => {
  const { under, hostile } = await setUp(t, { keepAliveIntervalMs: 100, keepAliveTimeoutMs: 100 });
  hostile.greet();
  await until(() => hostile.of(FRAME.ping).length > 0, 'it is pinged');
  await assertExpelled(under, hostile);
  assert.equal(under.server.stats.refused.silence, 1);
});

test('a client that answers stays, however quiet it is', async (t) => {
  const { under } = await setUp(t, { keepAliveIntervalMs: 100, keepAliveTimeoutMs: 300 });
  const channel = await under.connect();
  await sleep(2500);
  assert.equal(channel.isClosed, false);
  assert.equal(under.server.stats.refused.silence, 0);
});

for (const isGone of [true, false]) {
  const who = isGone ? 'is gone' : 'stays';
  test(`a connection that HTTP/2 has given up unnoticed is ended, its client ${who}`, async (t) => {
    const { under, hostile } = await setUp(t, { muteProbeMs: 100 });
    hostile.greet().write(callFrame(1, '/test.Streams/Wait'));
    await until(() => under.seen.calls.length === 1, 'the call is open');
    // A ping of the wrong size: nghttp2 says good-bye, and Node 20 hears nothing of it.
    hostile.write(encodeFrame(FRAME.ping, 0, 0, Buffer.from([1, 2])));
    await until(() => hostile.goaway !== undefined, 'nghttp2 says good-bye');
    if (isGone) hostile.socket.destroy();
    await until(() => under.server.stats.connections === 0, 'the connection is gone');
    assert.equal(under.seen.aborted.length, 1);
    // Node 24 ends such a connection by itself.
    assert.ok(under.server.stats.refused.silence <= 1);
  });
}

test('a client that reads nothing for a while is borne, and gets everything in the end', async (t) => {
  const total = 8 * 1024 * 1024;
  const pour = async (stream: Stream): Promise<void> => {
    for (let sent = 0; sent < total; sent += 32 * 1024)
      if (!stream.send(new Uint8Array(32 * 1024))) await stream.drained();
  };
  const under = await serverUnderTest({
    limits: { muteProbeMs: 100 },
    methods: [{ stream: { '/test.Flow/Pour': pour } }],
  });
  t.after(() => under.end());
  const client = new RawClient(under.port);
  t.after(() => client.socket.destroy());
  const window = Buffer.from([0x7f, 0xff, 0, 0]);
  const settings = encodeFrame(FRAME.settings, 0, 0, Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff]));
  client.write(Buffer.from(PREFACE), settings, encodeFrame(FRAME.windowUpdate, 0, 0, window));
  client.socket.pause();
  client.write(callFrame(1, '/test.Flow/Pour', FLAG.endHeaders | FLAG.endStream));
  await sleep(3500);
  assert.equal(under.server.stats.connections, 1);
  client.socket.resume();
  const received = (): number => client.of(FRAME.data).reduce((sum, { payload }) => sum + payload.length, 0);
  await until(() => received() === total + (total / (32 * 1024)) * 5, 'everything has come');
});

test('what breaks the protocol ends the connection, also when its client keeps the socket open', async (t) => {
  const { under, hostile } = await setUp(t);
  hostile.greet();
  await until(() => under.server.stats.connections === 1, 'it is connected');
  hostile.write(encodeFrame(FRAME.windowUpdate, 0, 0, Buffer.alloc(4)));
  hostile.socket.pause();
  await until(() => under.server.stats.connections === 0, 'the server has let go of it');
  await assertServes(under);
});
