/** Whole servers under TLS in this process. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { get, type RequestOptions } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { realDisk } from '../../../src/bytes/disk.ts';
import { Channel } from '../../../src/client/channel.ts';
import { ServerStats } from '../../../src/rpc/stats.ts';
import type { RunningServer, ServerConfig } from '../../../src/server/config.ts';
import { type ClientTlsOptions, openClientTls } from '../../../src/server/tls/client-tls.ts';
import { NO_TLS, type TlsInfo } from '../../../src/server/tls/tls-info.ts';
import { writePair } from '../../support/authority.ts';
import { rememberingLog } from '../../support/opened-member.ts';
import { scratch } from '../../support/scratch.ts';
import { put, readAll, serveAt } from '../../support/served.ts';
import { authority, channelTls, serverIdentity } from './secure-server.ts';

const good = await authority.issue({ commonName: 'root' });

async function serveSecurely(t: TestContext, change: Partial<ServerConfig> = {}): Promise<RunningServer> {
  const folder = scratch(t);
  const trustedCaFile = join(folder, 'ca.crt');
  writeFileSync(trustedCaFile, authority.cert);
  const clientTls: TlsInfo = { ...NO_TLS, ...writePair(folder, 'server', serverIdentity), trustedCaFile };
  const listenClientUrls = ['https://127.0.0.1:0'];
  const config = { listenClientUrls, clientTls, ...change };
  const { server } = await serveAt(join(folder, 'data'), config);
  t.after(() => server.stop(0).catch(() => {}));
  return server;
}

async function ask(url: string, options: RequestOptions = {}): Promise<{ code: number; body: string }> {
  const { cert, key } = good;
  const asking = get(url, { ca: authority.cert, cert, key, agent: false, ...options });
  const [response] = await once(asking, 'response');
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { code: response.statusCode, body };
}

test('a member serves gRPC and HTTP under TLS, and tells in its metrics whom it turned away', async (t) => {
  const server = await serveSecurely(t, { hostWhitelist: ['elsewhere'] });
  const [url] = server.urls;
  const channel = await Channel.connect(url!, { tls: channelTls(good) });
  await put(channel, 'a', 'b');
  assert.deepEqual([...(await readAll(channel))], [['a', 'b']]);
  await channel.close();
  await assert.rejects(ask(url!, { cert: undefined, key: undefined }));
  const { code, body } = await ask(`${url}/metrics`);
  assert.equal(code, 200);
  assert.match(body, /^etcdkit_tls_refused_total\{reason="certificate"\} 1$/m);
  assert.match(body, /^etcdkit_tls_handshakes_total 2$/m);
});

test('plain and secure URLs side by side, and HTTP on URLs of its own', async (t) => {
  const folder = scratch(t);
  const path = join(folder, 'secure.sock');
  const web = join(folder, 'web.sock');
  const metrics = join(folder, 'metrics.sock');
  const server = await serveSecurely(t, {
    listenClientUrls: ['http://127.0.0.1:0', `unixs://${path}`],
    listenClientHttpUrls: [`unixs://${web}`],
    listenMetricsUrls: [`unixs://${metrics}`],
  });
  const plain = await Channel.connect(server.urls[0]!);
  await put(plain, 'a', 'b');
  await plain.close();
  const local = { checkServerIdentity: () => undefined };
  const answers = await Promise.all(
    [path, web, metrics].map((socketPath) => ask('https://localhost/health', { socketPath, ...local })),
  );
  assert.deepEqual(
    answers.map(({ code }) => code),
    [404, 200, 200],
  );
});

test('a server that stops waits for no handshake', async (t) => {
  const server = await serveSecurely(t);
  const half = connect(Number(new URL(server.urls[0]!).port), '127.0.0.1').on('error', () => {});
  await once(half, 'connect');
  half.write(Buffer.from([0x16, 3, 1]));
  await new Promise((resolve) => {
    setTimeout(resolve, 50);
  });
  const closed = once(half, 'close');
  const began = performance.now();
  await server.stop(5000);
  await closed;
  assert.ok(performance.now() - began < 3000);
});

test('a certificate of its own is kept beside a member, and made for the run of a mount', async (t) => {
  const dataDir = join(scratch(t), 'data');
  const options: ClientTlsOptions = {
    info: { ...NO_TLS, isAuto: true },
    listenClientUrls: ['http://127.0.0.1:1'],
    listenClientHttpUrls: [],
    listenMetricsUrls: [],
    dataDir,
    stats: new ServerStats().handshakes,
    disk: realDisk(),
    log: rememberingLog().log,
  };
  assert.equal(await openClientTls(options), undefined);
  assert.ok(existsSync(join(dataDir, 'fixtures', 'client', 'key.pem')));
  const listenClientUrls = ['https://127.0.0.1:1'];
  assert.ok(await openClientTls({ ...options, listenClientUrls, dataDir: undefined }));
});

test('files of no use keep a server from starting', async (t) => {
  const files = writePair(scratch(t), 'server', { ...serverIdentity, key: good.key });
  await assert.rejects(serveSecurely(t, { clientTls: { ...NO_TLS, ...files } }), {
    code: 'server.config',
    message: 'tls: private key does not match public key',
  });
  const pair = writePair(scratch(t), 'server', serverIdentity);
  const own = { ownCertFile: pair.certFile, ownKeyFile: files.keyFile };
  await assert.rejects(serveSecurely(t, { clientTls: { ...NO_TLS, ...pair, ...own } }), {
    code: 'server.config',
    message: 'tls: private key does not match public key',
  });
});
