/** The gateway over methods made for it: what calls carry, and how they end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { request as requestTls } from 'node:https';
import { test, type TestContext } from 'node:test';
import { rangeResponse } from '../../../src/format/proto/kvpb.ts';
import { rangeRequest } from '../../../src/format/proto/rpcpb.ts';
import { watchRequest, watchResponse } from '../../../src/format/proto/watchpb.ts';
import { startServer } from '../../../src/rpc/http2-server.ts';
import { MethodTable } from '../../../src/rpc/methods.ts';
import type { Call, Methods, Stream } from '../../../src/rpc/seam.ts';
import { RpcError, STATUS } from '../../../src/rpc/status.ts';
import { Gateway, type GatewayOptions } from '../../../src/server/gateway/gateway.ts';
import type { HttpHandler } from '../../../src/server/monitor/http-exchange.ts';
import { listenHttp } from '../../../src/server/monitor/http-listener.ts';
import { keptLog } from '../monitor/healthy-view.ts';
import { ask } from '../monitor/http-client.ts';
import { IDENTITY, listenTls } from './tls-port.ts';

const RANGE = '/etcdserverpb.KV/Range';
const WATCH = '/etcdserverpb.Watch/Watch';
const SIZE_MAX = 1000;

interface Started {
  url: string;
  gateway: Gateway;
  log: ReturnType<typeof keptLog>;
}

async function start(
  t: TestContext,
  methods: Methods,
  change: Partial<GatewayOptions> = {},
): Promise<Started> {
  const log = keptLog();
  const table = new MethodTable([methods], [WATCH]);
  const gateway = new Gateway({
    methods: () => table,
    emulated: () => '3.6',
    messageSizeMax: SIZE_MAX,
    log,
    ...change,
  });
  const listener = await listenHttp('http://127.0.0.1:0', (asked, response) => {
    if (gateway.refuse(asked, response)) return;
    if (!gateway.answer(asked, response)) response.writeHead(418).end();
  });
  t.after(() => listener.close(0));
  return { url: listener.url, gateway, log };
}

const post = (url: string, path: string, body = '{}', headers = {}) =>
  ask(`${url}${path}`, { method: 'POST', headers }, body);

/** A call that stays open, and what comes of it. */
async function openWatch(
  url: string,
  body: string,
): Promise<{ sent: ClientRequest; response: IncomingMessage }> {
  const sent = request(`${url}/v3/watch`, { method: 'POST', agent: false });
  sent.on('error', () => {});
  sent.write(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  response.on('error', () => {}).setEncoding('utf8');
  return { sent, response };
}

/** Resolves when a call is over. */
const over = (signal: AbortSignal): Promise<RpcError> =>
  new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(signal.reason as RpcError));
  });

const note = (watchId: bigint): Uint8Array => watchResponse.encode({ watchId });

test('a call carries its headers and its client, and no name of a certificate', async (t) => {
  let seen: Call | undefined;
  const range = (bytes: Uint8Array, call: Call): Uint8Array => {
    seen = call;
    return rangeResponse.encode({ count: Number(rangeRequest.decode(bytes).limit) });
  };
  const { url } = await start(t, { unary: { [RANGE]: range } });
  const answer = await post(url, '/v3/kv/range', '{"limit":7}', { authorization: 'Bearer x' });
  assert.equal(answer.body, '{"count":"7"}');
  assert.equal(answer.headers['content-length'], '13');
  assert.equal(seen?.path, RANGE);
  assert.equal(seen.metadata.get('authorization'), 'Bearer x');
  assert.match(seen.peer, /^127\.0\.0\.1:\d+$/);
  assert.equal(seen.commonName, undefined);
});

test('a path of ours without a method says so, others are not ours', async (t) => {
  const { url } = await start(t, { unary: { [RANGE]: () => new Uint8Array() } });
  const answer = await post(url, '/v3/auth/status');
  assert.equal(answer.code, 501);
  assert.equal(answer.body, '{"code":12,"message":"unknown service etcdserverpb.Auth"}');
  assert.equal(
    (await post(url, '/v3/kv/put')).body,
    '{"code":12,"message":"unknown method Put for service etcdserverpb.KV"}',
  );
  for (const path of ['/health', '/v3x/kv/range', '/v3/../health', '/v3/%zz'])
    assert.equal((await post(url, path)).code, 418, path);
});

test('who fails for a reason of his own is told, and logged', async (t) => {
  const range = (): never => {
    throw new TypeError('broken');
  };
  const { url, log } = await start(t, { unary: { [RANGE]: range } });
  assert.equal((await post(url, '/v3/kv/range')).body, '{"code":13,"message":"broken"}');
  assert.equal(log.lines.length, 1);
});

test('who is not known is asked to say', async (t) => {
  const range = (): never => {
    throw new RpcError(STATUS.unauthenticated, 'etcdserver: invalid auth token');
  };
  const { url } = await start(t, { unary: { [RANGE]: range } });
  const answer = await post(url, '/v3/kv/range');
  assert.equal(answer.code, 401);
  assert.equal(answer.headers['www-authenticate'], 'etcdserver: invalid auth token');
});

