import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { Channel } from '../../../src/client/channel.ts';
import type { Stream } from '../../../src/rpc/seam.ts';
import { HandshakeStats } from '../../../src/rpc/secure.ts';
import { Certificates } from '../../../src/server/tls/certificates.ts';
import { NO_TLS } from '../../../src/server/tls/tls-info.ts';
import { TlsLayer } from '../../../src/server/tls/tls-layer.ts';
import { Authority, type Identity, type IssueOptions } from '../../support/authority.ts';
import { scratch } from '../../support/scratch.ts';
import { rememberingLog } from '../../support/opened-member.ts';
import { callFrame, encodeFrame, FLAG, FRAME, PREFACE, RawClient } from '../../rpc/raw-client.ts';
import { serverUnderTest, text, until, words } from '../../rpc/server-under-test.ts';
import { authority, channelTls, knock, secured } from './secure-server.ts';

const stranger = await Authority.create('a stranger');
const middle = await authority.intermediate('middle');
const lower = await middle.issue({ commonName: 'lower' });

const serialOf = (pem: string): string => new X509Certificate(pem).serialNumber;

interface Case {
  client: Identity | undefined;
  reason?: keyof HandshakeStats['refused'];
  hosts?: string[];
  revoked?: string[];
}

const issued = (options: IssueOptions): Promise<Identity & { serialNumber: string }> =>
  authority.issue(options);
const good = await issued({ commonName: 'root', names: ['client.example', '10.1.2.3'] });

const CASES: Record<string, Case> = {
  'a client of the authority': { client: good },
  'a client of an authority below it': { client: { ...lower, cert: lower.cert + middle.cert } },
  'a client without a certificate': { client: undefined, reason: 'certificate' },
  'a client of another authority': { client: await stranger.issue({}), reason: 'certificate' },
  'a certificate that has run out': { client: await issued({ from: -2, until: -1 }), reason: 'certificate' },
  'a certificate of the future': { client: await issued({ from: 1, until: 2 }), reason: 'certificate' },
  'a certificate for servers': { client: await issued({ usages: ['serverAuth'] }), reason: 'certificate' },
  'an allowed host name': { client: good, hosts: ['other.example', 'client.example'] },
  'an allowed address': { client: good, hosts: ['10.1.2.3'] },
  'an allowed name by a wildcard': { client: await issued({ names: ['*.example'] }), hosts: ['a.example'] },
  'no allowed host name': { client: good, hosts: ['example', '.example'], reason: 'hostname' },
  'a common name is no host name': {
    client: await issued({ commonName: 'a.example' }),
    hosts: ['a.example'],
    reason: 'hostname',
  },
  'a revoked certificate': { client: good, revoked: ['1234', good.serialNumber], reason: 'revoked' },
  'an authority below it that is revoked': {
    client: { ...lower, cert: lower.cert + middle.cert },
    revoked: [serialOf(middle.cert)],
    reason: 'revoked',
  },
  // What it shows besides must not hide it.
  'the same behind an authority of its own': {
    client: { ...lower, cert: lower.cert + stranger.cert + middle.cert },
    revoked: [serialOf(middle.cert)],
    reason: 'revoked',
  },
  'more certificates than anybody needs': {
    client: { ...good, cert: good.cert + stranger.cert.repeat(20) },
    revoked: ['1234'],
    reason: 'certificate',
  },
  'another certificate is revoked': { client: good, revoked: ['1234'] },
};

for (const [name, { client, reason, hosts = [], revoked }] of Object.entries(CASES)) {
  test(`${name} is ${reason === undefined ? 'let in' : 'turned away'}`, async (t) => {
    const crlFile = revoked ? join(scratch(t), 'list.crl') : '';
    if (revoked) writeFileSync(crlFile, await authority.revoke(revoked));
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { under, stats } = await secured(t, { allowedHostnames: hosts, crlFile });
      const options = { minVersion: version, maxVersion: version };
      const answer = await knock(under.port, client, options);
      assert.equal(answer, reason === undefined ? 'http/1.1 /knock' : 'refused', version);
      const { completed, refused } = stats.handshakes;
      assert.equal(completed, reason === undefined ? 1 : 0);
      assert.equal(
        Object.values(refused).reduce((sum, count) => sum + count, 0),
        reason === undefined ? 0 : 1,
      );
      if (reason !== undefined) assert.equal(refused[reason], 1);
    }
  });
}

test('calls know the common name, where certificates make users of clients', async (t) => {
  for (const [isClientCertAuth, client, expected] of [
    [true, good, 'root'],
    [false, good, undefined],
    [true, await issued({}), ''],
  ] as const) {
    const { under, endpoint } = await secured(t, { isClientCertAuth });
    const channel = await Channel.connect(endpoint, { tls: channelTls(client) });
    assert.equal(words(await channel.unary('/test.Calls/Later', text('x'), { timeoutMs: 3000 })), 'x');
    assert.equal(under.seen.calls[0]?.commonName, expected);
    await channel.close();
  }
});

