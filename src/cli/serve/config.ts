/** From settings to the configuration of a server: what etcd derives from them is derived here. */
import { UnsupportedError, UsageError } from '../../errors.ts';
import { addressOf, parseUrls } from '../../format/urls.ts';
import {
  checkConfig,
  defaultConfig,
  EMULATED_VERSIONS,
  type LogSettings,
  QUOTA_BYTES_ADVISED,
  type ServerConfig,
  type Target,
} from '../../server/config.ts';
import { DEFAULT_CLUSTER, DEFAULT_NAME } from '../../store/cluster-plan.ts';
import { parseDuration } from '../../bytes/duration.ts';
import { flagText } from '../flags.ts';
import { SERVE_FLAGS, type ServeFlag } from './flags.ts';
import type { Note, Settings } from './settings.ts';
import { tlsNotes, tlsOf } from './tls-settings.ts';

export interface Surroundings {
  /** Address by which other hosts reach this one. */
  defaultHost: string | undefined;
  lockTimeoutMs: number;
}

/** A configuration that {@link checkConfig} lets pass; what there is to say of it goes to `notes`. */
export function configOf(
  settings: Settings,
  { defaultHost, lockTimeoutMs }: Surroundings,
  notes: Note[],
): ServerConfig {
  const target = targetOf(settings, notes);
  const urls = urlsOf(settings, target, { defaultHost, notes });
  const config: ServerConfig = {
    ...defaultConfig(),
    ...urls,
    ...storageOf(settings, notes),
    ...limitsOf(settings),
    target,
    clientTls: tlsOf(settings),
    emulate: choiceOf(settings, 'emulate', EMULATED_VERSIONS),
    name: settings.text('name')!,
    hostWhitelist: settings.list('host-whitelist'),
    corsOrigins: settings.list('cors'),
    isGatewayEnabled: settings.boolean('enable-grpc-gateway'),
    warningApplyMs: settings.duration('warning-apply-duration')!,
    warningUnaryMs: settings.duration('warning-unary-request-duration')!,
    isMetricsExtensive: choiceOf(settings, 'metrics', ['basic', 'extensive']) === 'extensive',
    auth: authOf(settings),
    isLeaseCheckpointed: readGates(settings, notes),
    log: logSettings(settings),
    lockTimeoutMs,
    allowUnlocked: settings.boolean('no-lock'),
  };
  checkConfig(config);
  notes.push(...tlsNotes(config));
  if (config.name === DEFAULT_NAME && target.kind === 'member') {
    notes.push({
      level: 'warn',
      fields: { name: config.name },
      message:
        "it isn't recommended to use default name, please set a value for --name. Note that etcd might run into issue when multiple members have the same default name",
    });
  }
  return config;
}

function wrong(settings: Settings, name: ServeFlag, why: string): UsageError {
  return new UsageError('usage', `${settings.origin(name)}: ${why}`);
}

function authOf(settings: Settings): ServerConfig['auth'] {
  return {
    token: settings.text('auth-token')!,
    tokenTtlMs: settings.integer('auth-token-ttl') * 1000,
    bcryptCost: settings.integer('bcrypt-cost'),
  };
}

function choiceOf<const W extends string>(
  settings: Settings,
  name: ServeFlag,
  words: readonly W[],
): W | undefined {
  const text = settings.text(name);
  if (text === undefined) return undefined;
  const word = words.find((each) => each === text);
  if (word !== undefined) return word;
  throw new UsageError(
    'usage',
    `${settings.origin(name)} takes ${words.join(', ')}, not ${JSON.stringify(text)}`,
  );
}

