/** Calls that never end, are too large, too many, or whose answers nobody reads. */
import assert from 'node:assert/strict';
import { connect as connectHttp2 } from 'node:http2';
import { test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Channel } from '../../src/client/channel.ts';
import { rangeRequest } from '../../src/format/proto/rpcpb.ts';
import { watchRequest } from '../../src/format/proto/watchpb.ts';
import { STATUS } from '../../src/rpc/status.ts';
import { callFrame, encodeFrame, FLAG, FRAME, PREFACE } from '../rpc/raw-client.ts';
import { put } from '../support/served.ts';
import { type Attacked, MB, pause, underAttack, until, type Victim } from './under-attack.ts';

const PUT = '/etcdserverpb.KV/Put';
const RANGE = '/etcdserverpb.KV/Range';
const WATCH = '/etcdserverpb.Watch/Watch';
const ACK = encodeFrame(FRAME.settings, FLAG.ack, 0);
/** Nothing may be sent to this client but headers. */
const NO_WINDOW = encodeFrame(FRAME.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0]));

function framed(message: Uint8Array, format = 0, length = message.length): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = format;
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

const dataFrame = (stream: number, payload: Buffer, flags = 0): Buffer =>
  encodeFrame(FRAME.data, flags, stream, payload);

const greet = (server: Attacked, settings = encodeFrame(FRAME.settings, 0, 0)): Victim =>
  server.dial(PREFACE, settings, ACK);

interface OpenCall {
  write(bytes: Buffer): void;
  /** `grpc-status`; undefined while there is none. */
  status: string | undefined;
}

/** A client that keeps to HTTP/2, and calls with what it is given. */
function caller(
  t: TestContext,
  server: Attacked,
): (path: string, headers?: Record<string, string>) => OpenCall {
  // By default it would refuse answers while it has so much to send.
  const session = connectHttp2(server.endpoint, { maxSessionMemory: 1000 });
  session.on('error', () => {});
  t.after(() => session.destroy());
  return (path, headers = {}) => {
    const fields = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
    const stream = session.request({ ...fields, ...headers });
    const call: OpenCall = { write: (bytes) => void stream.write(bytes), status: undefined };
    const note = (found: Record<string, unknown>): void => {
      if (found['grpc-status'] !== undefined) call.status = String(found['grpc-status']);
    };
    stream
      .on('response', note)
      .on('trailers', note)
      .on('error', () => {});
    stream.resume();
    return call;
  };
}

test('requests that come a byte at a time, or not at all, end with DEADLINE_EXCEEDED', async (t) => {
  const server = await underAttack(t, '--request-read-timeout=2s');
  const call = caller(t, server);
  await server.bears(t, async () => {
    const calls = [PUT, RANGE, WATCH].map((path) => call(path));
    for (const each of calls) each.write(framed(Buffer.alloc(0), 0, 1000));
    const silent = call(PUT);
    await until(async () => {
      for (const each of calls) if (each.status === undefined) each.write(Buffer.from([0]));
      await pause(100);
      return [...calls, silent].every(({ status }) => status !== undefined);
    }, 'all are ended');
    for (const { status } of [...calls, silent]) assert.equal(status, String(STATUS.deadlineExceeded));
  });
  assert.equal(await server.refused('request_timeout'), 4);
});

test('a watch whose requests come late goes on', async (t) => {
  const server = await underAttack(t, '--request-read-timeout=1s');
  const channel = await Channel.connect(server.endpoint);
  t.after(() => channel.close());
  const watch = channel.stream(WATCH);
  for (let i = 0; i < 3; i++) {
    watch.send(watchRequest.encode({ createRequest: { key: Buffer.from('a') } }));
    assert.ok(await watch.receive());
    await pause(1500);
  }
  assert.equal(await server.refused('request_timeout'), 0);
});

