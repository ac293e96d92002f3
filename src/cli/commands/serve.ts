/** `serve`: settings → configuration → a running server, until a signal ends it. */
import { realDisk } from '../../bytes/disk.ts';
import { UsageError } from '../../errors.ts';
import { addressOf } from '../../format/urls.ts';
import { advised } from '../../ops/advice.ts';
import type { RunningServer, ServerConfig, StartServer } from '../../server/config.ts';
import type { Log } from '../../server/log.ts';
import type { Call } from '../call.ts';
import { flagText } from '../flags.ts';
import { configOf, logSettings } from '../serve/config.ts';
import { defaultHost } from '../serve/default-host.ts';
import { serverLog } from '../serve/log.ts';
import { type NotifyState, notifySupervisor } from '../serve/notify.ts';
import { collectSettings } from '../serve/settings.ts';
import { type StopSignal, stopSignal } from '../serve/stop-signal.ts';
import { VERSION } from '../version.ts';
import { version } from './version.ts';

export async function serve(call: Call): Promise<void> {
  if (call.given.get('version') === 'true') return await version(call);
  const { startServer } = await import('../../server/server.ts');
  await serveWith(startServer, call);
}

/** Runs a server until it is told to stop. Throws what kept it from starting, or ended it. */
export async function serveWith(start: StartServer, call: Call): Promise<void> {
  if (call.given.has('write-out'))
    throw new UsageError('usage', `serve prints nothing, so it goes without ${flagText('write-out')}`);
  const { settings, notes } = collectSettings({ flags: call.given, environment: call.environment });
  const log = serverLog(logSettings(settings));
  const surroundings = { defaultHost: defaultHost(), lockTimeoutMs: call.flags.timeout };
  const config = configOf(settings, surroundings, notes);
  for (const { level, fields, message } of notes) log[level](fields, message);

  const stop = stopSignal();
  log.info(startFields(config), 'starting an etcd server');
  try {
    const server = await start(config, { log, disk: realDisk(), signal: stop.signal });
    announce(server, config, log);
    const tell = (state: NotifyState): Promise<void> => tellSupervisor(state, call.environment, log);
    await tell('READY=1');
    await untilStopped(server, { stop, graceMs: settings.duration('shutdown-timeout')!, log, tell });
  } catch (error) {
    const { target } = config;
    throw advised(error, target.kind === 'member' ? target.dataDir : target.path);
  }
  const closed = { name: config.name, 'advertise-client-urls': config.advertiseClientUrls };
  log.info(closed, 'closed etcd server');
}

/** What operators look for in the first lines: under etcd's names where it has one. */
function startFields(config: ServerConfig): Record<string, unknown> {
  const { target, firstStart } = config;
  return {
    'etcdkit-version': VERSION,
    'node-version': process.version,
    name: config.name,
    ...(target.kind === 'member'
      ? { 'data-dir': target.dataDir, 'force-new-cluster': target.isForcedNew }
      : { snapshot: target.path, rev: target.revision, scratch: target.isScratch }),
    'wal-dir': target.walDir ?? '',
    'heartbeat-interval': `${config.heartbeatMs}ms`,
    'election-timeout': `${config.electionMs}ms`,
    'snapshot-count': config.snapshotCount,
    'max-wals': config.walsMax,
    'max-snapshots': config.snapshotsMax,
    'initial-advertise-peer-urls': config.peerUrls,
    'advertise-client-urls': config.advertiseClientUrls,
    'listen-client-urls': config.listenClientUrls,
    'listen-metrics-urls': config.listenMetricsUrls,
    'initial-cluster': firstStart.initialCluster,
    'initial-cluster-state': firstStart.state,
    'initial-cluster-token': firstStart.token,
    'quota-backend-bytes': config.quotaBytes,
    'max-request-bytes': config.requestBytesMax,
    'max-concurrent-streams': config.streamsMax,
  };
}

/** The lines that scripts wait for. */
function announce(server: RunningServer, config: ServerConfig, log: Log): void {
  log.info({}, 'ready to serve client requests');
  const traffic = config.listenClientHttpUrls.length > 0 ? 'grpc' : 'grpc+http';
  for (const url of server.urls) {
    const address = addressOf(url);
    const shown = address.kind === 'unix' ? address.path : `${bracketed(address.host)}:${address.port}`;
    log.info(
      { traffic, address: shown },
      address.isSecure
        ? 'serving client traffic securely'
        : 'serving client traffic insecurely; this is strongly discouraged!',
    );
  }
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** What Go calls signals. */
const GO_NAMES: Partial<Record<NodeJS.Signals, string>> = { SIGTERM: 'terminated', SIGINT: 'interrupt' };

interface Stopping {
  stop: StopSignal;
  graceMs: number;
  log: Log;
  tell: (state: NotifyState) => Promise<void>;
}

async function untilStopped(server: RunningServer, { stop, graceMs, log, tell }: Stopping): Promise<void> {
  const signal = await Promise.race([server.done, stop.arrived]);
  if (signal === undefined) return;
  log.info({ signal: GO_NAMES[signal] ?? signal }, 'received signal; shutting down');
  const told = tell('STOPPING=1');
  await server.stop(graceMs);
  await told;
}

async function tellSupervisor(state: NotifyState, environment: Call['environment'], log: Log): Promise<void> {
  try {
    if (!(await notifySupervisor(state, environment))) return;
    log.info({ state }, 'successfully notified init daemon');
  } catch (error) {
    log.error({ error, state }, 'failed to notify systemd for readiness');
  }
}
