import assert from 'node:assert/strict';
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Channel } from '../../src/client/channel.ts';
import { startServer } from '../../src/rpc/http2-server.ts';
import { RpcError, STATUS } from '../../src/rpc/status.ts';
import { scratch } from '../support/scratch.ts';
import { serverUnderTest, text, type UnderTest, until, words } from './server-under-test.ts';

interface RawReply {
  headers: IncomingHttpHeaders;
  trailers: IncomingHttpHeaders | undefined;
  body: Buffer;
  rstCode: number;
}

/** One call with headers and a body as they are given. */
async function rawCall(
  under: UnderTest,
  headers: Record<string, string | string[] | undefined>,
  { body = Buffer.alloc(0), isOpen = false }: { body?: Buffer; isOpen?: boolean } = {},
): Promise<RawReply> {
  const session = connectHttp2(under.endpoint);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/test.Calls/Echo',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  const reply: RawReply = { headers: {}, trailers: undefined, body: Buffer.alloc(0), rstCode: -1 };
  stream.on('response', (fields) => {
    reply.headers = fields;
  });
  stream.on('trailers', (fields) => {
    reply.trailers = fields;
  });
  stream.on('data', (chunk: Buffer) => {
    reply.body = Buffer.concat([reply.body, chunk]);
  });
  if (headers[':method'] === 'GET') stream.end();
  else if (isOpen) stream.write(body);
  else stream.end(body);
  await new Promise((resolve, reject) => {
    stream.on('error', reject);
    stream.on('close', resolve);
  });
  reply.rstCode = stream.rstCode;
  session.destroy();
  return reply;
}

