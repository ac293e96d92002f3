/** The Maintenance service. etcd v3.6 server/etcdserver/api/v3rpc/maintenance.go. */
import { Pacer } from '../../bytes/pacer.ts';
import type { Input } from '../../format/proto/field.ts';
import { hashKvRequest } from '../../format/proto/kvpb.ts';
import {
  alarmResponse,
  defragmentRequest,
  defragmentResponse,
  hashKvResponse,
  hashRequest,
  hashResponse,
  moveLeaderRequest,
  moveLeaderResponse,
  statusRequest,
  statusResponse,
} from '../../format/proto/maintenance-service.ts';
import type { Value } from '../../format/proto/message.ts';
import {
  ALARM_ACTION,
  ALARM_TYPE,
  type AlarmMember,
  type AlarmRequest,
  alarmRequest,
} from '../../format/proto/rpcpb.ts';
import type { Call, Methods } from '../../rpc/seam.ts';
import type { DurableView } from '../../store/backend/backend.ts';
import { hashDatabase } from '../../store/database-hash.ts';
import { hashKv } from '../../store/mvcc/hash.ts';
import type { Version } from '../../store/schema/buckets.ts';
import type { Access } from '../auth/access.ts';
import type { Core } from '../core.ts';
import type { Histogram } from '../monitor/histogram.ts';
import { etcdError, readOnlyError } from '../rpc-errors.ts';
import { DiskStats } from '../monitor/stats.ts';
import { downgradeOf, storageVersionOf } from '../versions.ts';
import { downgradeHandler } from './downgrade.ts';
import { unary } from './method.ts';
import { snapshotHandler } from './snapshot.ts';

export interface MaintenanceOptions {
  access: Access;
  /** The etcd that the server stands for, and what it says its version is: `3.6`, `3.6.16`. */
  emulated: Version;
  version: string;
  /** Bytes; negative is none. */
  quotaBytes: number;
  /** Told while the database is rewritten, for those who take a server out of service then. */
  onDefrag?: (isRunning: boolean) => void;
  stats?: DiskStats;
}

export function maintenanceService(core: Core, options: MaintenanceOptions): Methods {
  const defragment = defragmenter(core, options);
  const { stats = new DiskStats() } = options;
  const isSince36 = options.emulated !== '3.5' && options.emulated !== '3.4';
  return {
    unary: {
      '/etcdserverpb.Maintenance/Alarm': unary(alarmRequest, alarmResponse, async (request, call) => {
        const caller = await options.access.callerOf(call);
        if (request.action === ALARM_ACTION.get) caller.requireLogin();
        else caller.requireRoot();
        const alarms = await changeAlarms(core, request);
        return { header: core.header(), alarms };
      }),
      '/etcdserverpb.Maintenance/Status': unary(statusRequest, statusResponse, () => ({
        ...statusOf(core, options),
        ...(isSince36 ? detailsOf(core, options) : {}),
      })),
      '/etcdserverpb.Maintenance/Defragment': unary(defragmentRequest, defragmentResponse, async () => {
        await defragment();
        return {};
      }),
      '/etcdserverpb.Maintenance/Hash': unary(hashRequest, hashResponse, (_request, call) =>
        onView(core, stats.hash, async ({ source }) => {
          const hash = await hashDatabase(source, pacerOf(call));
          return { header: core.header(), hash };
        }),
      ),
      '/etcdserverpb.Maintenance/HashKV': unary(hashKvRequest, hashKvResponse, ({ revision }, call) =>
        onView(core, stats.hashRevision, async ({ source }) => {
          const current = core.keys.revision;
          // No record is that old, and none that new.
          if (revision < 0n) throw etcdError('etcdserver: mvcc: required revision has been compacted');
          if (revision > current) throw etcdError('etcdserver: mvcc: required revision is a future revision');
          const found = await hashKv(source, { revision: Number(revision), pacer: pacerOf(call) });
          return {
            header: { ...core.header(), revision: Math.max(current, found.hashRevision) },
            hash: found.hash,
            compactRevision: BigInt(found.compactRevision),
            ...(isSince36 ? { hashRevision: found.hashRevision } : {}),
          };
        }),
      ),
      '/etcdserverpb.Maintenance/MoveLeader': unary(moveLeaderRequest, moveLeaderResponse, ({ targetId }) => {
        // Whoever leads already has nothing to be moved.
        if (targetId !== core.identity.memberId) throw etcdError('etcdserver: bad leader transferee');
        return {};
      }),
      '/etcdserverpb.Maintenance/Downgrade': downgradeHandler(core, options.emulated),
    },
    stream: {
      '/etcdserverpb.Maintenance/Snapshot': snapshotHandler(core, {
        isVersionSent: isSince36,
        onEnd: (tookMs) => stats.backendSnapshot.observe(tookMs / 1000),
      }),
    },
  };
}