test('messages and bodies that are too long', async (t) => {
  const { url } = await start(t, { unary: { [RANGE]: () => new Uint8Array() } });
  const message = await post(url, '/v3/kv/range', JSON.stringify({ key: 'A'.repeat(1400) }));
  assert.equal(message.code, 429);
  assert.match(message.body, /received message larger than max \(1053 vs\. 1000\)/);
  const body = await post(url, '/v3/kv/range', JSON.stringify({ key: 'A'.repeat(3_000_000) }));
  assert.equal(body.code, 429);
  // What is behind the message is not kept.
  assert.equal((await post(url, '/v3/kv/range', `{}${' x'.repeat(1_000_000)}`)).code, 200);
});

test('a client that goes away ends its call', async (t) => {
  let ended: Promise<RpcError> | undefined;
  let began = (): void => {};
  const begun = new Promise<void>((resolve) => {
    began = resolve;
  });
  const range = (_: Uint8Array, { signal }: Call): Promise<Uint8Array> => {
    ended = over(signal);
    began();
    return new Promise(() => {});
  };
  const { url } = await start(t, { unary: { [RANGE]: range } });
  const sent = request(`${url}/v3/kv/range`, { method: 'POST', agent: false }).on('error', () => {});
  sent.end('{}');
  await begun;
  sent.destroy();
  assert.equal((await ended)?.status, STATUS.cancelled);
});

test('time that is up ends a call whose method does not care', async (t) => {
  const { url } = await start(t, { unary: { [RANGE]: () => new Promise(() => {}) } });
  const answer = await post(url, '/v3/kv/range', '{}', { 'grpc-timeout': '30m' });
  assert.equal(answer.code, 504);
  assert.equal(answer.body, '{"code":4,"message":"context deadline exceeded"}');
});

test('messages come and go as they please', async (t) => {
  const watch = async (stream: Stream): Promise<void> => {
    for (;;) {
      const bytes = await stream.receive();
      if (bytes === undefined) return;
      stream.send(note(watchRequest.decode(bytes).cancelRequest!.watchId));
    }
  };
  const { url } = await start(t, { stream: { [WATCH]: watch } });
  const { sent, response } = await openWatch(url, '{"cancel_request":{"watch_id":1}}{"cancel_re');
  assert.deepEqual(await once(response, 'data'), ['{"result":{"watch_id":"1"}}\n']);
  sent.write('quest":{"watchId":"2"}}');
  assert.deepEqual(await once(response, 'data'), ['{"result":{"watch_id":"2"}}\n']);
  sent.end();
  await once(response, 'end');
});

test('what is sent waits for a client that does not read, and so does what it sends itself', async (t) => {
  let sentCount = 0;
  let receivedCount = 0;
  let queuedMax = 0;
  const watch = async (stream: Stream): Promise<void> => {
    const big = watchResponse.encode({ cancelReason: 'x'.repeat(10_000) });
    for (; sentCount < 5000; sentCount++) {
      queuedMax = Math.max(queuedMax, stream.queuedBytes);
      if (!stream.send(big)) await stream.drained();
    }
    while ((await stream.receive()) !== undefined) receivedCount++;
  };
  const { url } = await start(t, { stream: { [WATCH]: watch } });
  const { sent, response } = await openWatch(url, '{}'.repeat(500));
  response.pause();
  let written = 0;
  for (; written < 5000 && sent.write('{"unknown":"and long"}'.repeat(1000)); written++)
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  await new Promise((resolve) => {
    setTimeout(resolve, 100);
  });
  assert.ok(sentCount < 5000, `${sentCount} of 5000 were sent`);
  assert.ok(queuedMax < 200_000, `${queuedMax} bytes were queued`);
  assert.ok(written < 5000);
  sent.end();
  response.resume();
  await once(response, 'end');
  assert.equal(sentCount, 5000);
  assert.equal(receivedCount, 500 + (written + 1) * 1000);
});

test('a stream that fails: before its first line a status, behind it a line', async (t) => {
  const watch = async (stream: Stream): Promise<void> => {
    if (watchRequest.decode((await stream.receive())!).progressRequest) stream.send(note(1n));
    throw new RpcError(STATUS.permissionDenied, 'no');
  };
  const { url } = await start(t, { stream: { [WATCH]: watch } });
  const line = '{"error":{"code":7,"message":"no"}}\n';
  const early = await post(url, '/v3/watch');
  assert.deepEqual([early.code, early.type, early.body], [403, 'application/json', line]);
  const late = await post(url, '/v3/watch', '{"progress_request":{}}');
  assert.deepEqual([late.code, late.body], [200, `{"result":{"watch_id":"1"}}\n${line}`]);
});

