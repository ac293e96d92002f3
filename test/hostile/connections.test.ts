/** Connections: too many of them, and those that say nothing, little, or never stop. HTTP/1.1 is here as well. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Channel } from '../../src/client/channel.ts';
import { callFrame, encodeFrame, FRAME, PREFACE } from '../rpc/raw-client.ts';
import { MB, pause, underAttack, until, type Victim } from './under-attack.ts';

/** Short times, so that what they end ends within a test. */
const QUICK = ['--handshake-timeout=1s', '--request-read-timeout=2s'];

test('connections that say nothing, or half a preface, are closed; until then no others are let in', async (t) => {
  const server = await underAttack(t, '--max-connections=100', '--handshake-timeout=3s');
  await server.bears(t, async () => {
    const dialled = Array.from({ length: 300 }, (_, i) => server.dial(i % 2 === 0 ? '' : 'PRI * HTTP'));
    await until(
      () => dialled.filter(({ isClosed }) => isClosed).length >= 201,
      'those over the limit are closed',
    );
    assert.ok(dialled.some(({ isClosed }) => !isClosed));
    // Whoever looks at the metrics is let in all the same.
    const metrics = await server.metrics();
    const open = ['http1', 'http2', 'unknown'].map((protocol) =>
      metrics.get(`etcdkit_connections{protocol="${protocol}"}`)!,
    );
    assert.equal(
      open.reduce((sum, count) => sum + count),
      100,
    );
    assert.equal(metrics.get('etcdkit_limit{flag="max-connections"}'), 100);
    await assert.rejects(Channel.connect(server.endpoint));
    await until(() => dialled.every(({ isClosed }) => isClosed), 'all are closed');
  });
  assert.ok((await server.refused('connections')) >= 201);
  assert.ok((await server.refused('handshake')) >= 99);
  await (await Channel.connect(server.endpoint)).close();
});

test('HTTP/2 whose settings do not come, or a byte at a time, is closed', async (t) => {
  const server = await underAttack(t, ...QUICK);
  await server.bears(t, async () => {
    const dialled = Array.from({ length: 100 }, () => server.dial(PREFACE, Buffer.from([0, 0, 0])));
    await until(() => dialled.every(({ isClosed }) => isClosed), 'all are closed');
  });
  assert.equal(await server.refused('silence'), 100);
  const told = server.log().match(/a connection was ended/g)!.length;
  assert.ok(told <= 30, `${told} lines in the log`);
});

test('a call whose headers come a byte at a time ends its connection', async (t) => {
  const server = await underAttack(t, '--grpc-keepalive-timeout=1s');
  const settings = encodeFrame(FRAME.settings, 0, 0);
  const call = callFrame(1, '/etcdserverpb.KV/Put');
  const dialled = Array.from({ length: 50 }, () => server.dial(PREFACE, settings, call.subarray(0, 12)));
  await server.bears(t, () => drip(dialled, '\0', 500));
  assert.equal(await server.refused('silence'), 50);
});

/** Says one more piece ever so often, until it is closed. */
async function drip(dialled: readonly Victim[], piece: string, everyMs: number): Promise<void> {
  await until(async () => {
    for (const { socket, isClosed } of dialled) if (!isClosed) socket.write(piece);
    await pause(everyMs);
    return dialled.every(({ isClosed }) => isClosed);
  }, 'all are closed');
}

test('HTTP/1.1 headers, and bodies, that come a byte at a time end with 408', async (t) => {
  const server = await underAttack(t, ...QUICK);
  await server.bears(t, async () => {
    const headers = Array.from({ length: 50 }, () => server.dial('GET /health HTTP/1.1\r\nHost: a\r\nX: '));
    await drip(headers, 'x', 200);
    assert.ok(headers.every(({ heard }) => heard.startsWith('HTTP/1.1 408 ')));
    const chunked = 'POST /health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
    await drip(
      Array.from({ length: 50 }, () => server.dial(chunked)),
      '1\r\nx\r\n',
      200,
    );
  });
  assert.equal(await server.refused('request_timeout'), 100);
});

test('HTTP/1.1 headers without end are refused, and so are bodies', async (t) => {
  const server = await underAttack(t);
  await server.bears(t, async () => {
    const headers = server.dial(`GET /health HTTP/1.1\r\nHost: a\r\n`);
    for (let i = 0; i < 100 && !headers.isClosed; i++) {
      headers.socket.write(`X-${i}: ${'x'.repeat(8192)}\r\n`);
      await pause(1);
    }
    await until(() => headers.isClosed, 'the headers are cut off');
    assert.match(headers.heard, /^HTTP\/1\.1 431 /);
    const path = server.dial(`GET /${'x'.repeat(100_000)} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await until(() => path.isClosed, 'so is the path');
    const chunk = `100000\r\n${'x'.repeat(MB)}\r\n`;
    const bodies = Array.from({ length: 20 }, () =>
      server.dial('POST /health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'),
    );
    for (let i = 0; i < 20; i++) {
      for (const { socket, isClosed } of bodies) if (!isClosed) socket.write(chunk);
      await pause(1);
    }
    await until(() => bodies.every(({ isClosed }) => isClosed), 'the bodies are cut off');
  });
  assert.equal(await server.refused('headers'), 2);
  assert.equal(await server.refused('message_size'), 20);
});

test('what is no HTTP is told so', async (t) => {
  const server = await underAttack(t);
  const wrong = server.dial('SSH-2.0-OpenSSH_9.6\r\n\r\n');
  await until(() => wrong.isClosed, 'it is closed');
  assert.match(wrong.heard, /^HTTP\/1\.1 400 /);
  assert.equal(await server.refused('malformed'), 1);
});

test('more requests at a time than anybody has answers for end the connection', async (t) => {
  const server = await underAttack(t);
  await server.bears(t, async () => {
    const requests = 'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(20_000);
    const dialled = Array.from({ length: 20 }, () => server.dial(requests));
    await until(() => dialled.every(({ isClosed }) => isClosed), 'all are closed');
  });
  assert.equal(await server.refused('flood'), 20);
});

test('a connection that is kept alive and says nothing is closed', async (t) => {
  const server = await underAttack(t, ...QUICK);
  const idle = server.dial('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => idle.heard.includes('200 OK'), 'it is answered');
  await until(() => idle.isClosed, 'it is closed once it has said nothing for long', 5000);
});
