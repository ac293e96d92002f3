import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { Channel } from '../../src/client/channel.ts';
import { RpcError, STATUS, type Status } from '../../src/rpc/status.ts';
import { selfSigned } from '../support/authority.ts';
import { serverUnderTest, text, type UnderTest, until, words } from '../rpc/server-under-test.ts';

const hasStatus =
  (status: Status, message?: string | RegExp) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof RpcError, String(error));
    assert.equal(error.status, status, error.message);
    if (typeof message === 'string') assert.equal(error.message, message);
    else if (message) assert.match(error.message, message);
    return true;
  };

describe('a channel', () => {
  let under: UnderTest;
  let channel: Channel;
  before(async () => {
    under = await serverUnderTest();
    channel = await under.connect({ metadata: { token: 'of-the-channel' } });
  });
  after(() => under.end());

  test('brings a message there and the reply back', async () => {
    assert.equal(words(await channel.unary('/test.Calls/Echo', text('hello'))), 'hello');
    assert.equal(words(await channel.unary('/test.Calls/Later', text('later'))), 'later');
    assert.equal((await channel.unary('/test.Calls/Echo', new Uint8Array())).length, 0);
  });

  test('sends its metadata and that of the call, lower-case, and no header of HTTP/2', async () => {
    const reply = await channel.unary('/test.Calls/Metadata', text(''), {
      metadata: { Extra: 'of the call' },
    });
    const metadata = new Map(JSON.parse(words(reply)) as [string, string][]);
    assert.equal(metadata.get('token'), 'of-the-channel');
    assert.equal(metadata.get('extra'), 'of the call');
    assert.deepEqual(
      [...metadata.keys()].filter((name) => name.startsWith(':')),
      [],
    );
  });

  test('gives the status and the text of a failed call', async () => {
    const failed = channel.unary('/test.Calls/Fail', text('ключ % gone\n'));
    await assert.rejects(failed, hasStatus(STATUS.notFound, 'etcdserver: ключ % gone\n'));
  });

  test('carries large messages both ways', async () => {
    const reply = await channel.unary('/test.Calls/Zeros', text('20000000'));
    assert.equal(reply.length, 20_000_000);
    assert.equal(words(await channel.unary('/test.Calls/Size', new Uint8Array(2_000_000))), '2000000');
  });

  test('ends a call when its time is over, and the server hears of it', async () => {
    const began = performance.now();
    await assert.rejects(
      channel.unary('/test.Calls/Wait', text(''), { timeoutMs: 50 }),
      hasStatus(STATUS.deadlineExceeded, 'context deadline exceeded'),
    );
    assert.ok(performance.now() - began < 1000);
    await until(() => under.seen.aborted.length > 0, 'the server hears of it');
  });

  test('ends a call by a signal, also one that was given before', async () => {
    const controller = new AbortController();
    const call = channel.unary('/test.Calls/Wait', text(''), { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await assert.rejects(call, hasStatus(STATUS.cancelled));
    const late = channel.unary('/test.Calls/Wait', text(''), { signal: AbortSignal.abort() });
    await assert.rejects(late, hasStatus(STATUS.cancelled));
  });

  test('streams messages both ways, in order', async () => {
    const stream = channel.stream('/test.Streams/Echo');
    const sent = Array.from({ length: 500 }, (_, index) => `message ${index}`);
    for (const message of sent) if (!stream.send(text(message))) await stream.drained();
    stream.end();
    const got: string[] = [];
    for await (const message of stream) got.push(words(message));
    assert.deepEqual(got, sent);
  });

  test('gives the messages before the status of a stream that fails', async () => {
    const stream = channel.stream('/test.Streams/Fail');
    stream.send(text(`${100 + STATUS.dataLoss}`));
    assert.equal(words(await stream.receive()), 'before it');
    await assert.rejects(stream.receive(), hasStatus(STATUS.dataLoss, 'of no use: 100 % – gone'));
    await assert.rejects(stream.receive(), hasStatus(STATUS.dataLoss));
  });

  test('cancels a stream whose loop is left early', async () => {
    const stream = channel.stream('/test.Streams/Count');
    stream.send(text('1000000'));
    for await (const message of stream) {
      assert.equal(words(message), '0');
      break;
    }
    await assert.rejects(stream.receive(), hasStatus(STATUS.cancelled));
  });

  test('fails calls as UNAVAILABLE once it is closed', async () => {
    const other = await under.connect();
    const stream = other.stream('/test.Streams/Wait');
    await other.close();
    await assert.rejects(stream.receive(), hasStatus(STATUS.unavailable));
    await assert.rejects(other.unary('/test.Calls/Echo', text('')), hasStatus(STATUS.unavailable));
    assert.equal(other.isClosed, true);
  });
});

test('a server that no longer answers pings is given up while a call is open', async (t) => {
  // It has settings, and takes everything from then on without a word.
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    socket.resume();
  });
  t.after(() => server.close());
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => {
    server.once('listening', resolve);
  });
  const { port } = server.address() as { port: number };
  const keepAlive = { intervalMs: 20, timeoutMs: 50 };
  const channel = await Channel.connect(`http://127.0.0.1:${port}`, { keepAlive });
  t.after(() => channel.close());
  await new Promise((resolve) => {
    setTimeout(resolve, 150);
  });
  assert.equal(channel.isClosed, false, 'without a call nobody is pinged');
  const call = channel.unary('/test.Calls/Echo', text(''));
  await assert.rejects(call, hasStatus(STATUS.unavailable, /did not answer a ping within 50 ms/));
});

