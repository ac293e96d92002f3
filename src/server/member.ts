/** A member's directory, opened and going: the core over it, and what runs by itself beside the requests. */
import { Pacer } from '../bytes/pacer.ts';
import type { Version } from '../store/schema/buckets.ts';
import { AutoCompactor } from './auto-compactor.ts';
import { requestTimeoutMs, type ServerConfig, type ServerContext, type Target } from './config.ts';
import { planFirstMember } from './start/first-member.ts';
import { shortestTtl } from './lessor.ts';
import { MemberCore } from './member-core.ts';
import { hasRoom } from './services/quota.ts';
import type { Served } from './served.ts';
import { openMember } from './start/start.ts';
import type { Stats } from './monitor/stats.ts';

interface MemberOptions {
  config: ServerConfig;
  target: Target & { kind: 'member' };
  stats: Stats;
  /** Told of what the server cannot go on after. */
  onFailure: (error: unknown) => void;
}

/** Throws what `openMember` does; the directory is then as it was. */
export async function startMember(options: MemberOptions, context: ServerContext): Promise<Served> {
  const { config, target, stats } = options;
  const { log, disk, signal } = context;
  const opened = await openMember({
    dataDir: target.dataDir,
    walDir: target.walDir,
    name: config.name,
    advertiseClientUrls: config.advertiseClientUrls,
    firstMember: () => planFirstMember(config),
    applying: (backend) => ({
      leaseTtlMin: shortestTtl(config),
      hasRoom: (cost) => hasRoom(backend, config.quotaBytes, cost),
    }),
    emulate: config.emulate,
    isForcedNew: target.isForcedNew,
    disk,
    pacer: new Pacer({ signal }),
    log,
    lockTimeoutMs: config.lockTimeoutMs,
    allowUnlocked: config.allowUnlocked,
    snapshotsMax: config.snapshotsMax,
    walsMax: config.walsMax,
    stats: stats.disk,
  });
  const core = new MemberCore(opened, {
    log,
    stats,
    snapshotCount: config.snapshotCount,
    commitIntervalMs: config.backendBatchIntervalMs,
    commitChangesMax: config.backendBatchLimit,
    requestSizeMax: config.requestBytesMax,
    waitingBytesMax: config.clients.queuedBytesMax,
    requestTimeoutMs: requestTimeoutMs(config),
    warningApplyMs: config.warningApplyMs,
    onFailure: options.onFailure,
  });
  const compactor = autoCompactor(core, config);
  compactor?.start();
  return {
    core,
    emulated: emulatedBy(opened.version),
    isTimed: true,
    async stop() {
      compactor?.stop();
      await core.stop();
    },
  };
}

/** Nobody asks a server to behave like 3.4; data of 3.4 is gone on with as 3.5 would. */
function emulatedBy(version: Version): Version {
  return version === '3.4' ? '3.5' : version;
}

function autoCompactor(core: MemberCore, { autoCompaction }: ServerConfig): AutoCompactor | undefined {
  if (!autoCompaction) return undefined;
  return new AutoCompactor({
    retention:
      autoCompaction.mode === 'revision'
        ? { mode: 'revision', revisions: autoCompaction.retention }
        : { mode: 'periodic', periodMs: autoCompaction.retentionMs },
    revision: () => core.keys.revision,
    compact: async (revision) => {
      if (revision <= core.keys.compactRevision) return;
      await core.propose({ compaction: { revision: BigInt(revision) } });
    },
    log: core.log,
  });
}
