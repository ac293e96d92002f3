/** Whole servers in this process: a member and a mount behind real ports. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { lockExclusive } from '../../src/bytes/lock.ts';
import { verify } from '../../src/check/verify.ts';
import { Channel } from '../../src/client/channel.ts';
import { type ErrorCode, ToolError } from '../../src/errors.ts';
import { rangeResponse } from '../../src/format/proto/kvpb.ts';
import { keyValue } from '../../src/format/proto/mvccpb.ts';
import { putRequest, rangeRequest } from '../../src/format/proto/rpcpb.ts';
import { watchRequest } from '../../src/format/proto/watchpb.ts';
import { realDisk } from '../../src/bytes/disk.ts';
import { STATUS } from '../../src/rpc/status.ts';
import { defaultConfig, type RunningServer, type ServerConfig } from '../../src/server/config.ts';
import { startServer } from '../../src/server/server.ts';
import { buildDatabase, put } from '../store/database-builder.ts';
import { fixture } from '../support/fixtures.ts';
import { copyFixture, editRows } from '../support/member-copy.ts';
import { scratch } from '../support/scratch.ts';
import { failingDisk } from './raft-log/log-fixture.ts';
import { keptLog } from './monitor/healthy-view.ts';
import { ask } from './monitor/http-client.ts';

const ANY_PORT = 'http://127.0.0.1:0';
const SNAPSHOT = fixture('snap/snap-3.6.db');

interface Given {
  config?: Partial<ServerConfig>;
  disk?: ReturnType<typeof realDisk>;
  signal?: AbortSignal;
}

interface Started {
  server: RunningServer;
  lines: ReturnType<typeof keptLog>['lines'];
}

async function start(
  t: TestContext,
  target: ServerConfig['target'],
  { config = {}, disk = realDisk(), signal = new AbortController().signal }: Given = {},
): Promise<Started> {
  const log = keptLog();
  const all = { ...defaultConfig(), listenClientUrls: [ANY_PORT], ...config, target };
  const server = await startServer(all, { log, disk, signal });
  t.after(() => server.stop(0).catch(() => {}));
  return { server, lines: log.lines };
}

const memberAt = (dataDir: string): ServerConfig['target'] => ({
  kind: 'member',
  dataDir,
  walDir: undefined,
  isForcedNew: false,
});

const mountOf = (path: string, revision?: number): ServerConfig['target'] => ({
  kind: 'mount',
  path,
  walDir: undefined,
  revision,
  isScratch: false,
  isAuthSkipped: false,
});

async function channelTo(t: TestContext, { urls }: RunningServer): Promise<Channel> {
  const channel = await Channel.connect(urls[0]!);
  t.after(() => channel.close());
  return channel;
}

const putKey = (channel: Channel, key: string, value = 'v'): Promise<Uint8Array> =>
  channel.unary(
    '/etcdserverpb.KV/Put',
    putRequest.encode({ key: Buffer.from(key), value: Buffer.from(value) }),
  );

async function valueOf(channel: Channel, key: string): Promise<string | undefined> {
  const request = rangeRequest.encode({ key: Buffer.from(key) });
  const { kvs } = rangeResponse.decode(await channel.unary('/etcdserverpb.KV/Range', request));
  return kvs[0] && Buffer.from(keyValue.decode(kvs[0]).value).toString();
}

/** Resolves when nobody listens at `url` any more. */
async function assertClosed(url: string): Promise<void> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNREFUSED');
}

const codeOf =
  (code: ErrorCode) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof ToolError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  };

test('a member serves gRPC and HTTP on a port it found, and is there again after a restart', async (t) => {
  const dataDir = join(scratch(t), 'data');
  const { server } = await start(t, memberAt(dataDir));
  assert.match(server.urls[0]!, /^http:\/\/127\.0\.0\.1:[1-9]\d+$/);
  const channel = await channelTo(t, server);
  await putKey(channel, 'a', 'first');
  assert.equal(await valueOf(channel, 'a'), 'first');
  const health = await fetch(`${server.urls[0]}/health`);
  assert.deepEqual(await health.json(), { health: 'true', reason: '' });
  await channel.close();
  await server.stop(1000);
  await server.done;
  await assertClosed(server.urls[0]!);
  assert.equal((await verify(dataDir)).verdict, 'GOOD');
  const again = await start(t, memberAt(dataDir));
  assert.equal(await valueOf(await channelTo(t, again.server), 'a'), 'first');
});

/** What a JSON gateway answers to a request. */
async function postJson(
  url: string,
  path: string,
  body: object = {},
): Promise<{ code: number; text: string }> {
  const response = await fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) });
  return { code: response.status, text: await response.text() };
}

