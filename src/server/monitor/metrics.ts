/**
 * `/metrics`: what the server counts and is, under etcd's names, so that its dashboards and alerts work. Nothing is
 * copied while the server works; everything is read when it is asked for. Names, types and labels: etcd v3.6, the
 * `metrics.go` files below server/.
 */
import { Counter, Gauge, Histogram as Exposed, Registry } from 'prom-client';
import { formatId } from '../../format/ids.ts';
import { DEFAULT_LIMITS, type Limits } from '../../rpc/limits.ts';
import type { HandshakeStats } from '../../rpc/secure.ts';
import { REFUSALS } from '../../rpc/stats.ts';
import { STATUS } from '../../rpc/status.ts';
import type { Histogram } from './histogram.ts';
import type { CallStats, MethodStats } from './measure.ts';
import { readProcess } from './process-stats.ts';
import type { ServerView } from './server-view.ts';
import type { Stats } from './stats.ts';

export interface MetricsOptions {
  stats: Stats;
  calls: CallStats;
  /** Of TLS; not shown without it. */
  handshakes?: HandshakeStats;
  view: ServerView;
  /** Those in force. */
  limits?: Limits;
  /** Whether the time that calls took is shown. */
  isExtensive: boolean;
}

/** All metrics as Prometheus reads them. */
export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
}

type Labels = Readonly<Record<string, string>>;
/** A value, and what tells it from others of its name. */
type Sample = readonly [labels: Labels, value: number];

/** A registry of its own, so that several servers can live in one process. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  const add = new Adder(registry);
  addServer(add, options);
  addKeys(add, options);
  addDisk(add, options);
  addCalls(add, options);
  addClients(add, options);
  addHandshakes(add, options);
  addProcess(add);
  // Whoever asks while they are written gets the same: a flood of requests costs one text at a time.
  let writing: Promise<string> | undefined;
  const text = (): Promise<string> =>
    (writing ??= registry.metrics().finally(() => {
      writing = undefined;
    }));
  return { contentType: registry.contentType, text };
}

/** Go's names of the codes; it writes one of them otherwise. */
const CODE_NAMES: readonly string[] = Object.keys(STATUS).map((name) => {
  if (name === 'ok') return 'OK';
  return name === 'cancelled' ? 'Canceled' : `${name[0]!.toUpperCase()}${name.slice(1)}`;
});

class Adder {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  gauge(name: string, help: string, read: () => number): void {
    this.gauges(name, help, [], () => [[{}, read()]]);
  }

  counter(name: string, help: string, read: () => number): void {
    this.counters(name, help, [], () => [[{}, read()]]);
  }

  gauges(name: string, help: string, labelNames: string[], read: () => Iterable<Sample>): void {
    const gauge = new Gauge({
      name,
      help,
      labelNames,
      registers: [],
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.set(labels, value);
      },
    });
    this.#registry.registerMetric(gauge);
  }

  counters(name: string, help: string, labelNames: string[], read: () => Iterable<Sample>): void {
    const counter = new Counter({
      name,
      help,
      labelNames,
      registers: [],
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.inc(labels, value);
      },
    });
    this.#registry.registerMetric(counter);
  }

  histogram(name: string, help: string, histogram: Histogram): void {
    this.histograms(name, help, [], () => [[{}, histogram]]);
  }

  histograms(
    name: string,
    help: string,
    labelNames: string[],
    read: () => Iterable<readonly [Labels, Histogram]>,
  ): void {
    this.#registry.registerMetric(new ReadHistogram({ name, help, labelNames, registers: [] }, read));
  }
}

interface HistogramOptions {
  name: string;
  help: string;
  labelNames: string[];
  registers: Registry[];
}

/** Shows histograms that are kept elsewhere: observing one of prom-client's own allocates. */
class ReadHistogram extends Exposed {
  readonly #options: HistogramOptions;
  readonly #read: () => Iterable<readonly [Labels, Histogram]>;

  constructor(options: HistogramOptions, read: () => Iterable<readonly [Labels, Histogram]>) {
    super(options);
    this.#options = options;
    this.#read = read;
  }

  /** What the registry of prom-client 15 asks a metric for. */
  async getForPromString(): Promise<object> {
    const { name, help } = this.#options;
    const values: { metricName: string; labels: Record<string, string | number>; value: number }[] = [];
    for (const [labels, histogram] of this.#read()) {
      let below = 0;
      for (const [index, count] of histogram.counts.entries()) {
        below += count;
        const le = histogram.bounds[index] ?? '+Inf';
        values.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: below });
      }
      values.push({ metricName: `${name}_sum`, labels, value: histogram.sum });
      values.push({ metricName: `${name}_count`, labels, value: below });
    }
    return { name, help, type: 'histogram', values, aggregator: 'sum' };
  }
}