function targetOf(settings: Settings, notes: Note[]): Target {
  const path = settings.text('snapshot');
  const walDir = settings.text('wal-dir') || undefined;
  const revision = settings.integer('rev');
  const isScratch = settings.boolean('scratch');
  const isAuthSkipped = settings.boolean('insecure-skip-auth');
  if (path === undefined) {
    for (const name of ['rev', 'scratch', 'insecure-skip-auth'] as const)
      if (settings.isGiven(name))
        throw wrong(settings, name, `goes with ${flagText('snapshot')}: a member is served as it is`);
    const given = settings.text('data-dir');
    const dataDir = given || `${settings.text('name')}.etcd`;
    if (!given)
      notes.push({
        level: 'warn',
        fields: { 'data-dir': dataDir },
        message: "'data-dir' was empty; using default",
      });
    return { kind: 'member', dataDir, walDir, isForcedNew: settings.boolean('force-new-cluster') };
  }
  for (const name of ['data-dir', 'force-new-cluster', 'no-lock'] as const)
    if (settings.isGiven(name) && (name === 'data-dir' || settings.boolean(name)))
      throw wrong(settings, name, `goes without ${flagText('snapshot')}, which names what is served`);
  return {
    kind: 'mount',
    path,
    walDir,
    revision: revision === 0 ? undefined : revision,
    isScratch,
    isAuthSkipped,
  };
}

type Urls = Pick<
  ServerConfig,
  | 'listenClientUrls'
  | 'listenClientHttpUrls'
  | 'listenMetricsUrls'
  | 'advertiseClientUrls'
  | 'peerUrls'
  | 'firstStart'
>;

function urlList(settings: Settings, name: ServeFlag): string[] {
  const text = settings.text(name);
  if (text === undefined || text === '') return [];
  return [...new Set(parseUrls(text.split(','), (message) => wrong(settings, name, message)))];
}

function urlsOf(
  settings: Settings,
  target: Target,
  { defaultHost, notes }: { defaultHost: string | undefined; notes: Note[] },
): Urls {
  const listenClientUrls = urlList(settings, 'listen-client-urls');
  const hasNoAdvertised =
    settings.isGiven('listen-client-urls') && !settings.isGiven('advertise-client-urls');
  // etcd lets its default stand for a configuration file.
  if (hasNoAdvertised && target.kind === 'member' && !settings.isFromFile) {
    throw new UsageError(
      'server.config',
      '--advertise-client-urls is required when --listen-client-urls is set explicitly',
    );
  }
  const reach = (advertise: ServeFlag, listened: readonly string[]): readonly string[] =>
    reachable(urlList(settings, advertise), listened, {
      byDefault: SERVE_FLAGS[advertise].default!,
      defaultHost,
      notes,
    });
  const advertiseClientUrls = reach('advertise-client-urls', listenClientUrls);
  const peerUrls = reach('initial-advertise-peer-urls', urlList(settings, 'listen-peer-urls'));
  return {
    listenClientUrls,
    listenClientHttpUrls: urlList(settings, 'listen-client-http-urls'),
    listenMetricsUrls: urlList(settings, 'listen-metrics-urls'),
    advertiseClientUrls: target.kind === 'mount' && hasNoAdvertised ? listenClientUrls : advertiseClientUrls,
    peerUrls,
    firstStart: {
      initialCluster: initialClusterOf(settings, peerUrls),
      token: settings.text('initial-cluster-token')!,
      state: choiceOf(settings, 'initial-cluster-state', ['new', 'existing'])!,
    },
  };
}

/** Where only the name was given, the cluster is this member under that name. */
function initialClusterOf(settings: Settings, peerUrls: readonly string[]): string {
  const text = settings.text('initial-cluster')!;
  const name = settings.text('name')!;
  if (name === DEFAULT_NAME || text !== DEFAULT_CLUSTER) return text;
  return peerUrls.map((url) => `${name}=${url}`).join(',');
}

/**
 * What is listened for on every interface and advertised as localhost by default is advertised by this host's address,
 * as etcd does it (`UpdateDefaultClusterFromName`).
 */