test('many large requests that are never complete end their connection', async (t) => {
  const server = await underAttack(t, '--max-queued-bytes=67108864');
  await server.bears(t, async () => {
    const hostile = greet(server);
    const piece = Buffer.alloc(16_384);
    for (let stream = 1; stream < 400 && !hostile.isClosed; stream += 2) {
      hostile.socket.write(
        Buffer.concat([callFrame(stream, PUT), dataFrame(stream, framed(piece.subarray(5), 0, MB))]),
      );
      for (let i = 0; i < 50 && !hostile.isClosed; i++)
        if (!hostile.socket.write(dataFrame(stream, piece))) await pause(1);
    }
    await until(() => hostile.isClosed, 'it is closed');
  });
  assert.equal(await server.refused('unfinished_requests'), 1);
});

test('messages that are too large, or unfold to what is', async (t) => {
  const server = await underAttack(t);
  const call = caller(t, server);
  const bomb = framed(gzipSync(Buffer.alloc(200 * MB)), 1);
  await server.bears(t, async () => {
    const large = Array.from({ length: 20 }, () => call(PUT));
    for (const each of large) each.write(framed(Buffer.alloc(1000), 0, 3 * MB));
    const bombs = Array.from({ length: 50 }, () => call(PUT, { 'grpc-encoding': 'gzip' }));
    for (const each of bombs) each.write(bomb);
    await until(() => [...large, ...bombs].every(({ status }) => status !== undefined), 'all are answered');
    for (const { status } of [...large, ...bombs]) assert.equal(status, String(STATUS.resourceExhausted));
  });
  assert.equal(await server.refused('message_size'), 70);
});

const STREAMS = 100_000;
const STREAMS_MAX = 10_000;

test(`${STREAMS} calls at a time`, { timeout: 120_000 }, async (t) => {
  const server = await underAttack(t, `--max-total-streams=${STREAMS_MAX}`);
  let streams = 0;
  // Each connection may have a few, however many there are.
  const streamsMax = STREAMS_MAX + 25 * 8 + 2;
  await server.bears(
    t,
    async () => {
      const perConnection = 4000;
      for (let i = 0; i < STREAMS / perConnection; i++) {
        const hostile = greet(server);
        for (let first = 1; first < 2 * perConnection; first += 200) {
          const calls = Array.from({ length: 100 }, (_, j) => callFrame(first + 2 * j, WATCH));
          if (!hostile.socket.write(Buffer.concat(calls))) await pause(1);
        }
      }
      // Those that are refused are open for a moment.
      const decided = async (): Promise<boolean> => {
        streams = (await server.metrics()).get('etcdkit_streams')!;
        return streams + (await server.refused('streams')) <= STREAMS + 2;
      };
      const isAllThere = async (): Promise<boolean> =>
        (await server.refused('streams')) >= STREAMS - streamsMax;
      await until(isAllThere, 'all have come', 60_000);
      await until(decided, 'all others are refused', 60_000);
    },
    { growthMb: 800 },
  );
  t.diagnostic(`${streams} streams`);
  assert.ok(streams <= streamsMax, `${streams} streams`);
  await (await Channel.connect(server.endpoint)).close();
});

async function withLargeValue(server: Attacked): Promise<Channel> {
  const channel = await Channel.connect(server.endpoint);
  await put(channel, 'large', 'x'.repeat(MB));
  return channel;
}

const RANGE_LARGE = framed(rangeRequest.encode({ key: Buffer.from('large') }));