/** Gives the alarms that were asked for, or the one that was meant. */
async function changeAlarms(core: Core, request: AlarmRequest): Promise<readonly AlarmMember[]> {
  // Differs from etcd, which writes an entry to its log for every look.
  if (request.action === ALARM_ACTION.get)
    return core.applier
      .alarms()
      .filter(({ alarm }) => request.alarm === ALARM_TYPE.none || alarm === request.alarm);
  const { response } = await core.propose({ alarm: request });
  return (response as { alarms: readonly AlarmMember[] }).alarms;
}

type StatusAnswer = Input<Value<typeof statusResponse>>;

function statusOf(core: Core, { emulated, version }: MaintenanceOptions): StatusAnswer {
  return {
    header: core.header(),
    version,
    dbSize: core.backend.sizeBytes,
    dbSizeInUse: core.backend.inUseBytes,
    leader: core.identity.memberId,
    raftIndex: core.committedIndex,
    raftTerm: core.term,
    raftAppliedIndex: core.appliedIndex,
    errors: core.applier.alarms().map((alarm) => showAlarm(alarm, emulated)),
  };
}

/** What 3.6 added. */
function detailsOf({ backend }: Core, { quotaBytes }: MaintenanceOptions): StatusAnswer {
  const { isEnabled, targetVersion } = downgradeOf(backend);
  return {
    storageVersion: storageVersionOf(backend),
    dbSizeQuota: BigInt(quotaBytes),
    downgradeInfo: { enabled: isEnabled, targetVersion },
  };
}

const ALARM_NAMES: Readonly<Record<number, string>> = {
  [ALARM_TYPE.nospace]: 'NOSPACE',
  [ALARM_TYPE.corrupt]: 'CORRUPT',
};

/** As Go's text format shows it; up to 3.6 a blank follows each field, since 3.7 one stands between them. */
function showAlarm({ memberId, alarm }: AlarmMember, emulated: Version): string {
  const fields = [`memberID:${memberId}`, `alarm:${ALARM_NAMES[alarm] ?? alarm}`];
  return emulated === '3.7' ? fields.join(' ') : fields.map((field) => `${field} `).join('');
}

/** Rewrites the database; one call after the other. */
function defragmenter(core: Core, { onDefrag, stats }: MaintenanceOptions): () => Promise<void> {
  const run = async (): Promise<void> => {
    core.log.info({}, 'starting defragment');
    onDefrag?.(true);
    if (stats) stats.isDefragmenting = true;
    const began = performance.now();
    try {
      await core.backend.defrag();
      core.log.info({}, 'finished defragment');
    } catch (error) {
      core.log.warn({ error }, 'failed to defragment');
      throw error;
    } finally {
      onDefrag?.(false);
      if (stats) stats.isDefragmenting = false;
      stats?.backendDefrag.observe((performance.now() - began) / 1000);
    }
  };
  let last = Promise.resolve();
  return () => {
    if (core.isReadOnly) throw readOnlyError();
    const next = last.then(run);
    last = next.catch(() => {});
    return next;
  };
}

/** The state as it is now; what is put later is not in it. */
async function onView<T>(core: Core, seconds: Histogram, run: (view: DurableView) => Promise<T>): Promise<T> {
  const began = performance.now();
  const view = await core.backend.openView();
  try {
    return await run(view);
  } finally {
    view.close();
    seconds.observe((performance.now() - began) / 1000);
  }
}

const pacerOf = ({ signal }: Call): Pacer => new Pacer({ signal });