function reachable(
  advertised: readonly string[],
  listened: readonly string[],
  { byDefault, defaultHost, notes }: { byDefault: string; defaultHost: string | undefined; notes: Note[] },
): readonly string[] {
  const first = listened[0] === undefined ? undefined : addressOf(listened[0]);
  if (advertised.length !== 1 || advertised[0] !== byDefault) return advertised;
  if (defaultHost === undefined || first?.kind !== 'tcp' || first.host !== '0.0.0.0') return advertised;
  notes.push({
    level: 'info',
    fields: { host: defaultHost },
    message: 'detected default host for advertise',
  });
  return [`http://${defaultHost}:${first.port}`];
}

type Storage = Pick<
  ServerConfig,
  | 'snapshotCount'
  | 'snapshotsMax'
  | 'walsMax'
  | 'quotaBytes'
  | 'backendBatchIntervalMs'
  | 'backendBatchLimit'
  | 'autoCompaction'
>;

function storageOf(settings: Settings, notes: Note[]): Storage {
  const defaults = defaultConfig();
  const quota = settings.integer('quota-backend-bytes');
  if (quota > QUOTA_BYTES_ADVISED) {
    notes.push({
      level: 'warn',
      fields: { 'quota-size-bytes': quota, 'quota-maximum-size-bytes': QUOTA_BYTES_ADVISED },
      message: 'quota exceeds the maximum value',
    });
  }
  return {
    snapshotCount: settings.integer('snapshot-count') || defaults.snapshotCount,
    snapshotsMax: settings.integer('max-snapshots'),
    walsMax: settings.integer('max-wals'),
    quotaBytes: quota === 0 ? defaults.quotaBytes : quota,
    backendBatchIntervalMs: settings.duration('backend-batch-interval') || defaults.backendBatchIntervalMs,
    backendBatchLimit: settings.integer('backend-batch-limit') || defaults.backendBatchLimit,
    autoCompaction: autoCompactionOf(settings),
  };
}

/** etcd v3.6 server/embed/etcd.go `parseCompactionRetention`: a bare number is hours, or revisions. */
function autoCompactionOf(settings: Settings): ServerConfig['autoCompaction'] {
  const mode = settings.text('auto-compaction-mode')!;
  if (mode === '') throw new UsageError('server.config', 'undefined auto-compaction-mode');
  if (mode !== 'periodic' && mode !== 'revision')
    throw new UsageError('server.config', `unknown auto-compaction-mode ${JSON.stringify(mode)}`);
  const text = settings.text('auto-compaction-retention') || '0';
  const isNumber = /^\+?\d+$/.test(text);
  if (isNumber && Number(text) === 0) return undefined;
  if (mode === 'revision') {
    if (isNumber) return { mode, retention: Number(text) };
    // Differs from etcd, which takes the nanoseconds of a duration for a number of revisions.
    throw wrong(
      settings,
      'auto-compaction-retention',
      `${JSON.stringify(text)} is not a number of revisions`,
    );
  }
  const retentionMs = isNumber ? Number(text) * 3_600_000 : parseDuration(text);
  if (typeof retentionMs !== 'number') {
    throw new UsageError('server.config', `error parsing CompactionRetention: ${retentionMs.problem}`);
  }
  return retentionMs > 0 ? { mode, retentionMs } : undefined;
}

type Limits = Pick<
  ServerConfig,
  | 'requestBytesMax'
  | 'txnOpsMax'
  | 'streamsMax'
  | 'keepAlive'
  | 'watchProgressIntervalMs'
  | 'heartbeatMs'
  | 'electionMs'
>;

