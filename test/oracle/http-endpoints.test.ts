// What lies beside gRPC on the client port answers as etcd's does: health, liveness, version, and the metrics
// that etcd-mixin's dashboards and alerts read, with equal counts for equal histories.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scratch } from '../support/scratch.ts';
import { ask, etcdctl, runLoad } from './etcd.ts';
import type { EtcdServer } from './etcd.ts';
import { startBoth, subjectSkip as skip } from './subject.ts';

const PATHS = [
  '/health',
  '/health?serializable=true',
  '/health?exclude=NOSPACE',
  '/livez',
  '/livez?verbose',
  '/livez?exclude=serializable_read',
  '/livez/serializable_read',
  '/readyz',
  '/readyz?verbose',
  '/readyz/data_corruption',
  '/readyz/linearizable_read',
  '/readyz/nothing',
  '/version',
  '/nothing',
  '/',
];

interface Answer {
  path: string;
  status: number;
  type: string | null;
  allow: string | null;
  body: string;
}

async function answerOf(server: EtcdServer, path: string, method = 'GET'): Promise<Answer> {
  const response = await fetch(`${server.endpoint}${path}`, { method });
  const body = (await response.text()).replace(/("etcdserver":"\d+\.\d+)\.\d+"/, '$1"');
  const { headers, status } = response;
  return {
    path: `${method} ${path}`,
    status,
    type: headers.get('content-type'),
    allow: headers.get('allow'),
    // Go reports the checks in no order.
    body: body.split('\n').toSorted().join('\n'),
  };
}

async function answersOf(server: EtcdServer): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const path of PATHS) answers.push(await answerOf(server, path));
  for (const method of ['POST', 'DELETE']) {
    for (const path of ['/health', '/version']) answers.push(await answerOf(server, path, method));
  }
  return answers;
}

test('health, liveness and version answer as etcd does', { skip }, async (t) => {
  const { real, subject } = await startBoth(t, scratch(t));
  assert.deepEqual(await answersOf(subject), await answersOf(real));
});

test('without space, health says so and readiness does not mind', { skip }, async (t) => {
  // Smaller than an empty database: the first write raises the alarm.
  const { real, subject } = await startBoth(t, scratch(t), { args: ['--quota-backend-bytes=8192'] });
  for (const server of [real, subject]) {
    const { stderr } = await etcdctl('3.6', ['put', 'a', 'b'], { endpoint: server.endpoint });
    assert.match(stderr, /database space exceeded/);
  }
  const answers = await answersOf(real);
  assert.match(answers[0]!.body, /ALARM NOSPACE/);
  assert.deepEqual(await answersOf(subject), answers);
});

/** By name: its type. */
function typesIn(text: string): Map<string, string> {
  return new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name!, type!]));
}

/** What etcd-mixin's dashboard and alerts ask for, but for peers and proxies, of which there are none. */
const METRICS = [
  'etcd_cluster_version',
  'etcd_debugging_mvcc_current_revision',
  'etcd_debugging_mvcc_keys_total',
  'etcd_debugging_mvcc_slow_watcher_total',
  'etcd_debugging_mvcc_watch_stream_total',
  'etcd_debugging_mvcc_watcher_total',
  'etcd_debugging_lease_granted_total',
  'etcd_debugging_server_lease_expired_total',
  'etcd_disk_backend_commit_duration_seconds',
  'etcd_disk_backend_defrag_duration_seconds',
  'etcd_disk_backend_snapshot_duration_seconds',
  'etcd_disk_wal_fsync_duration_seconds',
  'etcd_mvcc_db_total_size_in_bytes',
  'etcd_mvcc_db_total_size_in_use_in_bytes',
  'etcd_mvcc_delete_total',
  'etcd_mvcc_put_total',
  'etcd_mvcc_range_total',
  'etcd_mvcc_txn_total',
  'etcd_network_client_grpc_received_bytes_total',
  'etcd_network_client_grpc_sent_bytes_total',
  'etcd_server_has_leader',
  'etcd_server_health_failures',
  'etcd_server_health_success',
  'etcd_server_id',
  'etcd_server_is_leader',
  'etcd_server_leader_changes_seen_total',
  'etcd_server_proposals_applied_total',
  'etcd_server_proposals_committed_total',
  'etcd_server_proposals_failed_total',
  'etcd_server_proposals_pending',
  'etcd_server_quota_backend_bytes',
  'etcd_server_slow_apply_total',
  'etcd_server_version',
  'grpc_server_handled_total',
  'grpc_server_started_total',
  'process_cpu_seconds_total',
  'process_max_fds',
  'process_open_fds',
  'process_resident_memory_bytes',
  'process_start_time_seconds',
];

/** Values that follow from the history alone. */
const EQUAL = [
  'etcd_debugging_lease_granted_total',
  'etcd_debugging_lease_revoked_total',
  'etcd_debugging_mvcc_compact_revision',
  'etcd_debugging_mvcc_current_revision',
  'etcd_debugging_mvcc_keys_total',
  'etcd_debugging_mvcc_watcher_total',
  'etcd_mvcc_delete_total',
  'etcd_mvcc_put_total',
  'etcd_server_has_leader',
  'etcd_server_is_leader',
  'etcd_server_is_learner',
  'etcd_server_proposals_failed_total',
  'etcd_server_proposals_pending',
  'etcd_server_quota_backend_bytes',
];

test('metrics have the names and types that dashboards ask for, and equal counts', { skip }, async (t) => {
  const { real, subject } = await startBoth(t, scratch(t));
  const texts: string[] = [];
  for (const server of [real, subject]) {
    await runLoad(server, { kind: 'mixed', seed: 4, operations: 150, users: false });
    await ask(server, ['get', 'a']);
    texts.push(await (await fetch(`${server.endpoint}/metrics`)).text());
  }
  const [theirs, ours] = texts.map((text) => typesIn(text));
  const pick = (types: ReadonlyMap<string, string>): string[] =>
    METRICS.map((name) => `${name} ${types.get(name) ?? 'is absent'}`);
  assert.deepEqual(pick(ours!), pick(theirs!));

  const calls =
    /^grpc_server_handled_total\{(?=.*code="OK").*method="(?:Put|Txn|DeleteRange|Compact|LeaseGrant)".*\} \d+$/gm;
  const values = (text: string): string[] => [
    ...EQUAL.map((name) => `${name} ${Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1])}`),
    ...(text.match(calls) ?? []).map((line) => labelsInOrder(line)).toSorted(),
  ];
  assert.ok(values(texts[0]!).length > EQUAL.length);
  assert.deepEqual(values(texts[1]!), values(texts[0]!));
});

function labelsInOrder(line: string): string {
  return line.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(',').toSorted().join()}}`);
}
