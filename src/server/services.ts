/** Every service over one core, with what they share. */
import { randomBytes } from 'node:crypto';
import type { Methods } from '../rpc/seam.ts';
import { WatchHub } from '../store/mvcc/watch.ts';
import type { Version } from '../store/schema/buckets.ts';
import { MONOTONIC_CLOCK } from './clock.ts';
import { Access } from './auth/access.ts';
import { guarded } from './auth/guards.ts';
import type { Passwords } from './auth/passwords.ts';
import type { TokenProvider } from './auth/tokens.ts';
import type { Core } from './core.ts';
import { authService } from './services/auth.ts';
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

/** How callers are told from each other. */
export interface AuthOptions {
  tokens: TokenProvider;
  passwords: Pick<Passwords, 'hash' | 'matches'>;
  /** Of new passwords. */
  bcryptCost: number;
  /** Whether a client's certificate says who it is. */
  isNamedByCertificate: boolean;
  /** Whether everybody is root in a mount of data with users. */
  isSkipped: boolean;
}

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
  auth: AuthOptions;
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
  const { tokens } = options.auth;
  const access = new Access({ authority: core.applier, ...options.auth, stats: stats.access });
  core.applier.users.onLogOut = (name) => (name === undefined ? tokens.clear() : tokens.invalidate(name));
  const hub = new WatchHub(core.keys, core.backend);
  const feed = new KeyFeed();
  core.keys.onRevision = (revision, changes) => {
    hub.notify(revision, changes);
    feed.publish(revision, changes);
  };
  const lessor = new Lessor({
    leases: core.applier.leases,
    propose: (request) => core.propose(request),
    ownSignature: () => access.ownSignature(),
    clock: MONOTONIC_CLOCK,
    log: core.log,
    extensionMs: options.electionMs,
    isCheckpointing: options.isLeaseCheckpointed,
  });
  const health = new Health();
  const admitBytes = (bytes: number): Promise<void> | undefined => admit(core, options.quotaBytes, bytes);
  const methods = [
    kvService(core, { access, txnOperationsMax: options.txnOperationsMax, admit: admitBytes }),
    watchService(core, {
      access,
      hub,
      progressNotifyMs: options.progressNotifyMs,
      stats: stats.watch,
      fragmentBytes: options.requestSizeMax + REQUEST_OVERHEAD,
    }),
    leaseService(core, {
      access,
      lessor,
      randomId,
      admit: admitBytes,
      onGrant: (ttl) => stats.leaseTtlSeconds.observe(ttl),
    }),
    clusterService(core, { access }),
    maintenanceService(core, {
      access,
      emulated: options.emulated,
      version: options.version,
      quotaBytes: options.quotaBytes,
      stats: stats.disk,
      onDefrag: (isRunning) => {
        health.isServing = !isRunning;
      },
    }),
    lockService(core, { access, feed, randomId, admit: admitBytes }),
    electionService(core, { access, feed, randomId, admit: admitBytes }),
    healthService(health),
    authService(core, { access, emulated: options.emulated, ...options.auth, stats: stats.access }),
  ].map((service) => guarded(service, access));
  return { methods, hub, lessor, health };
}

/** What a message may have beside a request of the largest size. */
export const REQUEST_OVERHEAD = 512 * 1024;

const randomId = (): bigint => randomBytes(8).readBigUInt64BE();
