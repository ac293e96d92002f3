/**
 * What a server is told before it starts: etcd's settings for one member, as values; and what whoever starts it gets
 * back. Where the values come from (flags, environment, file) is the command line's business. The checks are those of
 * etcd v3.6 server/embed/config.go `Validate`, in its order and its words.
 */
import type { Disk } from '../bytes/disk.ts';
import { UsageError } from '../errors.ts';
import { addressOf } from '../format/urls.ts';
import { DEFAULT_LIMITS } from '../rpc/limits.ts';
import type { Log } from './log.ts';
import { DEFAULT_CLUSTER, DEFAULT_NAME, DEFAULT_PEER_URLS, DEFAULT_TOKEN } from '../store/cluster-plan.ts';
import { checkTlsInfo, NO_TLS, type TlsInfo } from './tls/tls-info.ts';

/** The versions of etcd whose encodings and answers the server can have. */
export const EMULATED_VERSIONS = ['3.5', '3.6', '3.7'] as const;
export type EmulatedVersion = (typeof EMULATED_VERSIONS)[number];

/** What is served. */
export type Target =
  | {
      kind: 'member';
      dataDir: string;
      /** Where the log is; inside the data directory without it. */
      walDir: string | undefined;
      /** Makes one member of a directory that several shared. */
      isForcedNew: boolean;
    }
  | {
      kind: 'mount';
      /** A backup, a database file or a data directory; only read. */
      path: string;
      walDir: string | undefined;
      /** The revision that is shown; the last one without it. */
      revision: number | undefined;
      /** Writes go to an overlay that is thrown away. */
      isScratch: boolean;
      /** Everybody is root, whatever users there are. */
      isAuthSkipped: boolean;
    };

/** How a directory without a member begins. Ignored where there is one. */
export interface FirstStart {
  /** `name=url,…` */
  initialCluster: string;
  token: string;
  state: 'new' | 'existing';
}

export interface LogSettings {
  level: 'debug' | 'info' | 'warn' | 'error' | 'fatal';
  format: 'json' | 'console';
  /** `stderr`, `stdout`, or paths of files that are appended to. */
  outputs: readonly string[];
}

export interface ClientLimits {
  connectionsMax: number;
  /** Calls on all connections. */
  streamsMax: number;
  /** Of requests that are not complete and replies that are not taken. */
  queuedBytesMax: number;
  /** Of one request. */
  headerBytesMax: number;
  /** Passwords that wait to be looked at. */
  pendingLoginsMax: number;
  /** How long a connection may say nothing, and how long a request or reply may take. */
  handshakeTimeoutMs: number;
  requestTimeoutMs: number;
}

export interface AuthSettings {
  /** `--auth-token`: `simple`, or `jwt,sign-method=…`. */
  token: string;
  /** Of a simple token that nobody uses. */
  tokenTtlMs: number;
  bcryptCost: number;
}

/** Absent and default values are resolved; sizes in bytes, times in milliseconds. URLs as `parseUrls` gives them. */
export interface ServerConfig {
  target: Target;
  emulate: EmulatedVersion | undefined;
  name: string;
  firstStart: FirstStart;
  listenClientUrls: readonly string[];
  /** Where HTTP/1.1 alone is answered; with any, `listenClientUrls` answer gRPC alone. */
  listenClientHttpUrls: readonly string[];
  listenMetricsUrls: readonly string[];
  advertiseClientUrls: readonly string[];
  /** For those of the URLs that ask for it. */
  clientTls: TlsInfo;
  /** The member's peer URLs; nobody listens there. */
  peerUrls: readonly string[];
  hostWhitelist: readonly string[];
  corsOrigins: readonly string[];
  /** Whether the API is there as JSON below `/v3/`. */
  isGatewayEnabled: boolean;

  snapshotCount: number;
  /** Files kept; 0 keeps all. */
  snapshotsMax: number;
  walsMax: number;
  /** What the database may grow to; negative for no limit. */
  quotaBytes: number;
  backendBatchIntervalMs: number;
  backendBatchLimit: number;
  autoCompaction:
    | { mode: 'periodic'; retentionMs: number }
    | { mode: 'revision'; retention: number }
    | undefined;
  requestBytesMax: number;
  txnOpsMax: number;
  streamsMax: number;
  /** What all clients together may cost. */
  clients: ClientLimits;
  /** Zero means that clients are not held to it, or not asked. */
  keepAlive: { minTimeMs: number; intervalMs: number; timeoutMs: number };
  watchProgressIntervalMs: number;
  heartbeatMs: number;
  electionMs: number;
  isLeaseCheckpointed: boolean;
  warningApplyMs: number;
  warningUnaryMs: number;
  isMetricsExtensive: boolean;
  auth: AuthSettings;
  log: LogSettings;
  /** How long to wait for a lock that another process holds; 0 for ever. */
  lockTimeoutMs: number;
  /** Start also where the host cannot lock a file. */
  allowUnlocked: boolean;
}

/** What a server may use of the world besides its configuration. */
export interface ServerContext {
  log: Log;
  disk: Disk;
  /** Aborted when the start is to be given up. */
  signal: AbortSignal;
}

/** A server that answers. */
export interface RunningServer {
  /** Where it listens: the client URLs with the ports that were really taken. */
  urls: readonly string[];
  /** Fulfilled when it has stopped, rejected when it had to: a failed fsync, a listener that broke. */
  done: Promise<void>;
  /** Ends calls within `graceMs`, commits, closes. A second call waits for the first. */
  stop(graceMs: number): Promise<void>;
}