function limitsOf(settings: Settings): Limits {
  const streamsMax = settings.integer('max-concurrent-streams');
  if (streamsMax > 2 ** 32 - 1) throw wrong(settings, 'max-concurrent-streams', 'does not fit into 32 bits');
  return {
    requestBytesMax: settings.integer('max-request-bytes'),
    txnOpsMax: settings.integer('max-txn-ops'),
    streamsMax,
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

/** Gates of etcd 3.6 and 3.7, and why those that decide nothing here do so. */
const IDLE_GATES: Readonly<Record<string, string>> = {
  InitialCorruptCheck:
    'there is no other member to compare hashes with; a damaged directory is refused anyway',
  CompactHashCheck: 'there is no other member to compare hashes with',
  TxnModeWriteWithSharedBuffer: 'it says how etcd buffers reads within a transaction',
  SetMemberLocalAddr: 'one member talks to no peers',
  FastLeaseKeepAlive: 'the only member keeps its own leases',
  PriorityRequest: 'requests are applied in the order they come',
};

/** Whether leases are checkpointed, the one gate that decides something. */
function readGates({ gates }: Settings, notes: Note[]): boolean {
  for (const [name, isOn] of gates) {
    if (name === 'LeaseCheckpoint' || name === 'LeaseCheckpointPersist') continue;
    if (name === 'StopGRPCServiceOnDefrag') {
      if (!isOn) continue;
      throw new UnsupportedError(
        'server.config',
        `feature gate ${name}: this server goes on serving while it defragments`,
      );
    }
    const reason = Object.hasOwn(IDLE_GATES, name) ? IDLE_GATES[name] : undefined;
    if (reason === undefined) throw new UsageError('usage', `unrecognized feature gate: ${name}`);
    notes.push({
      level: 'info',
      fields: { setting: `${flagText('feature-gates')} ${name}`, value: String(isOn), reason },
      message: 'setting has no effect',
    });
  }
  const isOn = gates.get('LeaseCheckpoint') ?? false;
  const isPersisted = gates.get('LeaseCheckpointPersist') ?? false;
  if (isPersisted && !isOn) {
    throw new UsageError(
      'server.config',
      'enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint',
    );
  }
  if (isOn && !isPersisted) {
    notes.push({
      level: 'warn',
      fields: {},
      message:
        'Detected that checkpointing is enabled without persistence. Consider enabling feature gate LeaseCheckpointPersist',
    });
  }
  return isOn;
}

const LEVELS: Readonly<Record<string, LogSettings['level']>> = {
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  dpanic: 'fatal',
  panic: 'fatal',
  fatal: 'fatal',
};

/** Where the log goes and what it looks like; read first, since the rest is reported there. */
export function logSettings(settings: Settings): LogSettings {
  const logger = settings.text('logger')!;
  if (logger === 'capnslog') throw new UsageError('server.config', '--logger=capnslog is removed in v3.5');
  if (logger !== 'zap')
    throw new UsageError('server.config', `unknown logger option ${JSON.stringify(logger)}`);
  const format = settings.text('log-format') || 'json';
  if (format !== 'json' && format !== 'console') {
    throw new UsageError('server.config', `unknown log format: ${format}, supported values json, console`);
  }
  const text = settings.text('log-level')!;
  const level = Object.hasOwn(LEVELS, text) ? LEVELS[text] : undefined;
  if (level === undefined)
    throw wrong(
      settings,
      'log-level',
      `takes ${Object.keys(LEVELS).join(', ')}, not ${JSON.stringify(text)}`,
    );
  return { level, format, outputs: outputsOf(settings) };
}

function outputsOf(settings: Settings): string[] {
  const given = settings.list('log-outputs');
  if (given.length > 1 && given.includes('default'))
    throw new UsageError('server.config', 'multi logoutput for "default" is not supported yet');
  if (given.includes('systemd/journal')) {
    const where = `${settings.origin('log-outputs')}: this server cannot write to the socket of the journal`;
    throw new UnsupportedError('server.config', where, {
      hint: 'log to stderr, which systemd keeps in the journal',
    });
  }
  if (given.includes('/dev/null')) return [];
  const outputs = given.length === 0 ? ['default'] : given;
  return [...new Set(outputs.map((output) => (output === 'default' ? 'stderr' : output)))];
}
