/**
 * Time for leases: which have run out, and who tells the log so. What leases there are is the state machine's business,
 * which tells of each that comes, goes or is checkpointed. etcd v3.6 server/lease/lessor.go.
 *
 * A lease must never run out early, so its time is not the clock's: it goes on only while this process does. A gap
 * between two looks at the clock (the process was stopped, or busy) counts as one second at most, and the first
 * look after it judges no lease, so that what clients sent meanwhile is read first.
 */
import type { LeaseCheckpointRequest } from '../format/proto/rpcpb.ts';
import type { Signature } from '../store/apply/permissions.ts';
import type { Leases } from '../store/apply/leases.ts';
import type { Clock } from './clock.ts';
import type { Core, Log } from './core.ts';
import { Deadlines } from './deadlines.ts';
import { etcdError } from './rpc-errors.ts';

/** The leases of the state machine, and the places where it takes who is to be told of them. */
export type LeaseTable = Pick<Leases, 'list' | 'get' | 'onGrant' | 'onRevoke' | 'onCheckpoint'>;

export interface LessorOptions {
  leases: LeaseTable;
  propose: Core['propose'];
  /** What its own revocations are signed with, so that no user's rights keep a lease alive. */
  ownSignature?: () => Signature | undefined;
  clock: Clock;
  log: Log;
  /** Every lease gets so much more when the server starts: an election timeout. */
  extensionMs: number;
  /** Whether what is left of long leases is written down every five minutes; etcd 3.6 does not, unless told to. */
  isCheckpointing?: boolean;
}

/** What became of leases since the start, for metrics. */
export interface LeaseCounts {
  granted: number;
  renewed: number;
  revoked: number;
  /** Of those revoked, the ones whose time was over. */
  expired: number;
}

/** A lease as clients are told of it; seconds. */
export interface LeaseStanding {
  grantedTtl: number;
  ttl: number;
}

const SECOND_MS = 1000;
const TICK_MS = 500;
const GAP_MAX_MS = 1000;
const REVOKES_A_SECOND = 1000;
const REVOKES_PENDING_MAX = (REVOKES_A_SECOND * TICK_MS) / SECOND_MS;
/** After a start, so that leases that ran out together leave room for others. */
const EXPIRIES_A_SECOND = (REVOKES_A_SECOND * 3) / 4;
/** etcd's request timeout: 5 s and two election timeouts. */
const REVOKE_RETRY_MS = 7000;
const CHECKPOINT_SECONDS = 5 * 60;
const CHECKPOINTS_A_PROPOSAL = 1000;

/** The shortest TTL that is granted, in seconds: one and a half election timeouts, in whole heartbeats. */
export function shortestTtl({
  electionMs,
  heartbeatMs,
}: {
  electionMs: number;
  heartbeatMs: number;
}): number {
  const ticks = Math.floor(electionMs / heartbeatMs);
  return Math.ceil((Math.floor((3 * ticks) / 2) * heartbeatMs) / SECOND_MS);
}

export class Lessor {
  readonly counts: LeaseCounts = { granted: 0, renewed: 0, revoked: 0, expired: 0 };
  readonly #options: LessorOptions;
  readonly #expiries = new Deadlines();
  readonly #checkpoints = new Deadlines();
  /** Revocations on their way; none of them rejects. */
  readonly #revoking = new Map<bigint, Promise<void>>();
  #state: 'still' | 'running' | 'stopped' = 'still';
  /** Milliseconds that count for leases. */
  #time = 0;
  #seenAt: number;
  #armedAt = 0;
  #isLateTickSkipped = false;
  #cancelTick: (() => void) | undefined;

  /** Until it is started no lease runs out, as over data that is only looked at. */
  constructor(options: LessorOptions) {
    this.#options = options;
    this.#seenAt = options.clock.now();
    options.leases.onGrant = (id) => this.#granted(id);
    options.leases.onRevoke = (id) => this.#revoked(id);
    options.leases.onCheckpoint = (id) => this.#checkpointed(id);
  }

