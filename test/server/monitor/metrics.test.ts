import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LIMITS } from '../../../src/rpc/limits.ts';
import { CallStats, MethodStats } from '../../../src/server/monitor/measure.ts';
import { createMetrics, type MetricsOptions } from '../../../src/server/monitor/metrics.ts';
import { Stats } from '../../../src/server/monitor/stats.ts';
import { KeyTally } from '../../../src/store/mvcc/key-values.ts';
import { healthyView } from './healthy-view.ts';

/** What the expressions of etcd-mixin read (contrib/mixin in etcd 3.6), peers aside: one member has none. */
const MIXIN = [
  'etcd_disk_backend_commit_duration_seconds_bucket',
  'etcd_disk_wal_fsync_duration_seconds_bucket',
  'etcd_mvcc_db_total_size_in_bytes',
  'etcd_mvcc_db_total_size_in_use_in_bytes',
  'etcd_network_client_grpc_received_bytes_total',
  'etcd_network_client_grpc_sent_bytes_total',
  'etcd_server_has_leader',
  'etcd_server_leader_changes_seen_total',
  'etcd_server_proposals_applied_total',
  'etcd_server_proposals_committed_total',
  'etcd_server_proposals_failed_total',
  'etcd_server_proposals_pending',
  'etcd_server_quota_backend_bytes',
  'grpc_server_handled_total',
  'grpc_server_handling_seconds_bucket',
  'grpc_server_started_total',
  'process_resident_memory_bytes',
];

function options(change: Partial<MetricsOptions> = {}): MetricsOptions {
  const calls = new CallStats();
  calls.methods.push(new MethodStats('/etcdserverpb.KV/Put', 'unary'));
  calls.methods.push(new MethodStats('/etcdserverpb.Watch/Watch', 'bidi_stream'));
  return { stats: new Stats(), calls, view: healthyView(), isExtensive: true, ...change };
}

