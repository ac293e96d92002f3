import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import {
  http1Handler,
  type HttpHandler,
  type HttpOptions,
  metricsHandler,
  nothingHandler,
} from '../../../src/server/monitor/http.ts';
import { listenHttp } from '../../../src/server/monitor/http-listener.ts';
import { CallStats } from '../../../src/server/monitor/measure.ts';
import { createMetrics } from '../../../src/server/monitor/metrics.ts';
import type { ServerView } from '../../../src/server/monitor/server-view.ts';
import { Stats } from '../../../src/server/monitor/stats.ts';
import { ask } from './http-client.ts';
import { healthyView, keptLog } from './healthy-view.ts';

interface Started {
  url: string;
  view: ReturnType<typeof healthyView>;
  stats: Stats;
  log: ReturnType<typeof keptLog>;
}

type Change = Partial<ServerView> & Partial<Pick<HttpOptions, 'hostWhitelist' | 'corsOrigins' | 'metrics'>>;

async function start(
  t: TestContext,
  change: Change = {},
  make: (options: HttpOptions) => HttpHandler = http1Handler,
): Promise<Started> {
  const { hostWhitelist = ['*'], corsOrigins = ['*'], metrics, ...viewChange } = change;
  const view = healthyView(viewChange);
  const stats = new Stats();
  const log = keptLog();
  const options: HttpOptions = {
    view,
    stats: stats.health,
    log,
    hostWhitelist,
    corsOrigins,
    metrics: metrics ?? createMetrics({ stats, calls: new CallStats(), view, isExtensive: false }),
  };
  const listener = await listenHttp('http://127.0.0.1:0', make(options));
  t.after(() => listener.close(0));
  return { url: listener.url, view, stats, log };
}

const PLAIN = 'text/plain; charset=utf-8';

test('the versions, as the emulated etcd gives them', async (t) => {
  const { url, view } = await start(t);
  const answer = await ask(`${url}/version`);
  assert.equal(answer.code, 200);
  assert.equal(answer.type, 'application/json');
  assert.equal(answer.body, '{"etcdserver":"3.6.16","etcdcluster":"3.6.0","storage":"3.6.0"}');
  view.clusterVersion = undefined;
  view.storageVersion = undefined;
  assert.equal(
    (await ask(`${url}/version`)).body,
    '{"etcdserver":"3.6.16","etcdcluster":"not_decided","storage":"unknown"}',
  );
  view.serverVersion = '3.5.35';
  view.clusterVersion = '3.5.0';
  assert.equal((await ask(`${url}/version`)).body, '{"etcdserver":"3.5.35","etcdcluster":"3.5.0"}');
});

test('health: good, bad, and with alarms left out', async (t) => {
  const { url, view, stats } = await start(t);
  assert.deepEqual((await ask(`${url}/health`)).body, '{"health":"true","reason":""}');
  view.alarms = [{ memberId: 1n, type: 'NOSPACE' }];
  const bad = await ask(`${url}/health`);
  assert.equal(bad.code, 503);
  assert.equal(bad.body, '{"health":"false","reason":"ALARM NOSPACE"}\n');
  assert.equal(bad.type, PLAIN);
  assert.equal((await ask(`${url}/health?exclude=CORRUPT&exclude=NOSPACE`)).code, 200);
  view.alarms = [];
  view.hasLeader = false;
  assert.match((await ask(`${url}/health`)).body, /RAFT NO LEADER/);
  assert.equal((await ask(`${url}/health?serializable=true`)).code, 200);
  assert.deepEqual([stats.health.successes, stats.health.failures], [3, 2]);
});

test('checks: short, in full, one alone, some left out', async (t) => {
  const { url, view, log } = await start(t);
  assert.equal((await ask(`${url}/livez`)).body, 'ok\n');
  assert.equal((await ask(`${url}/livez?verbose`)).body, '[+]serializable_read ok\nok\n');
  assert.equal((await ask(`${url}/readyz/non_learner?verbose=1`)).body, '[+]non_learner ok\nok\n');
  assert.equal((await ask(`${url}/readyz/nonsense`)).code, 404);
  view.isLearner = true;
  const bad = await ask(`${url}/readyz`);
  assert.equal(bad.code, 503);
  assert.match(
    bad.body,
    /^\[\+\]data_corruption ok\n.*\[-\]non_learner failed: not supported for learner\n\n$/s,
  );
  assert.equal((await ask(`${url}/livez`)).code, 200);
  assert.equal((await ask(`${url}/readyz?exclude=non_learner&exclude=nonsense`)).code, 200);
  const [warning] = log.lines.filter((line) => line.level === 'warn');
  assert.deepEqual(warning?.fields, { 'missing-health-checks': '"nonsense"' });
});