test('an authority in the file is one, whoever signed it', async (t) => {
  const { under, files } = await secured(t);
  writeFileSync(files.trustedCaFile, middle.cert);
  assert.equal(await knock(under.port, lower), 'http/1.1 /knock');
  assert.equal(await knock(under.port, good), 'refused');
});

test('a new certificate is for new connections, and open ones go on', async (t) => {
  const { under, endpoint, files } = await secured(t);
  const channel = await Channel.connect(endpoint, { tls: channelTls(good) });
  const renewed = await authority.issue({ commonName: 'renewed', names: ['127.0.0.1'] });
  const shown = async (): Promise<string> => {
    const { port } = under;
    const { cert, key } = good;
    const socket = connectTls({ port, host: '127.0.0.1', ca: authority.cert, cert, key });
    await once(socket, 'secureConnect');
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return String(CN);
  };
  assert.equal(await shown(), 'server');
  writeFileSync(files.certFile, renewed.cert);
  assert.equal(await shown(), 'server');
  writeFileSync(files.keyFile, renewed.key);
  assert.equal(await shown(), 'renewed');
  assert.equal(words(await channel.unary('/test.Calls/Echo', text('still'), { timeoutMs: 3000 })), 'still');
  await channel.close();
});

test('nobody comes back by a session of before', async (t) => {
  const { under } = await secured(t);
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const options = { minVersion: version, maxVersion: version };
    const { cert, key } = good;
    const first = connectTls({
      port: under.port,
      host: '127.0.0.1',
      ca: authority.cert,
      cert,
      key,
      ...options,
    });
    let session: Buffer | undefined;
    first.on('session', (bytes: Buffer) => (session = bytes));
    await once(first, 'secureConnect');
    first.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await once(first, 'data');
    session ??= first.getSession();
    first.destroy();
    const again = connectTls({
      port: under.port,
      host: '127.0.0.1',
      ca: authority.cert,
      cert,
      key,
      ...(session ? { session } : {}),
      ...options,
    });
    await once(again, 'secureConnect');
    assert.equal(again.isSessionReused(), false, version);
    again.destroy();
  }
});

test('a handshake that does not end is cut off, and counted', async (t) => {
  const stats = new HandshakeStats();
  const { files } = await secured(t);
  const { log } = rememberingLog();
  const info = { ...NO_TLS, ...files };
  const secure = new TlsLayer({
    info,
    certificates: new Certificates(info, log),
    revocations: undefined,
    stats,
    log,
    timeoutMs: 100,
  });
  const under = await serverUnderTest({
    listen: { host: '127.0.0.1', port: 0, secure },
    limits: { connectionsMax: 2 },
  });
  t.after(() => under.end());
  const halves = [connect(under.port, '127.0.0.1'), connect(under.port, '127.0.0.1')];
  for (const half of halves) {
    half.on('error', () => {});
    await once(half, 'connect');
    half.write(Buffer.from([0x16, 3, 1]));
  }
  const one = connect(under.port, '127.0.0.1').on('error', () => {});
  await once(one, 'close');
  assert.equal(under.server.stats.refused.connections, 1);
  await Promise.all(halves.map((half) => once(half, 'close')));
  await until(() => stats.refused.timeout === 2, 'both are counted');
  assert.equal(await knock(under.port, good), 'http/1.1 /knock');
});

test('one who is let in and then says nothing has no more time than others', async (t) => {
  const { under } = await secured(t, {}, { limits: { handshakeTimeoutMs: 200 } });
  const { cert, key } = good;
  const socket = connectTls({ port: under.port, host: '127.0.0.1', ca: authority.cert, cert, key });
  socket.on('error', () => {});
  await once(socket, 'close');
  assert.equal(under.server.stats.refused.handshake, 1);
});

test('plain HTTP where TLS is spoken, and TLS where it is not, end cleanly', async (t) => {
  const { under, stats } = await secured(t);
  const plain = request({ port: under.port, host: '127.0.0.1' }).end();
  await assert.rejects(once(plain, 'response'), /socket hang up|ECONNRESET/);
  assert.equal(stats.handshakes.refused.handshake, 1);
  const clear = await serverUnderTest();
  t.after(() => clear.end());
  assert.equal(await knock(clear.port, good), 'refused');
  assert.equal(clear.server.stats.refused.malformed, 1);
});

test('one port can take both', async (t) => {
  const { tls } = await secured(t);
  const both = await serverUnderTest({
    listen: { host: '127.0.0.1', port: 0, secure: tls.clients, isMixed: true },
  });
  t.after(() => both.end());
  assert.equal(await knock(both.port, good), 'http/1.1 /knock');
  assert.equal(await knock(both.port), 'refused');
  const channel = await both.connect();
  assert.equal(words(await channel.unary('/test.Calls/Echo', text('plain'), { timeoutMs: 3000 })), 'plain');
});