function framed(message: Uint8Array, flag = 0): Buffer {
  const prefix = Buffer.from([flag, 0, 0, 0, 0]);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

describe('a call on the wire', () => {
  let under: UnderTest;
  before(async () => {
    under = await serverUnderTest({ limits: { messageSizeMax: 1000 } });
  });
  after(() => under.end());

  const refused = async (
    headers: Record<string, string | undefined>,
    options?: { body?: Buffer; isOpen?: boolean },
  ): Promise<[unknown, unknown, unknown]> => {
    const { headers: fields } = await rawCall(under, headers, options);
    return [fields[':status'], fields['grpc-status'], fields['grpc-message']];
  };

  test('is answered with headers, data and trailers', async () => {
    const reply = await rawCall(under, {}, { body: framed(text('hello')) });
    const { ':status': status, 'content-type': type, ...others } = reply.headers;
    assert.deepEqual([status, type, Object.keys(others)], [200, 'application/grpc', []]);
    assert.deepEqual(reply.body, framed(text('hello')));
    assert.equal(reply.trailers?.['grpc-status'], '0');
    assert.equal(reply.rstCode, 0);
  });

  test('that fails has its status in the headers, and nothing else', async () => {
    const reply = await rawCall(under, { ':path': '/test.Calls/Fail' }, { body: framed(text('ключ')) });
    assert.equal(reply.headers['grpc-status'], String(STATUS.notFound));
    assert.equal(reply.headers['grpc-message'], 'etcdserver: %D0%BA%D0%BB%D1%8E%D1%87');
    assert.equal(reply.trailers, undefined);
  });

  test('is reset after its trailers when the client goes on sending', async () => {
    const reply = await rawCall(under, {}, { body: framed(text('x')), isOpen: true });
    assert.equal(reply.trailers?.['grpc-status'], '0');
    assert.equal(reply.rstCode, 0);
    const early = await rawCall(
      under,
      { ':path': '/test.Calls/Fail' },
      { body: framed(text('x')), isOpen: true },
    );
    assert.equal(early.headers['grpc-status'], String(STATUS.notFound));
  });

  test('to a path that nobody serves is UNIMPLEMENTED, in the words of grpc-go', async () => {
    const paths: [string, string][] = [
      ['/no.Service/Method', 'unknown service no.Service'],
      ['/test.Calls/Nothing', 'unknown method Nothing for service test.Calls'],
      ['/nothing', 'malformed method name: "/nothing"'],
    ];
    for (const [path, message] of paths)
      assert.deepEqual(await refused({ ':path': path }), [200, '12', message]);
  });

  test('that is no gRPC is refused by its HTTP status', async () => {
    const type = await refused({ 'content-type': 'text/plain' });
    assert.deepEqual(type, [415, '3', 'invalid gRPC request content-type "text/plain"']);
    const [status, code] = await refused({ ':method': 'GET' });
    assert.deepEqual([status, code], [405, '13']);
    assert.deepEqual(await refused({ 'grpc-timeout': '12x' }), [
      400,
      '13',
      'malformed grpc-timeout: transport: timeout unit is not recognized: "12x"',
    ]);
  });

  test('brings its metadata once, with the first value of a name that came twice', async () => {
    const headers = { ':path': '/test.Calls/Metadata', twice: ['first', 'last'], token: 'abc' };
    const { body } = await rawCall(under, headers, { body: framed(text('')) });
    const metadata = new Map(JSON.parse(words(body.subarray(5))) as [string, string][]);
    assert.deepEqual([metadata.get('twice'), metadata.get('token')], ['first', 'abc']);
    assert.equal(metadata.has(':path'), false);
  });

  test('of a message over the limit is RESOURCE_EXHAUSTED, before the message is there', async () => {
    const message = 'grpc: received message larger than max (1001 vs. 1000)';
    const body = framed(new Uint8Array(1001)).subarray(0, 10);
    assert.deepEqual(await refused({}, { body, isOpen: true }), [200, '8', message]);
    const whole = await rawCall(under, {}, { body: framed(new Uint8Array(1000)) });
    assert.equal(whole.trailers?.['grpc-status'], '0');
  });

  test('may come as gzip, and not grow beyond the limit', async () => {
    const zipped = framed(gzipSync('from gzip'), 1);
    const reply = await rawCall(under, { 'grpc-encoding': 'gzip' }, { body: zipped });
    assert.deepEqual(reply.body, framed(text('from gzip')));
    const bomb = framed(gzipSync(new Uint8Array(5000)), 1);
    assert.deepEqual(await refused({ 'grpc-encoding': 'gzip' }, { body: bomb }), [
      200,
      '8',
      'grpc: received message after decompression larger than max 1000',
    ]);
    assert.deepEqual(await refused({ 'grpc-encoding': 'snappy' }, { body: zipped }), [
      200,
      '12',
      'grpc: Decompressor is not installed for grpc-encoding "snappy"',
    ]);
    assert.deepEqual(await refused({}, { body: zipped }), [
      200,
      '13',
      'grpc: compressed flag set with identity or empty encoding',
    ]);
    const [, status] = await refused({ 'grpc-encoding': 'gzip' }, { body: framed(text('no gzip'), 1) });
    assert.equal(status, '13');
  });

  test('that ends before its message is INTERNAL', async () => {
    assert.deepEqual((await refused({})).slice(0, 2), [200, '13']);
    const [, status, message] = await refused({}, { body: framed(text('cut off')).subarray(0, 8) });
    assert.deepEqual([status, message], ['13', 'unexpected EOF']);
  });

  test('that meets a slip of ours is INTERNAL, and the slip is logged', async (t) => {
    const logged: Record<string, unknown>[] = [];
    const log = { warn: (fields: Record<string, unknown>) => logged.push(fields) };
    const other = await serverUnderTest({ log });
    t.after(() => other.end());
    const channel = await other.connect();
    await assert.rejects(channel.unary('/test.Calls/Break', text('')), /a slip/);
    assert.deepEqual([logged[0]?.['method'], logged[0]?.['error']], ['/test.Calls/Break', 'a slip']);
  });

  test('is cut off by the server at its deadline', async () => {
    const began = performance.now();
    const waiting = rawCall(
      under,
      { ':path': '/test.Calls/Wait', 'grpc-timeout': '40m' },
      { body: framed(text('')) },
    );
    const { headers } = await waiting;
    assert.deepEqual([headers['grpc-status'], headers['grpc-message']], ['4', 'context deadline exceeded']);
    assert.ok(performance.now() - began >= 39);
    assert.equal((under.seen.aborted.at(-1) as RpcError).status, STATUS.deadlineExceeded);
    const stream = await rawCall(under, { ':path': '/test.Streams/Wait', 'grpc-timeout': '10m' });
    assert.equal(stream.headers['grpc-status'], '4');
  });

  test('counts its connections and the calls that are open', async (t) => {
    const other = await serverUnderTest();
    t.after(() => other.end());
    const channel = await other.connect();
    for (const message of ['one', 'two']) await channel.unary('/test.Calls/Echo', text(message));
    await assert.rejects(channel.unary('/test.Calls/Fail', text('x')));
    await assert.rejects(channel.unary('/no.Service/No', text('x')));
    const { stats } = other.server;
    await until(() => stats.streams === 0, 'all streams are closed');
    assert.deepEqual([stats.connections, stats.connectionsTotal, stats.resets], [1, 1, 0]);
  });
});

describe('the end of a call', () => {
  test('reaches the handler when the client cancels, and when its connection is gone', async (t) => {
    const under = await serverUnderTest();
    t.after(() => under.end());
    const channel = await under.connect();
    for (const path of ['/test.Streams/Wait', '/test.Calls/Wait']) {
      const stream = channel.stream(path);
      const begun = under.seen.calls.length;
      stream.send(text(''));
      await until(() => under.seen.calls.length > begun, 'the call arrives');
      const ended = under.seen.aborted.length;
      stream.cancel();
      await until(() => under.seen.aborted.length > ended, 'the handler hears of it');
      assert.equal((under.seen.aborted.at(-1) as RpcError).status, STATUS.cancelled);
    }
    assert.equal(under.server.stats.resets, 2);
    const begun = under.seen.calls.length;
    const lost = channel.stream('/test.Streams/Wait');
    await until(() => under.seen.calls.length > begun, 'the call arrives');
    await channel.close();
    await assert.rejects(lost.receive(), RpcError);
    await until(() => under.seen.aborted.length === 3, 'the handler hears of the loss');
    assert.equal(under.server.stats.resets, 2);
    await until(() => under.server.stats.connections === 0, 'the connection is forgotten');
  });
});

describe('a port', () => {
  test('serves HTTP/1.1 beside gRPC', async (t) => {
    const under = await serverUnderTest();
    t.after(() => under.end());
    const body = await new Promise<string>((resolve, reject) => {
      const call = request(`${under.endpoint}/version`, (response) => {
        response.setEncoding('utf8').on('data', resolve);
      });
      call.on('error', reject).end();
    });
    assert.equal(body, 'http/1.1 /version');
    assert.equal(under.server.stats.http1Total, 1);
    const channel = await under.connect();
    assert.equal(words(await channel.unary('/test.Calls/Echo', text('both'))), 'both');
  });

  test('takes a preface that comes in pieces', async (t) => {
    const under = await serverUnderTest();
    t.after(() => under.end());
    const socket = connect(under.port, '127.0.0.1');
    t.after(() => socket.destroy());
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
    for (const piece of [preface.slice(0, 2), preface.slice(2, 20), preface.slice(20)]) {
      socket.write(piece, 'latin1');
      await new Promise((resolve) => {
        setTimeout(resolve, 10);
      });
    }
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    const first = await new Promise<Buffer>((resolve) => {
      socket.once('data', resolve);
    });
    assert.equal(first[3], 4, 'the first frame of a server is its settings');
  });

  test('can be a Unix socket, and a server can have several', async (t) => {
    const path = join(scratch(t), 'rpc.sock');
    const server = await startServer({
      listen: [{ path }, { host: '127.0.0.1', port: 0 }],
      methods: [{ unary: { '/test.Calls/Peer': (_, call) => text(call.peer) } }],
      http1: (_, response) => response.end(),
    });
    t.after(() => server.close({ graceMs: 0 }));
    assert.equal(server.ports[0], 0);
    for (const [endpoint, peer] of [
      [`unix:${path}`, /^local$/],
      [`127.0.0.1:${server.ports[1]}`, /^127\.0\.0\.1:\d+$/],
    ] as const) {
      const channel = await Channel.connect(endpoint);
      t.after(() => channel.close());
      assert.match(words(await channel.unary('/test.Calls/Peer', text(''))), peer);
    }
  });

  test('that cannot be had fails the start, and leaves nothing open', async (t) => {
    const under = await serverUnderTest();
    t.after(() => under.end());
    const taken = { host: '127.0.0.1', port: under.port };
    const failing = startServer({
      listen: [{ host: '127.0.0.1', port: 0 }, taken],
      methods: [],
      http1: (_, response) => response.end(),
    });
    await assert.rejects(failing, { code: 'server.listen', message: /cannot listen on .*EADDRINUSE/ });
  });
});

describe('closing', () => {
  test('lets open calls finish, and takes no new ones', async (t) => {
    const under = await serverUnderTest();
    t.after(() => under.end());
    const channel = await under.connect();
    const stream = channel.stream('/test.Streams/Echo');
    stream.send(text('one'));
    assert.equal(words(await stream.receive()), 'one');
    const closed = under.server.close({ graceMs: 5000 });
    await until(() => channel.isClosed, 'the client is told to go');
    await assert.rejects(channel.unary('/test.Calls/Echo', text('')), RpcError);
    await assert.rejects(under.connect(), RpcError);
    stream.send(text('two'));
    assert.equal(words(await stream.receive()), 'two');
    stream.end();
    assert.equal(await stream.receive(), undefined);
    await closed;
    assert.equal(under.server.stats.connections, 0);
  });

  test('cuts off what is left when the grace is over, and at once when it is told to', async (t) => {
    for (const isHurried of [false, true]) {
      const under = await serverUnderTest();
      t.after(() => under.end());
      const channel = await under.connect();
      const stream = channel.stream('/test.Streams/Wait');
      await until(() => under.seen.calls.length === 1, 'the call arrives');
      const began = performance.now();
      const closed = under.server.close({ graceMs: isHurried ? 60_000 : 100 });
      if (isHurried) void under.server.close({ graceMs: 0 });
      await closed;
      const tookMs = performance.now() - began;
      assert.ok(isHurried ? tookMs < 1000 : tookMs >= 99 && tookMs < 2000, `${tookMs} ms`);
      await assert.rejects(stream.receive(), RpcError);
      await until(() => under.seen.aborted.length === 1, 'the handler hears of it');
    }
  });

  test('waits for a request over HTTP/1.1, and not for a connection that is kept alive', async (t) => {
    let requests = 0;
    const under = await serverUnderTest({
      http1: (_, response) => {
        requests++;
        setTimeout(() => response.end('done'), 100);
      },
    });
    t.after(() => under.end());
    const answered = new Promise<string>((resolve, reject) => {
      request({ port: under.port, host: '127.0.0.1', headers: { connection: 'keep-alive' } }, (response) => {
        response.setEncoding('utf8').on('data', resolve);
      })
        .on('error', reject)
        .end();
    });
    await until(() => requests === 1, 'it arrives');
    const closed = under.server.close({ graceMs: 10_000 });
    assert.equal(await answered, 'done');
    const began = performance.now();
    await closed;
    assert.ok(performance.now() - began < 1000);
  });
});