test('answers of 1 MB that nobody takes', { timeout: 120_000 }, async (t) => {
  const server = await underAttack(t, '--max-queued-bytes=67108864');
  const channel = await withLargeValue(server);
  await server.bears(t, async () => {
    const deaf = Array.from({ length: 10 }, () => greet(server, NO_WINDOW));
    for (let stream = 1; stream < 400; stream += 2) {
      const call = Buffer.concat([callFrame(stream, RANGE), dataFrame(stream, RANGE_LARGE, FLAG.endStream)]);
      for (const { socket } of deaf) socket.write(call);
      await pause(1);
    }
    await until(async () => (await server.metrics()).get('etcdkit_postponed_requests')! > 1500, 'most wait');
    const held = (await server.metrics()).get('etcdkit_queued_bytes{what="replies"}')!;
    assert.ok(held <= 80 * MB, `${held} bytes`);
    await until(async () => (await server.refused('unread_replies')) > 0, 'the slowest have to go', 30_000);
    await until(
      async () => (await server.metrics()).get('etcdkit_queued_bytes{what="replies"}')! <= 64 * MB,
      'there is room',
    );
  });
  await channel.close();
});

test('answers of 1 MB over the gateway that nobody takes', { timeout: 120_000 }, async (t) => {
  const server = await underAttack(t, '--max-queued-bytes=67108864');
  const channel = await withLargeValue(server);
  const body = JSON.stringify({ key: Buffer.from('large').toString('base64') });
  const head = `POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`;
  await server.bears(
    t,
    async () => {
      for (let i = 0; i < 60; i++) {
        const deaf = server.dial();
        deaf.socket.pause();
        deaf.socket.write(`${head}${body}`.repeat(20));
      }
      await until(async () => (await heldAnswers(server)) > 64 * MB, 'they wait');
      await until(async () => (await server.refused('unread_replies')) > 0, 'the slowest have to go', 30_000);
      await until(async () => (await heldAnswers(server)) <= 64 * MB, 'there is room');
    },
    { growthMb: 700 },
  );
  await channel.close();
});

const heldAnswers = async (server: Attacked): Promise<number> =>
  (await server.metrics()).get('etcdkit_queued_bytes{what="http_answers"}')!;

test('a client that takes its answers late has all of them', async (t) => {
  const server = await underAttack(t, '--max-queued-bytes=16777216');
  const channel = await withLargeValue(server);
  const late = greet(server, NO_WINDOW);
  let bytes = 0;
  late.socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
  for (let stream = 1; stream < 100; stream += 2)
    late.socket.write(
      Buffer.concat([callFrame(stream, RANGE), dataFrame(stream, RANGE_LARGE, FLAG.endStream)]),
    );
  await until(async () => (await server.metrics()).get('etcdkit_postponed_requests')! > 0, 'some wait');
  const window = Buffer.from([0x7f, 0xff, 0, 0]);
  const settings = encodeFrame(FRAME.settings, 0, 0, Buffer.from([0, 4, 0x7f, 0, 0, 0]));
  late.socket.write(Buffer.concat([settings, encodeFrame(FRAME.windowUpdate, 0, 0, window)]));
  await until(() => bytes > 50 * MB, 'it has all of them');
  assert.equal((await server.metrics()).get('etcdkit_postponed_requests'), 0);
  await channel.close();
});

test('a hundred watches of large values that nobody reads', { timeout: 120_000 }, async (t) => {
  const server = await underAttack(t);
  const create = framed(watchRequest.encode({ createRequest: { key: Buffer.from('large') } }));
  const channel = await withLargeValue(server);
  await server.bears(
    t,
    async () => {
      for (let i = 0; i < 100; i++) {
        const deaf = greet(server, NO_WINDOW);
        deaf.socket.write(Buffer.concat([callFrame(1, WATCH), dataFrame(1, create)]));
      }
      await pause(500);
      for (let i = 0; i < 300; i++) await put(channel, 'large', String(i).padEnd(MB, '.'));
      await until(
        async () => (await server.metrics()).get('etcdkit_stalled_streams') === 100,
        'all are stalled',
      );
    },
    { growthMb: 220 },
  );
  const metrics = await server.metrics();
  assert.equal(metrics.get('etcd_debugging_mvcc_slow_watcher_total'), 100);
  t.diagnostic(`queued: ${metrics.get('etcdkit_queued_bytes{what="stream_messages"}')! / MB} MB`);
  await channel.close();
});
