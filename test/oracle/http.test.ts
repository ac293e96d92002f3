/** What real etcd answers over HTTP/1.1, and what our handler answers in the same state. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { http1Handler, type HttpOptions, metricsHandler } from '../../src/server/monitor/http.ts';
import { listenHttp } from '../../src/server/monitor/http-listener.ts';
import { CallStats, measured } from '../../src/server/monitor/measure.ts';
import { createMetrics } from '../../src/server/monitor/metrics.ts';
import type { ServerView } from '../../src/server/monitor/server-view.ts';
import { Stats } from '../../src/server/monitor/stats.ts';
import { type Answer, ask } from '../server/monitor/http-client.ts';
import { healthyView, keptLog } from '../server/monitor/healthy-view.ts';
import { scratch } from '../support/scratch.ts';
import { etcdctl, freeMemberPorts, skipReason, startEtcd, type Version } from './etcd.ts';

const RELEASES = {
  '3.5': { serverVersion: '3.5.35', clusterVersion: '3.5.0', storageVersion: undefined },
  '3.6': { serverVersion: '3.6.16', clusterVersion: '3.6.0', storageVersion: '3.6.0' },
  '3.7': { serverVersion: '3.7.3', clusterVersion: '3.7.0', storageVersion: '3.7.0' },
} as const;

async function ours(
  t: TestContext,
  change: Partial<ServerView>,
  make: typeof http1Handler = http1Handler,
): Promise<string> {
  const view = healthyView(change);
  const stats = new Stats();
  stats.writes.applied('put', { isDone: true, tookMs: 1 });
  const calls = new CallStats();
  const services = [{ unary: { '/etcdserverpb.KV/Put': () => new Uint8Array(0) } }];
  measured(services, { stats: calls, log: keptLog(), warningMs: 300 });
  const options: HttpOptions = {
    view,
    metrics: createMetrics({ stats, calls, view, isExtensive: true }),
    stats: stats.health,
    log: keptLog(),
    hostWhitelist: ['*'],
    corsOrigins: ['*'],
  };
  const listener = await listenHttp('http://127.0.0.1:0', make(options));
  t.after(() => listener.close(0));
  return listener.url;
}

const HEADERS = ['content-type', 'allow', 'x-content-type-options', 'access-control-allow-origin'];

/** What two answers must have in common. Go reports the checks in no order. */
function shapeOf({ code, headers, body }: Answer): unknown {
  const lines = body.startsWith('[') ? body.split('\n').sort() : [body];
  return { code, lines, headers: HEADERS.map((name) => headers[name]) };
}

async function assertEqual(theirs: string, ours: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    for (const method of ['GET', 'POST']) {
      const [expected, actual] = await Promise.all(
        [theirs, ours].map(async (url) => shapeOf(await ask(`${url}${path}`, { method }))),
      );
      assert.deepEqual(actual, expected, `${method} ${path}`);
    }
  }
}

const WELL = [
  '/version',
  '/health',
  '/health?serializable=true',
  '/health?exclude=NOSPACE',
  '/livez',
  '/livez?verbose',
  '/livez/serializable_read',
  '/readyz',
  '/readyz?verbose',
  '/readyz?verbose&exclude=linearizable_read&exclude=nonsense',
  '/readyz/data_corruption?verbose',
  '/readyz/linearizable_read',
  '/readyz/non_learner',
  '/readyz/nonsense',
  '/health/',
  '/nonsense',
];

for (const version of ['3.5', '3.6', '3.7'] as const) {
  describe(`etcd ${version}`, { skip: skipReason(version) }, () => {
    test('a server that is well', async (t) => {
      const server = await start(t, version);
      await assertEqual(server.endpoint, await ours(t, RELEASES[version]), WELL);
    });

    test('a server without space', async (t) => {
      const server = await start(t, version, ['--quota-backend-bytes=65536']);
      const value = 'x'.repeat(30_000);
      for (let key = 0; key < 8; key++)
        await etcdctl(version, ['put', `key${key}`, value], { endpoint: server.endpoint });
      const alarms = [{ memberId: 1n, type: 'NOSPACE' as const }];
      const mine = await ours(t, { ...RELEASES[version], alarms });
      assert.equal((await ask(`${server.endpoint}/health`)).code, 503);
      await assertEqual(server.endpoint, mine, ['/health', '/health?exclude=NOSPACE', '/readyz?verbose']);
    });
  });
}

async function start(t: TestContext, version: Version, args: readonly string[] = []) {
  const server = await startEtcd(version, {
    dataDir: join(scratch(t), 'data'),
    unsafeNoFsync: true,
    args: ['--enable-grpc-gateway=false', ...args],
  });
  t.after(() => server.kill());
  return server;
}

test('a listener for metrics', { skip: skipReason('3.6') }, async (t) => {
  const { client } = await freeMemberPorts();
  const url = `http://127.0.0.1:${client}`;
  await start(t, '3.6', [`--listen-metrics-urls=${url}`]);
  const mine = await ours(t, RELEASES['3.6'], metricsHandler);
  await assertEqual(url, mine, ['/health', '/livez?verbose', '/version', '/nonsense']);
});

interface Family {
  type: string;
  /** Names of labels that values have, `le` aside. */
  labels: string[];
  /** Bounds of buckets. */
  bounds: string[];
}

function familiesOf(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  for (const [, name = '', type = ''] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    const values = [...text.matchAll(new RegExp(`^${name}(?:_bucket)?(?:\\{(.*)\\})? `, 'gm'))];
    const names = values.flatMap(([, labels = '']) =>
      [...labels.matchAll(/(\w+)="/g)].map((match) => match[1]!),
    );
    const bounds = values.flatMap(([, labels = '']) => /le="([^"]*)"/.exec(labels)?.[1] ?? []);
    families.set(name, {
      type,
      labels: [...new Set(names)].filter((label) => label !== 'le').sort(),
      bounds: [...new Set(bounds)].map((bound) => String(Number(bound.replace('+Inf', 'Infinity')))),
    });
  }
  return families;
}

test('our metrics are a part of etcd’s: types, labels, buckets', { skip: skipReason('3.6') }, async (t) => {
  const server = await start(t, '3.6', ['--metrics=extensive']);
  const mine = await ours(t, RELEASES['3.6']);
  for (const url of [server.endpoint, mine]) {
    await ask(`${url}/livez`);
    await ask(`${url}/health`);
  }
  await etcdctl('3.6', ['put', 'k', 'v'], { endpoint: server.endpoint });
  const [theirs, own] = await Promise.all(
    [server.endpoint, mine].map(async (url) => familiesOf((await ask(`${url}/metrics`)).body)),
  );
  assert.ok(own!.size > 60);
  for (const [name, family] of own!) {
    // What clients cost is ours to tell.
    if (name.startsWith('etcdkit_')) continue;
    const expected = theirs!.get(name);
    // Shown by etcd only once there is an alarm; and here no client has called.
    if (name === 'etcd_debugging_server_alarms' || name === 'etcd_server_client_requests_total') continue;
    assert.deepEqual(family, expected, name);
  }
  const missing = [...theirs!.keys()].filter(
    (name) => !own!.has(name) && /^(?:etcd|grpc|process)_/.test(name),
  );
  t.diagnostic(`etcd has, and we do not: ${missing.join(' ')}`);
});