function addServer(add: Adder, { stats, view }: MetricsOptions): void {
  const { writes, health } = stats;
  add.gauge('etcd_server_has_leader', '1 when there is a leader', () => Number(view.hasLeader));
  add.gauge('etcd_server_is_leader', '1 when this member is the leader', () => Number(view.isLeader));
  add.gauge('etcd_server_is_learner', '1 when this member does not vote', () => Number(view.isLearner));
  add.counter('etcd_server_leader_changes_seen_total', 'Leaders seen', () => writes.leaderChanges);
  add.gauge('etcd_server_proposals_committed_total', 'Index committed', () => view.committedIndex);
  add.gauge('etcd_server_proposals_applied_total', 'Index applied', () => view.appliedIndex);
  add.gauge('etcd_server_proposals_pending', 'Proposals not yet applied', () => writes.pending);
  add.counter('etcd_server_proposals_failed_total', 'Proposals that failed', () => writes.failed);
  add.counter('etcd_server_slow_apply_total', 'Changes that took long to apply', () => writes.slowApplies);
  add.histograms(
    'etcd_server_apply_duration_seconds',
    'How long changes took to apply',
    ['version', 'op', 'success'],
    () =>
      [...writes.applies.values()].map(({ op, isDone, seconds }) => [
        { version: 'v3', op: `${op[0]!.toUpperCase()}${op.slice(1)}`, success: String(isDone) },
        seconds,
      ]),
  );
  add.gauge('etcd_server_quota_backend_bytes', 'What the database may grow to', () => view.quotaBytes);
  add.counter('etcd_server_health_success', 'Good answers of /health', () => health.successes);
  add.counter('etcd_server_health_failures', 'Bad answers of /health', () => health.failures);
  add.gauges('etcd_server_id', 'Id of this member', ['server_id'], () => [
    [{ server_id: formatId(view.memberId) }, 1],
  ]);
  add.gauges('etcd_server_version', 'Release that the server behaves as', ['server_version'], () => [
    [{ server_version: view.serverVersion }, 1],
  ]);
  add.gauges('etcd_cluster_version', 'Version of the cluster', ['cluster_version'], () =>
    view.clusterVersion === undefined
      ? []
      : [[{ cluster_version: view.clusterVersion.replace(/\.\d+$/, '') }, 1]],
  );
  add.gauges('etcd_debugging_server_alarms', 'Active alarms', ['server_id', 'alarm_type'], () =>
    view.alarms.map(({ memberId, type }) => [{ server_id: formatId(memberId), alarm_type: type }, 1]),
  );
  add.gauges('etcd_server_healthcheck', '1 when the last check was good', ['type', 'name'], () =>
    [...health.checks].map(([key, { isGood }]) => [checkLabels(key), Number(isGood)]),
  );
  add.counters('etcd_server_healthchecks_total', 'Checks made', ['type', 'name', 'status'], () =>
    [...health.checks].flatMap(([key, { success, error }]): Sample[] => [
      ...(success > 0 ? [[{ ...checkLabels(key), status: 'success' }, success] as const] : []),
      ...(error > 0 ? [[{ ...checkLabels(key), status: 'error' }, error] as const] : []),
    ]),
  );
}

function checkLabels(key: string): Labels {
  const [type = '', name = ''] = key.split('/');
  return { type, name };
}