describe('connecting', () => {
  test('fails as UNAVAILABLE where nobody listens', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => {
      server.once('listening', resolve);
    });
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => {
      server.close(resolve);
    });
    await assert.rejects(
      Channel.connect(`127.0.0.1:${port}`),
      hasStatus(STATUS.unavailable, new RegExp(`cannot connect to 127.0.0.1:${port}: .*ECONNREFUSED`)),
    );
  });

  test('gives up on a server that says nothing', async (t) => {
    const server = createServer().listen(0, '127.0.0.1');
    t.after(() => server.close());
    await new Promise((resolve) => {
      server.once('listening', resolve);
    });
    const { port } = server.address() as { port: number };
    await assert.rejects(
      Channel.connect(`http://127.0.0.1:${port}`, { timeoutMs: 50 }),
      hasStatus(STATUS.unavailable, /no answer within 50 ms/),
    );
  });

  test('fails when what answers is no HTTP/2', async (t) => {
    const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    t.after(() => server.close());
    server.listen(0, '127.0.0.1');
    await new Promise((resolve) => {
      server.once('listening', resolve);
    });
    const { port } = server.address() as { port: number };
    await assert.rejects(Channel.connect(`http://127.0.0.1:${port}`), hasStatus(STATUS.unavailable));
  });

  test('under TLS needs the right authority, and the certificate that the server asks for', async (t) => {
    const under = await serverUnderTest();
    t.after(() => under.end());
    const identity = await selfSigned();
    const { cert, key } = identity;
    const secure = createTlsServer(
      { ...identity, ca: cert, requestCert: true, ALPNProtocols: ['h2'] },
      (socket) => under.server.accept(socket),
    );
    t.after(() => secure.close());
    await new Promise<void>((resolve) => {
      secure.listen(0, '127.0.0.1', resolve);
    });
    const { port } = secure.address() as { port: number };
    const endpoint = `https://127.0.0.1:${port}`;
    const began = performance.now();
    const unknown = Channel.connect(endpoint);
    await assert.rejects(unknown, hasStatus(STATUS.unavailable, /self-signed certificate/));
    const bare = Channel.connect(endpoint, { tls: { ca: cert } });
    await assert.rejects(bare, hasStatus(STATUS.unavailable, /alert certificate required$/));
    assert.ok(performance.now() - began < 3000, 'it does not wait for the time to connect');
    const channel = await Channel.connect(endpoint, { tls: { ca: cert, cert, key } });
    t.after(() => channel.close());
    assert.equal(words(await channel.unary('/test.Calls/Echo', text('secret'))), 'secret');
  });

  test('refuses what is no endpoint', async () => {
    await assert.rejects(Channel.connect('ftp://example:21'), /"ftp:\/\/example:21" is no endpoint/);
    await assert.rejects(Channel.connect('http://'), /is no endpoint/);
  });
});
