/** Every service over one core, with what they share. */
import { randomBytes } from 'node:crypto';
import type { Methods } from '../rpc/seam.ts';
import { WatchHub } from '../store/mvcc/watch.ts';
import type { Version } from '../store/schema/buckets.ts';
import { MONOTONIC_CLOCK } from './clock.ts';
import type { Core } from './core.ts';
import { Lessor, shortestTtl } from './lessor.ts';
import type { Demand } from './quota.ts';
import { clusterService } from './services/cluster.ts';
import { Health, healthService } from './services/health.ts';
import { kvService } from './services/kv.ts';
import { leaseService } from './services/lease.ts';
import { maintenanceService } from './services/maintenance.ts';
import { watchService } from './services/watch.ts';

export interface ServicesOptions {
  /** The etcd that the server stands for, and the version it says it is: `3.6`, `3.6.16`. */
  emulated: Version;
  version: string;
  quotaBytes: number;
  /** Throws when the database has no room for it. */
  assertRoom(demand: Demand): Promise<void>;
  txnOperationsMax: number;
  requestSizeMax: number;
  progressNotifyMs: number;
  electionMs: number;
  heartbeatMs: number;
  isLeaseCheckpointed: boolean;
}

/** What runs beside the calls. */
export interface Services {
  methods: Methods[];
  hub: WatchHub;
  lessor: Lessor;
  health: Health;
}

export function makeServices(core: Core, options: ServicesOptions): Services {
  const hub = new WatchHub(core.keys, core.backend);
  core.keys.onRevision = (revision, changes) => hub.notify(revision, changes);
  const lessor = makeLessor(core, options);
  const health = new Health();
  const methods = [
    kvService(core, options),
    watchService(core, {
      hub,
      progressNotifyMs: options.progressNotifyMs,
      fragmentBytes: options.requestSizeMax + RESPONSE_OVERHEAD,
    }),
    leaseService(core, {
      lessor,
      randomId: () => randomBytes(8).readBigUInt64BE(),
      admit: () => options.assertRoom({ leaseGrant: { id: 0n, ttl: 0n } }),
      shortestTtl: shortestTtl(options),
    }),
    clusterService(core),
    maintenanceService(core, {
      emulated: options.emulated,
      version: options.version,
      quotaBytes: options.quotaBytes,
      onDefrag: (isRunning) => {
        health.isServing = !isRunning;
      },
    }),
  ];
  methods.push(healthService(health, namesOf(methods)));
  return { methods, hub, lessor, health };
}

/** What etcd adds to the size of a request for all that is around it. */
export const RESPONSE_OVERHEAD = 512 * 1024;

function makeLessor(core: Core, { electionMs, isLeaseCheckpointed }: ServicesOptions): Lessor {
  const { leases } = core.applier;
  const lessor = new Lessor({
    leases: { ids: () => leases.list(), times: (id) => leases.get(id) },
    propose: (proposal) => core.propose(proposal),
    clock: MONOTONIC_CLOCK,
    log: core.log,
    extensionMs: electionMs,
    isCheckpointing: isLeaseCheckpointed,
  });
  leases.onGrant = (id) => lessor.granted(id);
  leases.onRevoke = (id) => lessor.revoked(id);
  leases.onCheckpoint = (id) => lessor.checkpointed(id);
  return lessor;
}

function namesOf(methods: readonly Methods[]): string[] {
  const paths = methods.flatMap(({ unary = {}, stream = {} }) => [...Object.keys(unary), ...Object.keys(stream)]);
  return [...new Set(paths.map((path) => path.slice(1, path.lastIndexOf('/'))))];
}
