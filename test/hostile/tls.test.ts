/** Clients of TLS that stop half way, are not let in, or send garbage: refused and counted, while others go on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect as connectSocket, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { Authority, type Identity, writePair } from '../support/authority.ts';
import { encodeFrame, FRAME, PREFACE } from '../rpc/raw-client.ts';
import { scratch } from '../support/scratch.ts';
import { metric } from './accounts.ts';
import { type Attacked, MB, pause, underAttackByTls, until, type Victim } from './under-attack.ts';

const CONNECTIONS = 300;
const BOUNDS = { growthMb: 150, waitMs: 5000 };

const authority = await Authority.create();
const stranger = await Authority.create('a stranger');
const good = await authority.issue({ commonName: 'good', names: ['client.example'] });
const revoked = await authority.issue({ commonName: 'revoked', names: ['client.example'] });

/** Clients must be certified, and not revoked. */
async function secured(t: TestContext, ...flags: string[]): Promise<Attacked> {
  const folder = scratch(t);
  const server = await authority.issue({ commonName: 'server', names: ['127.0.0.1', 'localhost'] });
  const { certFile, keyFile } = writePair(folder, 'server', server);
  const [caFile, crlFile] = [join(folder, 'ca.crt'), join(folder, 'list.crl')];
  writeFileSync(caFile, authority.cert);
  writeFileSync(crlFile, await authority.revoke([revoked.serialNumber]));
  const { cert, key } = good;
  return underAttackByTls(t, { ca: authority.cert, cert, key }, [
    `--cert-file=${certFile}`,
    `--key-file=${keyFile}`,
    `--trusted-ca-file=${caFile}`,
    `--client-crl-file=${crlFile}`,
    '--client-cert-allowed-hostname=client.example',
    ...flags,
  ]);
}

const turnedAway = (server: Attacked, reason: string): Promise<number> =>
  metric(server, `etcdkit_tls_refused_total{reason="${reason}"}`);

/** What a client says first. */
async function clientHello(): Promise<Buffer> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const client = connect({ port: (listener.address() as AddressInfo).port, host: '127.0.0.1' });
  client.on('error', () => {});
  const [accepted] = (await once(listener, 'connection')) as [Socket];
  const [hello] = (await once(accepted, 'data')) as [Buffer];
  for (const socket of [client, accepted]) socket.destroy();
  listener.close();
  return hello;
}

const areClosed = (dialled: readonly Victim[]): boolean => dialled.every(({ isClosed }) => isClosed);

test(
  'handshakes that stop after the first word, or go on a byte at a time',
  { timeout: 60_000 },
  async (t) => {
    const server = await secured(t, '--handshake-timeout=3s');
    const hello = await clientHello();
    await server.bears(
      t,
      async () => {
        const half = Array.from({ length: CONNECTIONS }, () => server.dial(hello));
        const slow = Array.from({ length: CONNECTIONS }, () => server.dial(hello.subarray(0, 1)));
        let at = 1;
        await until(async () => {
          for (const { socket, isClosed } of slow) if (!isClosed) socket.write(hello.subarray(at, at + 1));
          at++;
          await pause(1000);
          return areClosed(half) && areClosed(slow);
        }, 'all are closed');
        const channel = await server.connect();
        await channel.close();
      },
      BOUNDS,
    );
    assert.equal(await turnedAway(server, 'timeout'), 2 * CONNECTIONS);
    assert.equal(await metric(server, 'etcdkit_connections{protocol="unknown"}'), 0);
  },
);

test('handshakes that are none, or break off', { timeout: 60_000 }, async (t) => {
  const server = await secured(t);
  const hello = await clientHello();
  const broken = Buffer.from(hello);
  broken.fill(0xff, 50);
  await server.bears(
    t,
    async () => {
      const words = ['GET / HTTP/1.1\r\n\r\n', Buffer.alloc(MB, 0xff), broken];
      const dialled = words.flatMap((word) => Array.from({ length: 100 }, () => server.dial(word)));
      await until(() => areClosed(dialled), 'all are closed');
    },
    BOUNDS,
  );
  assert.equal(await turnedAway(server, 'handshake'), 300);
});

/** Resolves when the connection has ended; it may never be answered. */
async function isTurnedAway(
  server: Attacked,
  identity: Identity | undefined,
  version: 'TLSv1.2' | 'TLSv1.3',
) {
  const { cert, key } = identity ?? {};
  const socket = connect({
    port: server.port,
    host: '127.0.0.1',
    ca: authority.cert,
    minVersion: version,
    maxVersion: version,
    ...(cert && key ? { cert, key } : {}),
  });
  let answer = '';
  socket.on('error', () => {});
  socket.on('secureConnect', () => socket.write('GET /version HTTP/1.1\r\nHost: a\r\n\r\n'));
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
  await new Promise((resolve) => socket.on('close', resolve));
  assert.equal(answer, '');
}