/** Resolves once requests are answered. Throws a `ToolError` for a directory that is refused. */
export type StartServer = (config: ServerConfig, context: ServerContext) => Promise<RunningServer>;

const QUOTA_BYTES = 2 * 1024 ** 3;
/** Beyond this etcd warns. */
export const QUOTA_BYTES_ADVISED = 8 * 1024 ** 3;
const ELECTION_MS_MAX = 50_000;
const DEFAULT_URL = 'http://localhost:2379';

/** The configuration of a server that is told nothing. */
export function defaultConfig(): ServerConfig {
  return {
    target: { kind: 'member', dataDir: `${DEFAULT_NAME}.etcd`, walDir: undefined, isForcedNew: false },
    emulate: undefined,
    name: DEFAULT_NAME,
    firstStart: { initialCluster: DEFAULT_CLUSTER, token: DEFAULT_TOKEN, state: 'new' },
    listenClientUrls: [DEFAULT_URL],
    listenClientHttpUrls: [],
    listenMetricsUrls: [],
    advertiseClientUrls: [DEFAULT_URL],
    clientTls: NO_TLS,
    peerUrls: [DEFAULT_PEER_URLS],
    hostWhitelist: ['*'],
    corsOrigins: ['*'],
    isGatewayEnabled: true,
    snapshotCount: 10_000,
    snapshotsMax: 5,
    walsMax: 5,
    quotaBytes: QUOTA_BYTES,
    backendBatchIntervalMs: 100,
    backendBatchLimit: 10_000,
    autoCompaction: undefined,
    requestBytesMax: 1.5 * 1024 * 1024,
    txnOpsMax: 128,
    streamsMax: 2 ** 32 - 1,
    clients: {
      connectionsMax: DEFAULT_LIMITS.connectionsMax,
      streamsMax: DEFAULT_LIMITS.streamsMax,
      queuedBytesMax: DEFAULT_LIMITS.heldBytesMax,
      headerBytesMax: DEFAULT_LIMITS.headerListSizeMax,
      pendingLoginsMax: 128,
      handshakeTimeoutMs: DEFAULT_LIMITS.handshakeTimeoutMs,
      requestTimeoutMs: DEFAULT_LIMITS.requestTimeoutMs,
    },
    keepAlive: { minTimeMs: 5000, intervalMs: 2 * 3_600_000, timeoutMs: 20_000 },
    watchProgressIntervalMs: 600_000,
    heartbeatMs: 100,
    electionMs: 1000,
    isLeaseCheckpointed: false,
    warningApplyMs: 100,
    warningUnaryMs: 300,
    isMetricsExtensive: false,
    auth: { token: 'simple', tokenTtlMs: 300_000, bcryptCost: 10 },
    log: { level: 'info', format: 'json', outputs: ['stderr'] },
    lockTimeoutMs: 10_000,
    allowUnlocked: false,
  };
}

const configError = (message: string): UsageError => new UsageError('server.config', message);

/** Throws `server.config` for what contradicts itself, or what this server cannot be. */
export function checkConfig(config: ServerConfig): void {
  for (const urls of [config.listenClientUrls, config.listenClientHttpUrls, config.listenMetricsUrls])
    urls.forEach(checkBindUrl);
  checkHostUrls('--initial-advertise-peer-urls', config.peerUrls);
  checkHostUrls('--advertise-client-urls', config.advertiseClientUrls);
  if (config.listenClientUrls.length === 0) throw configError('there is no URL to listen on for clients');
  checkTimes(config);
  checkTlsInfo(config.clientTls, config);
  const taken = config.listenClientUrls.map(placeOf);
  for (const url of config.listenClientHttpUrls) {
    if (!taken.includes(placeOf(url))) continue;
    throw configError(
      `cannot bind both --listen-client-urls and --listen-client-http-urls on the same url ${url}`,
    );
  }
}

/** The same for an address with and without TLS. */
function placeOf(url: string): string {
  return url.replace(/^[a-z]+:/, '');
}

function checkBindUrl(url: string): void {
  const address = addressOf(url);
  if (address.kind === 'unix' || address.host === 'localhost') return;
  if (!/^(?:\d+\.){3}\d+$|:/.test(address.host)) throw configError(`expected IP in URL for binding (${url})`);
}

function checkHostUrls(flag: string, urls: readonly string[]): void {
  for (const url of urls) {
    const address = addressOf(url);
    if (address.kind === 'tcp' && address.host === '') {
      const list = JSON.stringify(urls.join(','));
      throw configError(`${flag} ${list} must be "host:port" (unexpected empty host (${url}))`);
    }
  }
}

function checkTimes({ heartbeatMs, electionMs }: ServerConfig): void {
  if (heartbeatMs === 0) throw configError('--heartbeat-interval must be >0 (set to 0ms)');
  if (electionMs === 0) throw configError('--election-timeout must be >0 (set to 0ms)');
  if (5 * heartbeatMs > electionMs) {
    throw configError(
      `--election-timeout[${electionMs}ms] should be at least as 5 times as --heartbeat-interval[${heartbeatMs}ms]`,
    );
  }
  if (electionMs > ELECTION_MS_MAX) {
    throw configError(
      `--election-timeout[${electionMs}ms] is too long, and should be set less than ${ELECTION_MS_MAX}ms`,
    );
  }
}

/** How long a request may wait to be committed. etcd v3.6 server/config/config.go `ReqTimeout`. */
export function requestTimeoutMs({ heartbeatMs, electionMs }: ServerConfig): number {
  return 5000 + 2 * Math.floor(electionMs / heartbeatMs) * heartbeatMs;
}