test('the gateway calls the same methods, and they are counted', async (t) => {
  const { server } = await start(t, memberAt(join(scratch(t), 'data')));
  const url = server.urls[0]!;
  const put = await postJson(url, '/v3/kv/put', { key: 'YQ==', value: 'Yg==' });
  assert.match(put.text, /"revision":"2"/);
  assert.equal(await valueOf(await channelTo(t, server), 'a'), 'b');
  const metrics = await (await fetch(`${url}/metrics`)).text();
  assert.match(metrics, /grpc_server_handled_total\{[^}]*grpc_method="Put"[^}]*\} 1\n/);
});

test('a server that stops ends what waits in the gateway', async (t) => {
  const { server } = await start(t, memberAt(join(scratch(t), 'data')));
  const body = JSON.stringify({ create_request: { key: 'YQ==' } });
  const response = await fetch(`${server.urls[0]}/v3/watch`, { method: 'POST', body });
  await server.stop(5000);
  assert.match(await response.text(), /"created":true\}\}\n\{"error":\{"code":14,/);
});

test('without the gateway its paths are as unknown as others', async (t) => {
  const { server } = await start(t, memberAt(join(scratch(t), 'data')), {
    config: { isGatewayEnabled: false },
  });
  const answer = await postJson(server.urls[0]!, '/v3/kv/range');
  assert.deepEqual(answer, { code: 404, text: '404 page not found\n' });
});

