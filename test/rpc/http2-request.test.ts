/** Requests over HTTP/2 that are no gRPC, in the account of their connection. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { test, type TestContext } from 'node:test';
import type { BodyAccount } from '../../src/rpc/http-call.ts';
import { startServer } from '../../src/rpc/http2-server.ts';
import type { Limits } from '../../src/rpc/limits.ts';
import type { ServerStats } from '../../src/rpc/stats.ts';
import { listenTls } from '../server/gateway/tls-port.ts';
import { until } from './server-under-test.ts';

const MB = 1 << 20;

interface Under {
  stats: ServerStats;
  /** A client under TLS, with a window of so many bytes for each answer. */
  dial(initialWindowSize: number): ClientHttp2Session;
}

async function start(
  t: TestContext,
  http2: (request: IncomingMessage, response: ServerResponse) => void,
  limits: Partial<Limits>,
): Promise<Under> {
  const server = await startServer({
    listen: { host: '127.0.0.1', port: 0 },
    methods: [],
    http1: http2,
    http2,
    limits,
  });
  t.after(() => server.close({ graceMs: 0 }));
  const port = await listenTls(t, (socket) => server.accept(socket));
  const dial = (initialWindowSize: number): ClientHttp2Session => {
    const session = connect(`https://127.0.0.1:${port}`, {
      rejectUnauthorized: false,
      settings: { initialWindowSize },
    });
    session.on('error', () => {});
    t.after(() => session.destroy());
    return session;
  };
  return { stats: server.stats, dial };
}

const asked = (session: ClientHttp2Session): ClientHttp2Stream =>
  session.request({ ':path': '/large' }).on('error', () => {});

test('answers that are not taken are replies; further requests wait, and are answered once they are', async (t) => {
  const answer = (_: IncomingMessage, response: ServerResponse): void =>
    void response.writeHead(200).end(Buffer.alloc(MB));
  const { stats, dial } = await start(t, answer, { heldBytesMax: 8 * MB });
  const session = dial(0);
  await once(session, 'remoteSettings');
  const streams = Array.from({ length: 10 }, () => asked(session));
  await until(() => stats.postponed === 8, 'the others wait');
  assert.equal(stats.replyBytes, 2 * MB);
  assert.equal(stats.heldBytes >= 2 * MB, true);
  session.settings({ initialWindowSize: MB });
  await Promise.all(
    streams.map(async (stream) => {
      let bytes = 0;
      for await (const part of stream) bytes += (part as Buffer).length;
      assert.equal(bytes, MB);
    }),
  );
  await until(() => stats.replyBytes === 0 && stats.postponed === 0, 'nothing is held');
});

test('an answer that is still being made counts among the messages of streams', async (t) => {
  const { stats, dial } = await start(t, (_, response) => void response.write(Buffer.alloc(MB)), {});
  const session = dial(0);
  const stream = asked(session);
  await until(() => stats.queuedBytes === MB, 'it is seen');
  assert.equal(stats.replyBytes, 0);
  stream.close(constants.NGHTTP2_CANCEL);
  await until(() => stats.queuedBytes === 0, 'it is gone');
});

test('a client that takes no answers has to go when all together hold too much', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const answer = (_: IncomingMessage, response: ServerResponse): void =>
    void response.writeHead(200).end(Buffer.alloc(MB));
  const { stats, dial } = await start(t, answer, { heldBytesMax: MB });
  const session = dial(0);
  asked(session);
  await until(() => stats.replyBytes === MB, 'it is held');
  stats.answerBytes += MB;
  const { now } = performance;
  performance.now = () => now.call(performance) + 20_000;
  t.mock.timers.tick(1000);
  performance.now = now;
  await until(() => session.destroyed, 'it is closed');
  assert.equal(stats.refused.unread_replies, 1);
  stats.answerBytes -= MB;
  await until(() => stats.replyBytes === 0, 'nothing is held');
  t.mock.timers.tick(1000);
  assert.equal(stats.heldBytes, 0);
});

test('bodies beyond the share of a connection end it', async (t) => {
  const keep = (request: IncomingMessage): void => {
    let size = 0;
    const { account } = request as IncomingMessage & { account: BodyAccount };
    request.on('error', () => {}).on('data', (chunk: Buffer) => account.hold((size += chunk.length)));
  };
  const { stats, dial } = await start(t, keep, { heldBytesMax: 8 * MB });
  const session = dial(MB);
  for (let i = 0; i < 5; i++) {
    const stream = session.request({ ':method': 'POST', ':path': '/' }).on('error', () => {});
    stream.write(Buffer.alloc(MB / 2));
  }
  await until(() => session.destroyed, 'it is closed');
  assert.equal(stats.refused.unfinished_requests, 1);
  await until(() => stats.heldBytes === 0, 'nothing is held');
});