const LOOPS = 50;

test(
  'certificates of others, revoked ones, of a wrong name, and none, in a loop',
  { timeout: 60_000 },
  async (t) => {
    const server = await secured(t);
    const hostile: Record<string, (Identity | undefined)[]> = {
      certificate: [await stranger.issue({ names: ['client.example'] }), undefined],
      revoked: [revoked],
      hostname: [await authority.issue({ commonName: 'client.example', names: ['other.example'] })],
    };
    await server.bears(
      t,
      async () => {
        for (const [reason, identities] of Object.entries(hostile)) {
          for (const identity of identities) {
            for (let i = 0; i < LOOPS; i += 5) {
              const version = i % 2 === 0 ? 'TLSv1.2' : 'TLSv1.3';
              await Promise.all(Array.from({ length: 5 }, () => isTurnedAway(server, identity, version)));
            }
          }
          assert.equal(await turnedAway(server, reason), LOOPS * identities.length, reason);
        }
      },
      BOUNDS,
    );
    const lines = server.log().match(/rejected connection on client endpoint/g)!.length;
    assert.ok(lines <= 30, `${lines} lines in the log`);
  },
);

interface Handshaken {
  raw: Socket;
  secure: TLSSocket;
}

/** A good client, and what is below its TLS. */
async function handshaken(server: Attacked, options: ConnectionOptions = {}): Promise<Handshaken> {
  const raw = connectSocket(server.port, '127.0.0.1');
  await once(raw, 'connect');
  const { cert, key } = good;
  const secure = connect({ socket: raw, ca: authority.cert, cert, key, ...options });
  for (const socket of [raw, secure]) socket.on('error', () => {});
  await once(secure, 'secureConnect');
  return { raw, secure };
}

/** By what has been said before. */
const GREETINGS: Readonly<Record<string, Buffer>> = {
  nothing: Buffer.alloc(0),
  'http/1.1': Buffer.from('GET /version HTTP/1.1\r\nHost: a\r\n\r\n'),
  h2: Buffer.concat([PREFACE, encodeFrame(FRAME.settings, 0, 0)]),
};
const GARBLED = 50;

/** Connections of clients, of whatever kind. */
async function connectionsOf(server: Attacked): Promise<number> {
  const found = await server.metrics();
  const kinds = ['http1', 'http2', 'unknown'];
  return kinds.reduce((sum, kind) => sum + found.get(`etcdkit_connections{protocol="${kind}"}`)!, 0);
}

test('garbage after the handshake', { timeout: 60_000 }, async (t) => {
  const server = await secured(t);
  let expected = 0;
  await server.bears(
    t,
    async () => {
      for (const [protocol, greeting] of Object.entries(GREETINGS)) {
        const dialled: Handshaken[] = [];
        const ALPNProtocols = protocol === 'nothing' ? [] : [protocol];
        for (let i = 0; i < GARBLED; i++) dialled.push(await handshaken(server, { ALPNProtocols }));
        for (const { secure } of dialled) if (greeting.length > 0) secure.write(greeting);
        expected += GARBLED;
        // One is that of somebody else.
        const letIn = (): Promise<number> => metric(server, 'etcdkit_tls_handshakes_total');
        await until(async () => (await letIn()) === expected + 1, 'all are let in');
        await pause(100);
        for (const { raw } of dialled) raw.write(Buffer.alloc(100_000, 0xff));
        await until(
          async () => (await turnedAway(server, 'record')) === expected,
          `all of ${protocol} are counted`,
        );
        await until(async () => (await connectionsOf(server)) === 1, 'all are closed');
        for (const { raw } of dialled) raw.destroy();
      }
    },
    BOUNDS,
  );
});

test('clients that want to negotiate again are told no', { timeout: 60_000 }, async (t) => {
  const server = await secured(t);
  const asked: (Error | null)[] = [];
  await server.bears(
    t,
    async () => {
      for (let i = 0; i < 50; i++) {
        const { secure } = await handshaken(server, { maxVersion: 'TLSv1.2' });
        const answered = new Promise<Error | null>((resolve) => {
          secure.on('error', resolve);
          secure.on('close', () => resolve(null));
          secure.renegotiate({}, resolve);
        });
        asked.push(await answered);
        secure.destroy();
      }
    },
    BOUNDS,
  );
  assert.ok(
    asked.every((error) => error && /no renegotiation|no_renegotiation/i.test(error.message)),
    String(asked[0]),
  );
  assert.ok((await metric(server, 'etcdkit_tls_handshakes_total')) <= 55);
});
