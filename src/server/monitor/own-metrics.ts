/**
 * Metrics with names of our own: etcd does not show what its clients cost, save through the Go runtime, and only logs
 * whom it turns away.
 */
import { DEFAULT_LIMITS, type Limits } from '../../rpc/limits.ts';
import { REFUSALS } from '../../rpc/stats.ts';
import type { Adder, MetricsOptions, Sample } from './metrics.ts';

export function addOwn(add: Adder, options: MetricsOptions): void {
  addClients(add, options);
  addLimits(add, options);
  addAccess(add, options);
  addHandshakes(add, options);
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

function addClients(add: Adder, { stats: { rpc, metrics } }: MetricsOptions): void {
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
    'Requests that wait for their client to read',
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
}

function addLimits(add: Adder, { limits = DEFAULT_LIMITS, pendingLoginsMax }: MetricsOptions): void {
  add.gauges('etcdkit_limit', 'Limits in force, by the flags that set them', ['flag'], () => [
    ...Object.entries(LIMIT_NAMES).map(([flag, name]): Sample => [{ flag }, Number(limits[name])]),
    ...(pendingLoginsMax === undefined ? [] : [[{ flag: 'max-pending-logins' }, pendingLoginsMax] as const]),
  ]);
  add.gauges('etcdkit_timeout_seconds', 'Times in force, by the flags that set them', ['flag'], () =>
    Object.entries(TIMEOUT_NAMES).map(([flag, name]) => [{ flag }, Number(limits[name]) / 1000]),
  );
}

function addAccess(add: Adder, { stats: { access }, tokens }: MetricsOptions): void {
  const { passwords } = access;
  add.gauge('etcdkit_password_jobs', 'Passwords that wait to be looked at', () => passwords.pending);
  add.counter('etcdkit_password_jobs_refused_total', 'Passwords beyond that', () => passwords.refused);
  add.counter('etcdkit_password_jobs_failed_total', 'Passwords not looked at', () => passwords.failed);
  add.counter('etcdkit_logins_failed_total', 'Wrong names or passwords', () => access.loginsFailed);
  add.gauge('etcdkit_tokens', 'Tokens that are known', () => tokens?.count ?? 0);
  add.counters('etcdkit_tokens_refused_total', 'Calls with a token that is not valid', ['reason'], () =>
    Object.entries(access.tokensRefused).map(([reason, count]) => [{ reason }, count]),
  );
}

function addHandshakes(add: Adder, { handshakes }: MetricsOptions): void {
  if (!handshakes) return;
  add.counter('etcdkit_tls_handshakes_total', 'Clients let in by TLS', () => handshakes.completed);
  add.counters('etcdkit_tls_refused_total', 'Clients turned away by TLS', ['reason'], () =>
    Object.entries(handshakes.refused).map(([reason, count]) => [{ reason }, count]),
  );
}
