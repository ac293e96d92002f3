/** Floods of HTTP/2 frames that cost a client little: headers, continuations, resets, pings, settings, windows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callFrame, encodeFrame, FLAG, FRAME, PREFACE, resetFrame } from '../rpc/raw-client.ts';
import { type Attacked, pause, underAttack, until, type Victim } from './under-attack.ts';

const WATCH = '/etcdserverpb.Watch/Watch';
const SETTINGS = encodeFrame(FRAME.settings, 0, 0);
const FRAME_SIZE_MAX = 16_384;

/** A literal without a table, or one that goes into it; any length. */
function header(name: string, value: string, first = 0): Buffer {
  return Buffer.concat([Buffer.from([first]), text(name), text(value)]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

function callHeaders(path: string): Buffer {
  const fields = { ':method': 'POST', ':scheme': 'http', ':path': path, 'content-type': 'application/grpc' };
  return Buffer.concat(Object.entries(fields).map(([name, value]) => header(name, value)));
}

/** A block of headers as HEADERS and as many CONTINUATION as it takes. */
function blockFrames(stream: number, block: Buffer): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at < block.length; at += FRAME_SIZE_MAX) {
    const isLast = at + FRAME_SIZE_MAX >= block.length;
    const type = at === 0 ? FRAME.headers : FRAME.continuation;
    const piece = block.subarray(at, at + FRAME_SIZE_MAX);
    frames.push(encodeFrame(type, isLast ? FLAG.endHeaders : 0, stream, piece));
  }
  return Buffer.concat(frames);
}

const greet = (server: Attacked, ...more: Buffer[]): Victim =>
  server.dial(Buffer.concat([PREFACE, SETTINGS, encodeFrame(FRAME.settings, FLAG.ack, 0), ...more]));

/** Writes one after the other for as long as the connection is there. */
async function flood(victim: Victim, frames: (index: number) => Buffer, count: number): Promise<void> {
  for (let i = 0; i < count && !victim.isClosed; i++) {
    if (!victim.socket.write(frames(i))) await pause(1);
  }
}

async function sumOf(server: Attacked, reasons: readonly string[]): Promise<number> {
  let sum = 0;
  for (const reason of reasons) sum += await server.refused(reason);
  return sum;
}

test('headers that unfold to gigabytes, or name a path without end', async (t) => {
  const server = await underAttack(t);
  await server.bears(t, async () => {
    const bomber = greet(server);
    await pause(100);
    // 4 KB in the table, and 16,000 times a reference to it: each costs a byte.
    const references = Buffer.alloc(16_000, 0x80 | 62);
    const filled = header('x', 'x'.repeat(4000), 0x40);
    const bomb = Buffer.concat([callHeaders(WATCH), filled, references]);
    await flood(bomber, (i) => blockFrames(2 * i + 1, bomb), 200);
    await until(async () => (await server.refused('headers')) === 200, 'they are counted');
    // So long that nghttp2 gives the connection up, and says so to nobody.
    const long = greet(server);
    await pause(100);
    await flood(long, (i) => blockFrames(2 * i + 1, callHeaders(`/${'x'.repeat(100_000)}`)), 200);
    await until(() => long.isClosed, 'it is closed');
  });
  assert.equal(await server.refused('headers'), 201);
  assert.equal(await server.refused('silence'), 1);
  assert.equal((await server.metrics()).get('etcdkit_streams'), 0);
});

test('a client that goes on with such headers has to go', async (t) => {
  const server = await underAttack(t);
  await server.bears(t, async () => {
    const long = greet(server);
    await pause(100);
    const block = Buffer.concat([callHeaders(`/${'x'.repeat(40_000)}`), header('more', 'x'.repeat(40_000))]);
    await flood(long, (i) => blockFrames(2 * i + 1, block), 3000);
    await until(() => long.isClosed, 'it is closed');
  });
  assert.ok((await server.refused('headers')) > 500);
});

test('CONTINUATION without end', async (t) => {
  const server = await underAttack(t);
  await server.bears(t, async () => {
    const victims = Array.from({ length: 20 }, () =>
      greet(server, encodeFrame(FRAME.headers, 0, 1, callHeaders(WATCH))),
    );
    const more = encodeFrame(FRAME.continuation, 0, 1, header('x', 'x'.repeat(10_000)));
    const empty = encodeFrame(FRAME.continuation, 0, 1);
    await Promise.all(victims.map((victim, i) => flood(victim, () => (i % 2 === 0 ? more : empty), 20_000)));
    await until(() => victims.every(({ isClosed }) => isClosed), 'all are closed');
  });
  assert.equal(await server.refused('flood'), 20);
});

test('calls that are cancelled as they are made', async (t) => {
  const server = await underAttack(t);
  await server.bears(t, async () => {
    const victims = Array.from({ length: 10 }, () => greet(server));
    const rapid = Array.from({ length: 20_000 }, (_, i) =>
      Buffer.concat([callFrame(2 * i + 1, WATCH), resetFrame(2 * i + 1)]),
    );
    const many = Array.from({ length: 200 }, (_, i) => Buffer.concat(rapid.slice(i * 100, i * 100 + 100)));
    await Promise.all(victims.map((victim) => flood(victim, (i) => many[i]!, many.length)));
    await until(() => victims.every(({ isClosed }) => isClosed), 'all are closed', 30_000);
  });
  assert.equal(await sumOf(server, ['moved', 'resets']), 10);
  const cancelled = (await server.metrics()).get('etcdkit_cancelled_streams_total')!;
  assert.ok(cancelled > 0 && cancelled <= 10_010, `${cancelled}`);
});

for (const [what, frame, reasons] of [
  ['pings', encodeFrame(FRAME.ping, 0, 0, Buffer.from('12345678')), ['pings', 'flood']],
  ['settings', SETTINGS, ['flood']],
  ['settings of the window', encodeFrame(FRAME.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])), ['flood']],
  ['empty DATA', encodeFrame(FRAME.data, 0, 1), ['flood']],
] as const) {
  test(`a flood of ${what}, whose answers nobody reads`, async (t) => {
    const server = await underAttack(t);
    await server.bears(t, async () => {
      const victims = Array.from({ length: 10 }, () => greet(server, callFrame(1, WATCH)));
      await pause(100);
      for (const { socket } of victims) socket.pause();
      const many = Buffer.concat(Array.from({ length: 1000 }, () => frame));
      await Promise.all(victims.map((victim) => flood(victim, () => many, 200)));
      const isOver = async (): Promise<boolean> =>
        (await server.metrics()).get('etcdkit_connections{protocol="http2"}') === 1;
      await until(isOver, 'all are closed', 30_000);
    });
    assert.equal(await sumOf(server, reasons), 10);
  });
}