test('metrics', async (t) => {
  const { url } = await start(t);
  await ask(`${url}/livez`);
  const { code, type, body } = await ask(`${url}/metrics`);
  assert.equal(code, 200);
  assert.equal(type, 'text/plain; version=0.0.4; charset=utf-8');
  assert.match(body, /^etcd_server_has_leader 1$/m);
  assert.match(
    body,
    /^etcd_server_healthchecks_total\{type="livez",name="serializable_read",status="success"\} 1$/m,
  );
});

test('other paths and methods, as Go answers them', async (t) => {
  const { url } = await start(t);
  for (const path of ['/', '/health/', '/v3/kv/range', '/debug/pprof/', '/constructor']) {
    const { code, body, type, headers } = await ask(`${url}${path}`);
    assert.deepEqual([code, body, type], [404, '404 page not found\n', PLAIN], path);
    assert.equal(headers['x-content-type-options'], 'nosniff');
  }
  for (const path of ['/health', '/livez', '/readyz/non_learner', '/version']) {
    const { code, body, headers } = await ask(`${url}${path}`, { method: 'POST' });
    assert.deepEqual([code, body, headers['allow']], [405, 'Method Not Allowed\n', 'GET'], path);
  }
});

test('a body is thrown away, and one that does not end ends the connection', async (t) => {
  const { url } = await start(t);
  const small = await ask(`${url}/metrics`, { method: 'POST' }, 'x'.repeat(1000));
  assert.equal(small.code, 200);
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  socket.write('POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
  const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
  const closed = once(socket, 'close');
  for (let sent = 0; sent < 8; sent++) socket.write(chunk);
  socket.resume();
  await closed;
});

test('host names that are not listed are turned away', async (t) => {
  const { url } = await start(t, { hostWhitelist: ['127.0.0.1', '::1'] });
  assert.equal((await ask(`${url}/health`)).code, 200);
  assert.equal((await ask(`${url}/health`, { headers: { host: '[::1]:2379' } })).code, 200);
  const { code, body } = await ask(`${url}/health`, { headers: { host: 'evil.example:2379' } });
  assert.equal(code, 421);
  assert.match(body, /"evil\.example".*--host-whitelist/);
});

test('browsers are told who may ask', async (t) => {
  const all = await start(t);
  const preflight = await ask(`${all.url}/anything`, { method: 'OPTIONS' });
  assert.deepEqual([preflight.code, preflight.headers['access-control-allow-origin']], [200, '*']);
  const some = await start(t, { corsOrigins: ['http://a'] });
  const from = async (origin: string) =>
    (await ask(`${some.url}/health`, { headers: { origin } })).headers['access-control-allow-origin'];
  assert.equal(await from('http://a'), 'http://a');
  assert.equal(await from('http://b'), undefined);
});

test('a listener for metrics has health beside them, and nothing else', async (t) => {
  const { url } = await start(t, { hostWhitelist: ['only.example'] }, metricsHandler);
  assert.equal((await ask(`${url}/metrics`)).code, 200);
  assert.equal((await ask(`${url}/readyz`)).code, 200);
  assert.equal((await ask(`${url}/version`)).code, 404);
});

test('where HTTP is answered elsewhere there is nothing', async (t) => {
  const { url } = await start(t, {}, () => nothingHandler);
  assert.equal((await ask(`${url}/health`)).code, 404);
});

test('a defect is an answer and a line in the log, not the end', async (t) => {
  const metrics = {
    contentType: PLAIN,
    text: async (): Promise<string> => {
      throw new TypeError('defect');
    },
  };
  const { url, log } = await start(t, { metrics });
  assert.equal((await ask(`${url}/metrics`)).code, 500);
  assert.equal(log.lines.at(-1)?.message, 'HTTP request failed');
  assert.equal((await ask(`${url}/health`)).code, 200);
});
