/** Settings that say what clients may cost. */
import { UsageError } from '../../errors.ts';
import type { ServerConfig } from '../../server/config.ts';
import type { ServeFlag } from './flags.ts';
import type { Settings } from './settings.ts';

type Limits = Pick<
  ServerConfig,
  | 'requestBytesMax'
  | 'txnOpsMax'
  | 'streamsMax'
  | 'clients'
  | 'keepAlive'
  | 'watchProgressIntervalMs'
  | 'heartbeatMs'
  | 'electionMs'
>;

const STREAMS_MAX = 2 ** 32 - 1;

export function limitsOf(settings: Settings): Limits {
  const streamsMax = settings.integer('max-concurrent-streams');
  if (streamsMax > STREAMS_MAX)
    throw new UsageError('usage', `${settings.origin('max-concurrent-streams')}: does not fit into 32 bits`);
  return {
    requestBytesMax: settings.integer('max-request-bytes'),
    txnOpsMax: settings.integer('max-txn-ops'),
    streamsMax,
    clients: {
      connectionsMax: settings.integer('max-connections'),
      streamsMax: settings.integer('max-total-streams'),
      queuedBytesMax: settings.integer('max-queued-bytes'),
      headerBytesMax: settings.integer('max-header-bytes'),
      pendingLoginsMax: settings.integer('max-pending-logins'),
      handshakeTimeoutMs: timeoutOf(settings, 'handshake-timeout'),
      requestTimeoutMs: timeoutOf(settings, 'request-read-timeout'),
    },
    keepAlive: {
      minTimeMs: settings.duration('grpc-keepalive-min-time')!,
      intervalMs: settings.duration('grpc-keepalive-interval')!,
      timeoutMs: settings.duration('grpc-keepalive-timeout')!,
    },
    watchProgressIntervalMs: settings.duration('watch-progress-notify-interval')!,
    heartbeatMs: settings.integer('heartbeat-interval'),
    electionMs: settings.integer('election-timeout'),
  };
}

/** None is a timeout too many: it would let everybody stay for ever. */
function timeoutOf(settings: Settings, name: ServeFlag): number {
  const timeoutMs = settings.duration(name)!;
  if (timeoutMs > 0) return timeoutMs;
  throw new UsageError('usage', `${settings.origin(name)}: must be longer than nothing`);
}