/** Values by name and labels. */
async function samples(from: MetricsOptions): Promise<Map<string, number>> {
  const lines = (await createMetrics(from).text()).split('\n').filter((line) => /^[a-z]/.test(line));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

test('every name that etcd-mixin reads is there', async () => {
  const names = new Set([...(await samples(options())).keys()].map((key) => key.replace(/\{.*/, '')));
  assert.deepEqual(
    MIXIN.filter((name) => !names.has(name)),
    [],
  );
});

test('numbers are read when they are asked for', async () => {
  const tally = new KeyTally();
  const from = options({ view: healthyView({ tally }) });
  const metrics = createMetrics(from);
  assert.match(await metrics.text(), /^etcd_mvcc_put_total 0$/m);
  tally.puts += 3;
  from.stats.disk.walWriteBytes = 4096;
  const text = await metrics.text();
  assert.match(text, /^etcd_mvcc_put_total 3$/m);
  assert.match(text, /^etcd_disk_wal_write_bytes_total 4096$/m);
  assert.match(await metrics.text(), /^etcd_mvcc_put_total 3$/m);
});

test('the state of the server, with its labels', async () => {
  const view = healthyView({ alarms: [{ memberId: 10n, type: 'NOSPACE' }] });
  const found = await samples(options({ view }));
  const expected: Record<string, number> = {
    etcd_server_has_leader: 1,
    etcd_server_proposals_committed_total: 12,
    etcd_server_proposals_applied_total: 11,
    etcd_mvcc_db_total_size_in_use_in_bytes: 16_384,
    etcd_debugging_mvcc_current_revision: 7,
    etcd_debugging_mvcc_compact_revision: 3,
    'etcd_server_id{server_id="8e9e05c52164694d"}': 1,
    'etcd_server_version{server_version="3.6.16"}': 1,
    'etcd_cluster_version{cluster_version="3.6"}': 1,
    'etcd_debugging_server_alarms{server_id="a",alarm_type="NOSPACE"}': 1,
  };
  for (const [key, value] of Object.entries(expected)) assert.equal(found.get(key), value, key);
});

test('an alarm that is over is no longer shown', async () => {
  const view = healthyView({ alarms: [{ memberId: 10n, type: 'NOSPACE' }] });
  const metrics = createMetrics(options({ view }));
  assert.match(await metrics.text(), /^etcd_debugging_server_alarms\{/m);
  view.alarms = [];
  assert.doesNotMatch(await metrics.text(), /^etcd_debugging_server_alarms\{/m);
});

test('histograms are cumulative, with etcd’s bounds', async () => {
  const from = options();
  for (const seconds of [0.0005, 0.003, 20]) from.stats.disk.walFsync.observe(seconds);
  const found = await samples(from);
  const name = 'etcd_disk_wal_fsync_duration_seconds';
  const bounds = [...found.keys()].filter((key) => key.startsWith(`${name}_bucket`));
  assert.equal(bounds.length, 15);
  assert.equal(found.get(`${name}_bucket{le="0.001"}`), 1);
  assert.equal(found.get(`${name}_bucket{le="0.004"}`), 2);
  assert.equal(found.get(`${name}_bucket{le="8.192"}`), 2);
  assert.equal(found.get(`${name}_bucket{le="+Inf"}`), 3);
  assert.equal(found.get(`${name}_count`), 3);
  assert.equal(found.get(`${name}_sum`), 20.0035);
});

test('calls, by method and code; how long they took only when it was asked for', async () => {
  const from = options();
  const [put] = from.calls.methods;
  put!.started = 5;
  put!.handled[0] = 3;
  put!.handled[1] = 1;
  put!.handled[8] = 1;
  put!.seconds.observe(0.02);
  from.calls.clientVersions.set('3.6', { unary: 5, stream: 0 });
  const found = await samples(from);
  const labels = 'grpc_type="unary",grpc_service="etcdserverpb.KV",grpc_method="Put"';
  assert.equal(found.get(`grpc_server_started_total{${labels}}`), 5);
  assert.equal(found.get(`grpc_server_handled_total{${labels},grpc_code="OK"}`), 3);
  assert.equal(found.get(`grpc_server_handled_total{${labels},grpc_code="Canceled"}`), 1);
  assert.equal(found.get(`grpc_server_handled_total{${labels},grpc_code="ResourceExhausted"}`), 1);
  assert.equal(found.get(`grpc_server_handled_total{${labels},grpc_code="Unavailable"}`), 0);
  assert.equal(found.get(`grpc_server_handling_seconds_bucket{${labels},le="0.025"}`), 1);
  assert.equal(found.get('etcd_server_client_requests_total{type="unary",client_api_version="3.6"}'), 5);
  const basic = [...(await samples({ ...from, isExtensive: false })).keys()];
  assert.ok(!basic.some((key) => key.startsWith('grpc_server_handling_seconds')));
});

test('two servers in one process do not share a registry', async () => {
  const of = (ranges: number): MetricsOptions =>
    options({ view: healthyView({ tally: Object.assign(new KeyTally(), { ranges }) }) });
  const [a, b] = [of(1), of(2)];
  const [first, second] = [createMetrics(a), createMetrics(b)];
  assert.match(await first.text(), /^etcd_mvcc_range_total 1$/m);
  assert.match(await second.text(), /^etcd_mvcc_range_total 2$/m);
});

test('what clients cost, why they were refused, and the limits in force', async () => {
  const from = options({ limits: { ...DEFAULT_LIMITS, connectionsMax: 7 } });
  const { rpc } = from.stats;
  rpc.connections = 2;
  rpc.silent = 3;
  rpc.replyBytes = 1000;
  rpc.refused.pings = 4;
  const found = await samples(from);
  const expected: Record<string, number> = {
    'etcdkit_connections{protocol="http2"}': 2,
    'etcdkit_connections{protocol="unknown"}': 3,
    'etcdkit_queued_bytes{what="replies"}': 1000,
    'etcdkit_refused_total{reason="pings"}': 4,
    'etcdkit_refused_total{reason="resets"}': 0,
    'etcdkit_limit{flag="max-connections"}': 7,
    'etcdkit_timeout_seconds{flag="handshake-timeout"}': 10,
  };
  for (const [key, value] of Object.entries(expected)) assert.equal(found.get(key), value, key);
});

test('how long changes took to apply, by their kind and whether they were done', async () => {
  const from = options();
  from.stats.writes.applied('put', { isDone: true, tookMs: 0.15 });
  from.stats.writes.applied('put', { isDone: false, tookMs: 3 });
  const found = await samples(from);
  const name = 'etcd_server_apply_duration_seconds';
  const done = 'version="v3",op="Put",success="true"';
  assert.equal(found.get(`${name}_bucket{${done},le="0.0001"}`), 0);
  assert.equal(found.get(`${name}_bucket{${done},le="0.0002"}`), 1);
  assert.equal(found.get(`${name}_count{version="v3",op="Put",success="false"}`), 1);
});

test('those who ask at the same time share one text', async () => {
  let looks = 0;
  const view = healthyView();
  Object.defineProperty(view, 'keyCount', { get: () => ++looks });
  const metrics = createMetrics(options({ view }));
  const texts = await Promise.all(Array.from({ length: 100 }, () => metrics.text()));
  assert.equal(new Set(texts).size, 1);
  await metrics.text();
  assert.equal(looks, 2);
});

test('passwords, logins and tokens', async () => {
  const from = options({ tokens: { count: 5 }, pendingLoginsMax: 64 });
  const { access } = from.stats;
  Object.assign(access.passwords, { pending: 1, refused: 2, failed: 3 });
  access.loginsFailed = 4;
  access.tokensRefused.signature = 6;
  const found = await samples(from);
  const expected: Record<string, number> = {
    etcdkit_password_jobs: 1,
    etcdkit_password_jobs_refused_total: 2,
    etcdkit_password_jobs_failed_total: 3,
    etcdkit_logins_failed_total: 4,
    etcdkit_tokens: 5,
    'etcdkit_tokens_refused_total{reason="signature"}': 6,
    'etcdkit_tokens_refused_total{reason="unknown"}': 0,
    'etcdkit_limit{flag="max-pending-logins"}': 64,
  };
  for (const [key, value] of Object.entries(expected)) assert.equal(found.get(key), value, key);
});
