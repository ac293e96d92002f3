/** Every service over one core, with what they share. */
import { randomBytes } from 'node:crypto';
import type { Methods } from '../rpc/seam.ts';
import { WatchHub } from '../store/mvcc/watch.ts';
import type { Version } from '../store/schema/buckets.ts';
import { MONOTONIC_CLOCK } from './clock.ts';
import type { Core } from './core.ts';
import { KeyFeed } from './services/key-feed.ts';
import { Lessor } from './lessor.ts';
import { admit } from './services/quota.ts';
import { clusterService } from './services/cluster.ts';
import { electionService } from './services/election.ts';
import { Health, healthService } from './services/health.ts';
import { kvService } from './services/kv.ts';
import { leaseService } from './services/lease.ts';
import { lockService } from './services/lock.ts';
import { maintenanceService } from './services/maintenance.ts';
import { watchService } from './services/watch.ts';
import type { Stats } from './monitor/stats.ts';

export interface ServicesOptions {
  /** The etcd that the server stands for, and the version it says it is: `3.6`, `3.6.16`. */
  emulated: Version;
  version: string;
  /** Negative for no limit. */
  quotaBytes: number;
  txnOperationsMax: number;
  requestSizeMax: number;
  progressNotifyMs: number;
  electionMs: number;
  isLeaseCheckpointed: boolean;
  stats: Stats;
}

/** What runs beside the calls. */
export interface Services {
  methods: Methods[];
  hub: WatchHub;
  lessor: Lessor;
  health: Health;
}

export function makeServices(core: Core, options: ServicesOptions): Services {
  const { stats } = options;
  const hub = new WatchHub(core.keys, core.backend);
  const feed = new KeyFeed();
  core.keys.onRevision = (revision, changes) => {
    hub.notify(revision, changes);
    feed.publish(revision, changes);
  };
  const lessor = new Lessor({
    leases: core.applier.leases,
    propose: (request) => core.propose(request),
    clock: MONOTONIC_CLOCK,
    log: core.log,
    extensionMs: options.electionMs,
    isCheckpointing: options.isLeaseCheckpointed,
  });
  const health = new Health();
  const admitBytes = (bytes: number): Promise<void> | undefined => admit(core, options.quotaBytes, bytes);
  const methods = [
    kvService(core, { txnOperationsMax: options.txnOperationsMax, admit: admitBytes }),
    watchService(core, {
      hub,
      progressNotifyMs: options.progressNotifyMs,
      stats: stats.watch,
      fragmentBytes: options.requestSizeMax + REQUEST_OVERHEAD,
    }),
    leaseService(core, {
      lessor,
      randomId,
      admit: admitBytes,
      onGrant: (ttl) => stats.leaseTtlSeconds.observe(ttl),
    }),
    clusterService(core),
    maintenanceService(core, {
      emulated: options.emulated,
      version: options.version,
      quotaBytes: options.quotaBytes,
      stats: stats.disk,
      onDefrag: (isRunning) => {
        health.isServing = !isRunning;
      },
    }),
    lockService(core, { feed, randomId }),
    electionService(core, { feed, randomId }),
    healthService(health),
  ];
  return { methods, hub, lessor, health };
}

/** What a message may have beside a request of the largest size. */
export const REQUEST_OVERHEAD = 512 * 1024;

const randomId = (): bigint => randomBytes(8).readBigUInt64BE();