test('HTTP over HTTP/2 is answered under TLS, beside calls', async (t) => {
  const { endpoint } = await secured(t, {}, { http2: (asked, response) => response.end(`two ${asked.url}`) });
  const { cert, key } = good;
  const session = connectHttp2(endpoint, { ca: authority.cert, cert, key });
  t.after(() => session.destroy());
  const ask = async (headers: Record<string, string>): Promise<[number, string]> => {
    const stream = session.request(headers);
    const [answer] = (await once(stream, 'response')) as [Record<string, number>];
    let body = '';
    for await (const chunk of stream) body += String(chunk);
    return [answer[':status']!, body];
  };
  assert.deepEqual(await ask({ ':path': '/health' }), [200, 'two /health']);
  assert.deepEqual(
    await ask({ ':path': '/x', ':method': 'CONNECT', ':authority': 'y' }).catch(() => 'no'),
    'no',
  );
  assert.equal(
    (await ask({ ':path': '/a/b', ':method': 'POST', 'content-type': 'application/grpc' }))[0],
    200,
  );
});

test('an application protocol that nobody speaks is refused, and none is needed', async (t) => {
  const { under } = await secured(t);
  assert.equal(await knock(under.port, good, { ALPNProtocols: ['spdy/3'] }), 'refused');
  assert.equal(await knock(under.port, good, { ALPNProtocols: ['http/1.1'] }), 'http/1.1 /knock');
});

/** HTTP/2 by hand, under TLS. */
async function byHand(t: TestContext, port: number): Promise<RawClient> {
  const { cert, key } = good;
  const socket = connectTls({
    port,
    host: '127.0.0.1',
    ca: authority.cert,
    cert,
    key,
    ALPNProtocols: ['h2'],
  });
  t.after(() => socket.destroy());
  const client = new RawClient(port, socket);
  await once(socket, 'secureConnect');
  return client;
}

test('a connection that HTTP/2 has given up unnoticed is ended under TLS too, also beside an open call', async (t) => {
  const { under } = await secured(t, {}, { limits: { muteProbeMs: 100 } });
  const hostile = await byHand(t, under.port);
  hostile.greet().write(callFrame(1, '/test.Streams/Wait'));
  await until(() => under.seen.calls.length === 1, 'the call is open');
  hostile.write(encodeFrame(FRAME.ping, 0, 0, Buffer.from([1, 2])));
  await until(() => hostile.goaway !== undefined, 'nghttp2 says good-bye');
  await until(() => under.server.stats.connections === 0, 'the connection is gone');
  assert.equal(under.seen.aborted.length, 1);
});

test('a client that reads nothing for a while is borne under TLS too', async (t) => {
  const total = 8 * 1024 * 1024;
  const pour = async (stream: Stream): Promise<void> => {
    for (let sent = 0; sent < total; sent += 32 * 1024)
      if (!stream.send(new Uint8Array(32 * 1024))) await stream.drained();
  };
  const methods = [{ stream: { '/test.Flow/Pour': pour } }];
  const { under } = await secured(t, {}, { limits: { muteProbeMs: 100 }, methods });
  const client = await byHand(t, under.port);
  const settings = encodeFrame(FRAME.settings, 0, 0, Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff]));
  client.write(PREFACE, settings, encodeFrame(FRAME.windowUpdate, 0, 0, Buffer.from([0x7f, 0xff, 0, 0])));
  client.socket.pause();
  client.write(callFrame(1, '/test.Flow/Pour', FLAG.endHeaders | FLAG.endStream));
  await new Promise((resolve) => {
    setTimeout(resolve, 3500);
  });
  assert.equal(under.server.stats.connections, 1);
  client.socket.resume();
  const received = (): number => client.of(FRAME.data).reduce((sum, { payload }) => sum + payload.length, 0);
  await until(() => received() === total + (total / (32 * 1024)) * 5, 'everything has come', 20_000);
});

test('pings count under TLS as they do without it', async (t) => {
  const { under } = await secured(t);
  const ping = encodeFrame(FRAME.ping, 0, 0, Buffer.from('12345678'));
  const hostile = await byHand(t, under.port);
  hostile.greet().write(ping, ping, ping, ping);
  await until(() => hostile.isClosed, 'it is closed');
  assert.equal(hostile.goaway?.text, 'too_many_pings');

  const client = await byHand(t, under.port);
  client.greet();
  for (const stream of [1, 3, 5, 7, 9]) {
    client.write(ping, callFrame(stream, '/test.Calls/Zeros', FLAG.endHeaders | FLAG.endStream));
    await until(() => client.of(FRAME.headers).some((frame) => frame.stream === stream), 'it is answered');
  }
  assert.equal(client.isClosed, false);
});