function addKeys(add: Adder, { stats, view }: MetricsOptions): void {
  const { compaction, watch } = stats;
  const debug = 'etcd_debugging_mvcc';
  add.counter('etcd_mvcc_range_total', 'Ranges read', () => view.tally.ranges);
  add.counter('etcd_mvcc_put_total', 'Keys put', () => view.tally.puts);
  add.counter('etcd_mvcc_delete_total', 'Deletions', () => view.tally.deletes);
  add.counter('etcd_mvcc_txn_total', 'Transactions', () => view.tally.txns);
  add.gauge('etcd_mvcc_db_total_size_in_bytes', 'Size of the database', () => view.databaseBytes);
  add.gauge('etcd_mvcc_db_total_size_in_use_in_bytes', 'Of it, in use', () => view.databaseInUseBytes);
  add.histogram('etcd_mvcc_hash_duration_seconds', 'Hashing the database', stats.disk.hash);
  add.histogram('etcd_mvcc_hash_rev_duration_seconds', 'Hashing up to a revision', stats.disk.hashRevision);
  add.gauge(`${debug}_keys_total`, 'Keys that exist', () => view.keyCount);
  add.gauge(`${debug}_current_revision`, 'Newest revision', () => view.revision);
  add.gauge(`${debug}_compact_revision`, 'Revision compacted to', () => view.compactRevision);
  add.gauge(`${debug}_total_put_size_in_bytes`, 'Bytes put', () => view.tally.putBytes);
  add.gauge(`${debug}_watch_stream_total`, 'Watch streams', () => watch.streams);
  add.gauge(`${debug}_watcher_total`, 'Watchers', () => view.watcherCount);
  add.gauge(`${debug}_slow_watcher_total`, 'Watchers that are behind', () => view.slowWatcherCount);
  add.counter(`${debug}_events_total`, 'Events sent', () => watch.events);
  add.histogram(`${debug}_db_compaction_pause_duration_milliseconds`, 'Slices of it', compaction.pauseMs);
  add.histogram(`${debug}_db_compaction_total_duration_milliseconds`, 'All of it', compaction.totalMs);
  add.counter(`${debug}_db_compaction_keys_total`, 'Records dropped', () => compaction.records);
  add.gauge(`${debug}_db_compaction_last`, 'Unix time of the last one', () => compaction.lastSeconds);
  add.counter('etcd_debugging_lease_granted_total', 'Leases granted', () => view.leases.granted);
  add.counter('etcd_debugging_lease_revoked_total', 'Leases revoked', () => view.leases.revoked);
  add.counter('etcd_debugging_lease_renewed_total', 'Leases renewed', () => view.leases.renewed);
  add.histogram('etcd_debugging_lease_ttl_total', 'Seconds granted', stats.leaseTtlSeconds);
  add.counter('etcd_debugging_server_lease_expired_total', 'Leases that ran out', () => view.leases.expired);
  add.gauge('etcd_debugging_auth_revision', 'Revision of users and roles', () => view.authRevision);
}

function addDisk(add: Adder, { stats: { disk } }: MetricsOptions): void {
  add.histogram('etcd_disk_wal_fsync_duration_seconds', 'Syncing the log', disk.walFsync);
  add.histogram('etcd_disk_wal_write_duration_seconds', 'Writing the log', disk.walWrite);
  add.gauge('etcd_disk_wal_write_bytes_total', 'Bytes written to the log', () => disk.walWriteBytes);
  add.histogram('etcd_disk_backend_commit_duration_seconds', 'Commits', disk.backendCommit);
  add.histogram('etcd_disk_backend_defrag_duration_seconds', 'Defragmentations', disk.backendDefrag);
  add.histogram('etcd_disk_backend_snapshot_duration_seconds', 'Sending the database', disk.backendSnapshot);
  add.gauge('etcd_disk_defrag_inflight', '1 while it defragments', () => Number(disk.isDefragmenting));
  add.histogram('etcd_snap_fsync_duration_seconds', 'Syncing a snapshot file', disk.snapFsync);
}

const METHOD_LABELS = ['grpc_type', 'grpc_service', 'grpc_method'];

function addCalls(add: Adder, { calls, isExtensive }: MetricsOptions): void {
  add.counter(
    'etcd_network_client_grpc_received_bytes_total',
    'Bytes of messages',
    () => calls.receivedBytes,
  );
  add.counter('etcd_network_client_grpc_sent_bytes_total', 'Bytes of messages', () => calls.sentBytes);
  add.counters(
    'etcd_server_client_requests_total',
    'Calls by the version of the client',
    ['type', 'client_api_version'],
    () =>
      [...calls.clientVersions].flatMap(([version, { unary, stream }]): Sample[] => [
        ...(unary > 0 ? [[{ type: 'unary', client_api_version: version }, unary] as const] : []),
        ...(stream > 0 ? [[{ type: 'stream', client_api_version: version }, stream] as const] : []),
      ]),
  );
  const perMethod = (name: string, help: string, read: (method: MethodStats) => number): void =>
    add.counters(name, help, METHOD_LABELS, () =>
      calls.methods.map((method) => [methodLabels(method), read(method)]),
    );
  perMethod('grpc_server_started_total', 'Calls begun', (method) => method.started);
  perMethod('grpc_server_msg_received_total', 'Messages of clients', (method) => method.received);
  perMethod('grpc_server_msg_sent_total', 'Messages to clients', (method) => method.sent);
  add.counters('grpc_server_handled_total', 'Calls ended', [...METHOD_LABELS, 'grpc_code'], () =>
    calls.methods.flatMap((method) =>
      CODE_NAMES.map((grpc_code, code): Sample => [
        { ...methodLabels(method), grpc_code },
        method.handled[code]!,
      ]),
    ),
  );
  if (!isExtensive) return;
  add.histograms('grpc_server_handling_seconds', 'How long calls took', METHOD_LABELS, () =>
    calls.methods.map((method) => [methodLabels(method), method.seconds]),
  );
}