  /** Lets time go on; every lease has what its last checkpoint left, or all of its TTL, once more. */
  start(): void {
    this.#state = 'running';
    const now = this.#now() + this.#options.extensionMs;
    const starts = this.#options.leases
      .list()
      .map((id) => ({ id, at: now + this.#left(id) * SECOND_MS }))
      .sort((a, b) => a.at - b.at);
    for (const [i, lease] of starts.entries()) {
      const earlier = starts[i - EXPIRIES_A_SECOND];
      if (earlier) lease.at = Math.max(lease.at, earlier.at + SECOND_MS);
      this.#expiries.set(lease.id, lease.at);
      this.#scheduleCheckpoint(lease.id);
    }
    this.#arm();
  }

  stop(): void {
    this.#state = 'stopped';
    this.#cancelTick?.();
    this.#expiries.clear();
    this.#checkpoints.clear();
  }

  #granted(id: bigint): void {
    this.counts.granted++;
    if (this.#state !== 'running') return;
    this.#refresh(id);
    this.#scheduleCheckpoint(id);
  }

  #revoked(id: bigint): void {
    this.counts.revoked++;
    this.#expiries.delete(id);
    this.#checkpoints.delete(id);
  }

  #checkpointed(id: bigint): void {
    if (this.#state === 'running') this.#scheduleCheckpoint(id);
  }

  /** Undefined when there is no such lease. */
  standing(id: bigint): LeaseStanding | undefined {
    const times = this.#options.leases.get(id);
    if (!times) return undefined;
    const at = this.#expiries.at(id);
    if (at !== undefined) return { grantedTtl: times.ttl, ttl: Math.trunc((at - this.#now()) / SECOND_MS) };
    return { grantedTtl: times.ttl, ttl: this.#revoking.has(id) ? 0 : this.#left(id) };
  }

  /** All leases, those that run out next first. */
  inOrder(): bigint[] {
    const timed = [...this.#revoking.keys(), ...this.#expiries.inOrder()];
    const isTimed = new Set(timed);
    return [...timed, ...this.#options.leases.list().filter((id) => !isTimed.has(id))].filter(
      (id) => this.#options.leases.get(id) !== undefined,
    );
  }

  /**
   * Gives a lease all of its TTL once more, and what that is in seconds; 0 when the lease is gone. One whose revocation
   * is on its way is waited for. Differs from etcd: one that has run out is renewed as long as nobody began to revoke
   * it, and a checkpoint never shortens the lease that is renewed.
   */
  async renew(id: bigint): Promise<number> {
    if (this.#state === 'still') return this.#options.leases.get(id)?.ttl ?? 0;
    await this.#revoking.get(id);
    if ((this.#options.leases.get(id)?.remainingTtl ?? 0) > 0) {
      await this.#options.propose({ leaseCheckpoint: { checkpoints: [{ id, remainingTtl: 0n }] } });
      await this.#revoking.get(id);
    }
    // It may have been stopped while it waited.
    if (this.#state === 'stopped') throw etcdError('etcdserver: server stopped');
    const times = this.#options.leases.get(id);
    if (!times) return 0;
    this.#refresh(id);
    this.counts.renewed++;
    return times.ttl;
  }

  #now(): number {
    const seenAt = this.#options.clock.now();
    this.#time += Math.min(Math.max(seenAt - this.#seenAt, 0), GAP_MAX_MS);
    this.#seenAt = seenAt;
    return this.#time;
  }

  /** Seconds from a fresh start of the lease. */
  #left(id: bigint): number {
    const times = this.#options.leases.get(id);
    return times ? times.remainingTtl || times.ttl : 0;
  }

  #refresh(id: bigint): void {
    this.#expiries.set(id, this.#now() + this.#left(id) * SECOND_MS);
    this.#arm();
  }

  #arm(): void {
    if (this.#cancelTick || this.#expiries.size === 0) return;
    this.#armedAt = this.#options.clock.now();
    this.#cancelTick = this.#options.clock.after(TICK_MS, () => this.#tick());
  }

  #tick(): void {
    this.#cancelTick = undefined;
    if (this.#state !== 'running') return;
    const gapMs = this.#options.clock.now() - this.#armedAt;
    const now = this.#now();
    // A server that is always late must revoke something some day.
    this.#isLateTickSkipped = gapMs > GAP_MAX_MS && !this.#isLateTickSkipped;
    if (this.#isLateTickSkipped) {
      this.#options.log.warn({ 'gap-ms': Math.round(gapMs) }, 'leases were not looked at for a while');
    } else {
      this.#revokeDue(now);
      this.#checkpointDue(now);
    }
    this.#arm();
  }

  #revokeDue(now: number): void {
    while (this.#revoking.size < REVOKES_PENDING_MAX) {
      const id = this.#expiries.takeDue(now);
      if (id === undefined) return;
      this.#revoking.set(
        id,
        Promise.resolve().then(() => this.#revoke(id)),
      );
    }
  }

  async #revoke(id: bigint): Promise<void> {
    try {
      await this.#options.propose({ leaseRevoke: { id }, header: this.#options.ownSignature?.() });
      this.counts.expired++;
    } catch (error) {
      if (this.#state !== 'running' || !this.#options.leases.get(id)) return;
      this.#options.log.warn({ 'lease-id': hex(id), error }, 'failed to revoke lease');
      this.#expiries.set(id, this.#now() + REVOKE_RETRY_MS);
    } finally {
      this.#revoking.delete(id);
      if (this.#state === 'running') this.#arm();
    }
  }

  #scheduleCheckpoint(id: bigint): void {
    if (this.#options.isCheckpointing && this.#left(id) > CHECKPOINT_SECONDS)
      this.#checkpoints.set(id, this.#now() + CHECKPOINT_SECONDS * SECOND_MS);
  }

  #checkpointDue(now: number): void {
    const due: LeaseCheckpointRequest['checkpoints'] = [];
    for (let id = this.#checkpoints.takeDue(now); id !== undefined; id = this.#checkpoints.takeDue(now)) {
      const left = Math.ceil(((this.#expiries.at(id) ?? now) - now) / SECOND_MS);
      if (left <= 0) continue;
      // Just renewed: the next look will find less.
      if (left >= this.#options.leases.get(id)!.ttl) this.#scheduleCheckpoint(id);
      else due.push({ id, remainingTtl: BigInt(left) });
    }
    for (let start = 0; start < due.length; start += CHECKPOINTS_A_PROPOSAL)
      void this.#checkpoint(due.slice(start, start + CHECKPOINTS_A_PROPOSAL));
  }

  async #checkpoint(checkpoints: LeaseCheckpointRequest['checkpoints']): Promise<void> {
    try {
      await this.#options.propose({ leaseCheckpoint: { checkpoints } });
    } catch (error) {
      this.#options.log.debug({ error }, 'failed to checkpoint leases');
      for (const { id } of checkpoints) this.#checkpointed(id);
    }
  }
}

function hex(id: bigint): string {
  return BigInt.asUintN(64, id).toString(16).padStart(16, '0');
}
