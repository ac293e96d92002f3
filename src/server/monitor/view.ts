/** A server's core as metrics and health checks see it. */
import { ALARM_TYPE } from '../../format/proto/rpcpb.ts';
import type { Version } from '../../store/schema/buckets.ts';
import { formatFull } from '../../store/schema/migrate.ts';
import type { Core } from '../core.ts';
import { releaseOf } from '../emulation.ts';
import type { ActiveAlarm, ServerView } from './server-view.ts';
import type { Services } from '../services.ts';
import { clusterVersionOf, storedVersionOf } from '../versions.ts';

interface ViewOptions {
  emulated: Version;
  quotaBytes: number;
  services: Pick<Services, 'hub' | 'lessor'>;
}

/** Any key will do: what is asked is whether reading works. */
const PROBE = { key: Uint8Array.of(0), end: undefined };

const ALL_KEYS = { key: Uint8Array.of(0), end: new Uint8Array() };

export function viewOf(core: Core, { emulated, quotaBytes, services }: ViewOptions): ServerView {
  const { applier, backend, keys, identity } = core;
  return {
    memberId: identity.memberId,
    serverVersion: releaseOf(emulated),
    get clusterVersion() {
      const version = clusterVersionOf(backend);
      return version && formatFull(version);
    },
    get storageVersion() {
      const version = storedVersionOf(backend);
      return version === '' ? undefined : version;
    },
    hasLeader: true,
    isLeader: true,
    isLearner: false,
    get committedIndex() {
      return core.committedIndex;
    },
    get appliedIndex() {
      return core.appliedIndex;
    },
    get revision() {
      return keys.revision;
    },
    get compactRevision() {
      return keys.compactRevision;
    },
    get keyCount() {
      return keys.count(ALL_KEYS);
    },
    tally: keys.tally,
    leases: services.lessor.counts,
    get watcherCount() {
      return services.hub.watcherCount;
    },
    get slowWatcherCount() {
      return services.hub.unsyncedCount;
    },
    get databaseBytes() {
      return backend.sizeBytes;
    },
    get databaseInUseBytes() {
      return backend.inUseBytes;
    },
    quotaBytes,
    get authRevision() {
      return applier.users.revision;
    },
    get alarms() {
      return applier.alarms().map(({ memberId, alarm }): ActiveAlarm => {
        return { memberId, type: alarm === ALARM_TYPE.corrupt ? 'CORRUPT' : 'NOSPACE' };
      });
    },
    async read() {
      keys.range(PROBE);
    },
  };
}