/** Ours: etcd only logs what it turns away. */
function addHandshakes(add: Adder, { handshakes }: MetricsOptions): void {
  if (!handshakes) return;
  add.counter('etcdkit_tls_handshakes_total', 'Clients let in by TLS', () => handshakes.completed);
  add.counters('etcdkit_tls_refused_total', 'Clients turned away by TLS', ['reason'], () =>
    Object.entries(handshakes.refused).map(([reason, count]) => [{ reason }, count]),
  );
}

function methodLabels({ path, type }: MethodStats): Labels {
  const [, service = '', method = ''] = path.split('/');
  return { grpc_type: type, grpc_service: service, grpc_method: method };
}

/** Limits by the flags that set them. */
const LIMIT_NAMES: Readonly<Record<string, keyof Limits>> = {
  'max-connections': 'connectionsMax',
  'max-concurrent-streams': 'streamsPerConnectionMax',
  'max-total-streams': 'streamsMax',
  'max-queued-bytes': 'heldBytesMax',
  'max-header-bytes': 'headerListSizeMax',
};

const TIMEOUT_NAMES: Readonly<Record<string, keyof Limits>> = {
  'handshake-timeout': 'handshakeTimeoutMs',
  'request-read-timeout': 'requestTimeoutMs',
  'grpc-keepalive-min-time': 'pingIntervalMinMs',
  'grpc-keepalive-interval': 'keepAliveIntervalMs',
  'grpc-keepalive-timeout': 'keepAliveTimeoutMs',
};

/** Names of our own: etcd does not show what its clients cost, save through the Go runtime. */
function addClients(add: Adder, { stats: { rpc, metrics }, limits = DEFAULT_LIMITS }: MetricsOptions): void {
  add.gauges('etcdkit_connections', 'Connections that are open', ['protocol'], () => [
    [{ protocol: 'http2' }, rpc.connections],
    [{ protocol: 'http1' }, rpc.http1],
    [{ protocol: 'unknown' }, rpc.silent],
    [{ protocol: 'metrics' }, metrics.clientConnections],
  ]);
  add.counters('etcdkit_connections_accepted_total', 'Connections that said something', ['protocol'], () => [
    [{ protocol: 'http2' }, rpc.connectionsTotal],
    [{ protocol: 'http1' }, rpc.http1Total],
  ]);
  add.gauge('etcdkit_streams', 'Calls that are open', () => rpc.streams);
  add.gauge(
    'etcdkit_stalled_streams',
    'Of them, with a client that takes too little',
    () => rpc.stalledStreams,
  );
  add.gauge(
    'etcdkit_postponed_requests',
    'Requests that wait until there is room for them',
    () => rpc.postponed + rpc.bodiesHeldUp,
  );
  add.counter('etcdkit_cancelled_streams_total', 'Calls that clients cancelled', () => rpc.resets);
  add.gauges('etcdkit_queued_bytes', 'Memory that slow clients take', ['what'], () => [
    [{ what: 'requests' }, rpc.requestBytes + rpc.bodyBytes],
    [{ what: 'replies' }, rpc.replyBytes],
    [{ what: 'stream_messages' }, rpc.queuedBytes],
    [{ what: 'http_answers' }, rpc.answerBytes],
  ]);
  add.counters('etcdkit_refused_total', 'What clients were refused, by the reason', ['reason'], () =>
    REFUSALS.map((reason) => [{ reason }, rpc.refused[reason] + metrics.refused[reason]]),
  );
  add.gauges('etcdkit_limit', 'Limits in force, by the flags that set them', ['flag'], () =>
    Object.entries(LIMIT_NAMES).map(([flag, name]) => [{ flag }, Number(limits[name])]),
  );
  add.gauges('etcdkit_timeout_seconds', 'Times in force, by the flags that set them', ['flag'], () =>
    Object.entries(TIMEOUT_NAMES).map(([flag, name]) => [{ flag }, Number(limits[name]) / 1000]),
  );
}

function addProcess(add: Adder): void {
  let now = readProcess();
  // The first one that is read asks the system for all of them.
  add.counter('process_cpu_seconds_total', 'Time on processors', () => (now = readProcess()).cpuSeconds);
  add.gauge('process_resident_memory_bytes', 'Memory in use', () => now.residentBytes);
  add.gauge('process_virtual_memory_bytes', 'Address space', () => now.virtualBytes);
  add.gauge('process_open_fds', 'Open files', () => now.openFiles);
  add.gauge('process_max_fds', 'Open files allowed', () => now.openFilesMax);
  add.gauge('process_start_time_seconds', 'Unix time of the start', () => now.startSeconds);
  add.gauge('os_fd_used', 'Open files', () => now.openFiles);
  add.gauge('os_fd_limit', 'Open files allowed', () => now.openFilesMax);
}
