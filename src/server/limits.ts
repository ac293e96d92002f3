/** What clients may cost a server, from its configuration and the limits of its host. */
import { DEFAULT_LIMITS, type Limits } from '../rpc/limits.ts';
import type { ServerConfig } from './config.ts';
import type { Log } from './log.ts';
import { REQUEST_OVERHEAD } from './services.ts';

/** What etcd takes for no limit. */
const UNLIMITED = 2 ** 32 - 1;
/** Files that are kept for the log, the database, and what else is no client: etcd v3.6 server/embed/etcd.go. */
const RESERVED_FILES = 150;
/** Connections to ports for metrics alone, so that somebody sees why there is no other. */
export const METRICS_CONNECTIONS_MAX = 50;

/** Every limit of the transport; says so when the host allows fewer connections than the configuration. */
export function limitsOf(
  { requestBytesMax, streamsMax, clients, keepAlive }: ServerConfig,
  { openFilesMax, log }: { openFilesMax: number; log: Log },
): Limits {
  // Where nothing is known of files, nothing is taken from it.
  const filesMax = openFilesMax > 0 ? openFilesMax : Number.POSITIVE_INFINITY;
  const connectionsMax = Math.max(1, Math.min(clients.connectionsMax, filesMax - RESERVED_FILES));
  if (connectionsMax < clients.connectionsMax) {
    const fields = { 'max-connections': connectionsMax, 'open-files-max': openFilesMax };
    log.warn(fields, 'fewer connections than configured: this process may not open so many files');
  }
  return {
    ...DEFAULT_LIMITS,
    messageSizeMax: requestBytesMax + REQUEST_OVERHEAD,
    // Differs from etcd, whose default is no limit: so many streams would hold up all other connections.
    streamsPerConnectionMax: streamsMax === UNLIMITED ? DEFAULT_LIMITS.streamsPerConnectionMax : streamsMax,
    streamsMax: clients.streamsMax,
    connectionsMax,
    heldBytesMax: clients.queuedBytesMax,
    headerListSizeMax: clients.headerBytesMax,
    handshakeTimeoutMs: clients.handshakeTimeoutMs,
    requestTimeoutMs: clients.requestTimeoutMs,
    pingIntervalMinMs: keepAlive.minTimeMs,
    keepAliveIntervalMs: keepAlive.intervalMs,
    keepAliveTimeoutMs: keepAlive.timeoutMs,
  };
}