test('a server that closes ends what waits', async (t) => {
  const reasons: Promise<RpcError>[] = [];
  const watch = async (stream: Stream): Promise<void> => {
    reasons.push(over(stream.signal));
    stream.send(note(1n));
    await stream.receive();
    await stream.receive();
  };
  const { url, gateway } = await start(t, { stream: { [WATCH]: watch } });
  const { response } = await openWatch(url, '{}');
  assert.equal(String(await once(response, 'data')), '{"result":{"watch_id":"1"}}\n');
  gateway.leave();
  const last = String(await once(response, 'data'));
  assert.equal(last, '{"error":{"code":14,"message":"etcdserver: server stopped"}}\n');
  assert.equal((await reasons[0])?.message, 'etcdserver: server stopped');
  assert.equal((await post(url, '/v3/watch')).code, 503);
});

test('a name that would count for nothing is refused where the server says so', async (t) => {
  const methods = { unary: { [RANGE]: () => new Uint8Array() } };
  const { url } = await start(t, methods, { refusesNames: () => true });
  // Over a connection without TLS nobody has a name.
  assert.equal((await post(url, '/v3/kv/range')).code, 200);
});

/** Gives the port. */
async function startTls(t: TestContext, change: Partial<GatewayOptions> = {}): Promise<number> {
  const unary = { [RANGE]: () => rangeResponse.encode({ count: 1 }) };
  const watch = async (stream: Stream): Promise<void> => {
    stream.send(note(1n));
    await stream.receive();
    const big = watchResponse.encode({ cancelReason: 'x'.repeat(10_000) });
    for (let i = 0; i < 500; i++) if (!stream.send(big)) await stream.drained();
  };
  const methods = { unary, stream: { [WATCH]: watch } };
  const table = new MethodTable([methods]);
  const log = keptLog();
  const gateway = new Gateway({
    methods: () => table,
    emulated: () => '3.6',
    messageSizeMax: SIZE_MAX,
    log,
    ...change,
  });
  const answer: HttpHandler = (asked, response) => {
    if (gateway.refuse(asked, response)) return;
    if (!gateway.answer(asked, response)) response.writeHead(404).end('nothing');
  };
  const server = await startServer({
    listen: { host: '127.0.0.1', port: 0 },
    methods: [methods],
    http1: answer,
    http2: answer,
  });
  t.after(() => server.close({ graceMs: 0 }));
  return listenTls(t, (socket) => server.accept(socket));
}

async function over2(
  session: ClientHttp2Session,
  path: string,
  { type = 'application/json', body = '{}' }: { type?: string; body?: string | Uint8Array } = {},
): Promise<[status: unknown, body: string]> {
  const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': type });
  const answered = once(stream, 'response');
  stream.end(body);
  const [headers] = (await answered) as [Record<string, unknown>];
  let text = '';
  for await (const part of stream.setEncoding('utf8')) text += part as string;
  return [headers[':status'], text];
}

test('under TLS, HTTP/2 is for gRPC and for all else', async (t) => {
  const port = await startTls(t);
  const session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  t.after(() => session.destroy());
  assert.deepEqual(await over2(session, '/v3/kv/range'), [200, '{"count":"1"}']);
  assert.deepEqual(await over2(session, '/v3/kv/nothing'), [404, '{"code":5,"message":"Not Found"}']);
  assert.deepEqual(await over2(session, '/health'), [404, 'nothing']);
  const large = JSON.stringify({ key: 'A'.repeat(200_000) });
  assert.equal((await over2(session, '/v3/kv/range', { body: large }))[0], 429);
  const framed = Buffer.alloc(5);
  const grpc = await over2(session, RANGE, { type: 'application/grpc', body: framed });
  assert.deepEqual(grpc, [200, '\0\0\0\0\u0002 \u0001']);
  const stream = session.request({ ':method': 'POST', ':path': '/v3/watch' });
  stream.setEncoding('utf8').end('{}');
  assert.deepEqual(await once(stream, 'data'), ['{"result":{"watch_id":"1"}}\n']);
  let lines = 0;
  for await (const part of stream) lines += (part as string).split('\n').length - 1;
  assert.equal(lines, 500);
  // Those that are given up on their way in or out hurt nobody.
  for (const path of ['/v3/kv/range', '/v3/watch', '/health']) {
    const given = session.request({ ':method': 'POST', ':path': path });
    given.on('error', () => {}).write('{"key');
    setImmediate(() => given.close(constants.NGHTTP2_CANCEL));
    await once(given, 'close');
  }
  assert.deepEqual(await over2(session, '/v3/kv/range'), [200, '{"count":"1"}']);
});

test('HTTP/1.1 under TLS; who has a name is sent away where names count for nothing', async (t) => {
  const port = await startTls(t, { refusesNames: () => true });
  const options = {
    method: 'POST',
    port,
    host: '127.0.0.1',
    path: '/v3/kv/range',
    rejectUnauthorized: false,
  };
  const codeOf = async (identity: object): Promise<unknown> => {
    const sent = requestTls({ ...options, ...identity, agent: false }).end('{}');
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    response.resume();
    return response.statusCode;
  };
  assert.equal(await codeOf({}), 200);
  assert.equal(await codeOf(IDENTITY), 400);
});