test('metrics and HTTP have ports of their own when asked to, and are closed with the rest', async (t) => {
  const folder = scratch(t);
  const sockets = [`unix://${folder}/http.sock`, `unix://${folder}/metrics.sock`];
  const { server } = await start(t, memberAt(join(folder, 'data')), {
    config: { listenClientHttpUrls: [sockets[0]!], listenMetricsUrls: [sockets[1]!] },
  });
  assert.equal((await fetch(`${server.urls[0]}/health`)).status, 404, 'gRPC alone');
  assert.equal((await postJson(server.urls[0]!, '/v3/maintenance/status')).code, 404);
  for (const path of ['http.sock', 'metrics.sock']) {
    const socket = connect(join(folder, path));
    socket.end('GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    assert.match(text, /^HTTP\/1\.1 200 OK/);
    assert.match(text, /etcd_server_has_leader 1/);
  }
  await server.stop(1000);
  for (const path of ['http.sock', 'metrics.sock']) {
    const [error] = await once(connect(join(folder, path)), 'error');
    assert.match(String(error.message), /ENOENT|ECONNREFUSED/);
  }
});

test('clients have one limit on all ports, and whoever looks at metrics is let in beside them', async (t) => {
  const folder = scratch(t);
  const { server } = await start(t, memberAt(join(folder, 'data')), {
    config: {
      listenClientHttpUrls: [`unix://${folder}/http.sock`],
      listenMetricsUrls: [`unix://${folder}/metrics.sock`],
      clients: { ...defaultConfig().clients, connectionsMax: 2 },
    },
  });
  await channelTo(t, server);
  const kept = connect(join(folder, 'http.sock'));
  t.after(() => kept.destroy());
  kept.write('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(kept, 'data');
  await assert.rejects(channelTo(t, server), 'the port for gRPC is full');
  const third = connect(join(folder, 'http.sock'));
  third.on('error', () => {});
  await once(third, 'close');
  const socket = connect(join(folder, 'metrics.sock'));
  socket.end('GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  assert.match(text, /^etcdkit_refused_total\{reason="connections"\} 2$/m);
  assert.match(text, /^etcdkit_connections\{protocol="http1"\} 1$/m);
});

test('a port that is taken is told, and the directory is free again', async (t) => {
  const dataDir = join(scratch(t), 'data');
  const other = createServer();
  other.listen(0, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  const config = { listenClientUrls: [`http://127.0.0.1:${port}`] };
  await assert.rejects(start(t, memberAt(dataDir), { config }), codeOf('server.listen'));
  await assert.rejects(start(t, mountOf(SNAPSHOT), { config }), codeOf('server.listen'));
  await (await start(t, memberAt(dataDir))).server.stop(0);
});

test('stopping ends streams at once, whatever the grace, and a second stop waits for the first', async (t) => {
  const { server } = await start(t, memberAt(join(scratch(t), 'data')));
  const channel = await channelTo(t, server);
  const watch = channel.stream('/etcdserverpb.Watch/Watch');
  watch.send(watchRequest.encode({ createRequest: { key: Buffer.from('a') } }));
  await watch.receive();
  const ended = assert.rejects(
    (async () => {
      while (await watch.receive());
    })(),
  );
  const began = performance.now();
  await Promise.all([server.stop(60_000), server.stop(0), ended, server.done]);
  assert.ok(performance.now() - began < 10_000);
});

test('a disk that fails ends the server: writers are told, its end is its failure, the port is closed', async (t) => {
  const { disk, failNext } = failingDisk();
  const { server, lines } = await start(t, memberAt(join(scratch(t), 'data')), { disk });
  const channel = await channelTo(t, server);
  await putKey(channel, 'a');
  failNext('data sync', new ToolError('io.failed', 'fsync: input/output error'));
  await assert.rejects(putKey(channel, 'b'), { status: STATUS.unavailable });
  await assert.rejects(server.done, codeOf('server.log'));
  await server.stop(0).catch(() => {});
  await assertClosed(server.urls[0]!);
  const told = lines.filter(({ message }) => message === 'the server stops: it cannot go on safely');
  assert.equal(told.length, 1);
});

test('calls to a mount wait until its keys are known', async (t) => {
  const path = join(scratch(t), 'large.db');
  const value = 'x'.repeat(50);
  const records = Array.from({ length: 180_000 }, (_, i) => put(i + 2, `key/${i}`, { value }));
  writeFileSync(path, buildDatabase({ records }));
  const { server, lines } = await start(t, mountOf(path));
  const isKnown = (): boolean => lines.some(({ message }) => message === 'the keys are known');
  assert.equal(isKnown(), false, 'it listens before');
  const body = JSON.stringify({ key: Buffer.from('key/179999').toString('base64') });
  const url = server.urls[0]!;
  const call = (path: string, headers = {}) => ask(`${url}${path}`, { method: 'POST', headers }, body);
  // Calls through the gateway wait as those over gRPC: no longer than they want to, and until they are answered.
  const [health, version, hasty, nothing, patient] = await Promise.all([
    ask(`${url}/health`),
    ask(`${url}/version`),
    call('/v3/kv/range', { 'grpc-timeout': '1m' }),
    call('/v3/kv/nothing'),
    call('/v3/kv/range'),
  ]);
  assert.deepEqual([health.code, version.code, hasty.code, nothing.code], [503, 503, 504, 404]);
  assert.equal(patient.code, 200);
  assert.match(patient.body, /"count":"1"/);
  assert.equal(await valueOf(await channelTo(t, server), 'key/179999'), value);
  assert.equal(isKnown(), true);
  assert.equal((await fetch(`${server.urls[0]}/health`)).status, 200);
  await server.stop(1000);
  await assertClosed(server.urls[0]!);
});

test('a mount that is given up before its keys are known ends without a failure', async (t) => {
  const path = join(scratch(t), 'large.db');
  const records = Array.from({ length: 60_000 }, (_, i) => put(i + 2, `key/${i}`));
  writeFileSync(path, buildDatabase({ records }));
  const stop = new AbortController();
  const { server, lines } = await start(t, mountOf(path), { signal: stop.signal });
  stop.abort();
  await server.stop(1000);
  await server.done;
  assert.deepEqual(
    lines.filter(({ level }) => level === 'error'),
    [],
  );
});

test('what no server could serve is refused before anybody listens', async (t) => {
  const folder = scratch(t);
  await assert.rejects(start(t, mountOf(join(folder, 'nothing'))), codeOf('io.not-found'));
  writeFileSync(join(folder, 'empty'), '');
  await assert.rejects(start(t, mountOf(join(folder, 'empty'))), codeOf('kind.empty'));
  const dataDir = copyFixture(folder, '3.6');
  const lock = await lockExclusive(join(dataDir, 'member', 'snap', 'db'), { timeoutMs: 1 });
  await assert.rejects(start(t, mountOf(dataDir)), codeOf('lock.held'));
  lock.release();
});

test('a mount that turns out to be damaged, without the revision, or with users that cannot be read ends with the reason', async (t) => {
  const folder = scratch(t);
  const damaged = join(folder, 'damaged.db');
  const bytes = readFileSync(SNAPSHOT);
  bytes.fill(0x5a, 4096 * 4, 4096 * 8);
  writeFileSync(damaged, bytes);
  const withAuth = copyFixture(folder, '3.6');
  await editRows(withAuth, 'auth', { authEnabled: Uint8Array.of(1) });
  await editRows(withAuth, 'authUsers', { root: Uint8Array.of(0x0a, 0xff) });
  for (const [target, code] of [
    [mountOf(SNAPSHOT, 999), 'usage'],
    [mountOf(withAuth), 'server.auth'],
  ] as const) {
    const { server } = await start(t, target);
    await assert.rejects(server.done, codeOf(code));
    await server.stop(0).catch(() => {});
    await assertClosed(server.urls[0]!);
  }
  await assert.rejects(
    start(t, mountOf(damaged)).then(({ server }) => server.done),
    (error) => error instanceof ToolError && error.code.startsWith('bolt.'),
  );
});
