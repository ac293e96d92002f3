/**
 * A member that serves: one opened directory with everything that keeps it going. Entries go through the log before
 * they are applied, the database follows at its own pace, and a failure after which nobody knows what the disk holds
 * ends the server.
 */
import type { Input } from '../format/proto/field.ts';
import type { ResponseHeader } from '../format/proto/kvpb.ts';
import type { ConfChange } from '../format/proto/raftpb.ts';
import type { InternalRaftRequest } from '../format/proto/rpcpb.ts';
import type { Applier, CommittedEntry } from '../store/apply/applier.ts';
import type { DurableBackend } from '../store/backend/backend.ts';
import type { KeyValues } from '../store/mvcc/key-values.ts';
import { zerosOf } from '../store/snap-file.ts';
import { CommitCadence } from './commits.ts';
import { Compactions } from './compactions.ts';
import type { Applied, Core, Identity } from './core.ts';
import type { Log } from './log.ts';
import type { OpenedMember } from './start/member-options.ts';
import { raftSnapshotOf } from './start/membership.ts';
import { Proposer } from './propose.ts';
import { rpcErrorOf } from './rpc-errors.ts';
import { Snapshots } from './raft-log/snapshots.ts';
import type { Stats } from './monitor/stats.ts';

export interface MemberCoreOptions {
  log: Log;
  /** Entries from one raft snapshot to the next. */
  snapshotCount: number;
  commitIntervalMs: number;
  commitChangesMax: number;
  requestSizeMax: number;
  /** Told once of what the server cannot go on after. */
  onFailure: (error: unknown) => void;
  /** After so long a client is told that its request timed out. */
  requestTimeoutMs: number;
  /** Above it, what was applied counts as slow. */
  warningApplyMs: number;
  stats: Stats;
}

export class MemberCore implements Core {
  readonly applier: Applier;
  readonly keys: KeyValues;
  readonly backend: DurableBackend;
  readonly identity: Identity;
  readonly term: number;
  readonly log: Log;
  readonly isReadOnly = false;
  readonly #opened: OpenedMember;
  readonly #stats: Stats;
  readonly #warningApplyMs: number;
  readonly #proposer: Proposer;
  readonly #cadence: CommitCadence;
  readonly #compactions: Compactions;
  readonly #snapshots: Snapshots;
  #hasFailed = false;

  constructor(opened: OpenedMember, options: MemberCoreOptions) {
    const { applier, backend, identity, term, version, log: raftLog } = opened;
    const { log, stats } = options;
    const onFailure = (error: unknown): void => {
      if (this.#hasFailed) return;
      this.#hasFailed = true;
      options.onFailure(error);
    };
    this.#opened = opened;
    this.#stats = stats;
    this.#warningApplyMs = options.warningApplyMs;
    stats.writes.leaderChanges++;
    this.applier = applier;
    this.keys = applier.keys;
    this.backend = backend;
    this.identity = identity;
    this.term = term;
    this.log = log;
    this.#cadence = new CommitCadence(backend, {
      intervalMs: options.commitIntervalMs,
      changesMax: options.commitChangesMax,
      onFailure,
      onCommit: (tookMs) => stats.disk.backendCommit.observe(tookMs / 1000),
    });
    this.#compactions = new Compactions({
      backend,
      log,
      stats: stats.compaction,
    });
    this.#snapshots = new Snapshots({
      backend,
      raftLog,
      lastIndex: opened.snapshotIndex,
      everyCount: options.snapshotCount,
      current: (index) => raftSnapshotOf({ applier, backend, version }, { term, index }),
      log,
      onFailure,
    });
    this.#proposer = new Proposer({
      log: raftLog,
      sink: {
        revisionNow: () => this.keys.revision,
        apply: (entry) => this.#apply(entry),
      },
      term,
      lastIndex: opened.lastIndex,
      commit: raftLog.state.commit,
      memberId: identity.memberId,
      nextRequestId: () => opened.requestIds.next(),
      requestSizeMax: options.requestSizeMax,
      timeoutMs: options.requestTimeoutMs,
      zeros: zerosOf(version),
      onFailure,
      stats: stats.writes,
      onSync: (tookMs) => stats.disk.walFsync.observe(tookMs / 1000),
    });
    // The first range that is asked for would wait for it.
    this.keys.sort();
    if (this.keys.pending) void this.#compactions.run(this.keys.pending);
    this.#cadence.changed();
  }

  get appliedIndex(): number {
    return this.#proposer.appliedIndex;
  }

  get committedIndex(): number {
    return this.#proposer.committedIndex;
  }

  get isDiskFull(): boolean {
    return this.#cadence.isDiskFull;
  }

  header(revision = this.keys.revision): ResponseHeader {
    const { clusterId, memberId } = this.identity;
    return { clusterId, memberId, revision, raftTerm: this.term };
  }

  async propose(request: Input<InternalRaftRequest>): Promise<Applied> {
    return accepted(await this.#proposer.propose(request));
  }

  async proposeChange(change: Input<ConfChange>): Promise<Applied> {
    return accepted(await this.#proposer.proposeChange(change));
  }

  /** Applies an entry, and begins what follows from it. */
  #apply(entry: CommittedEntry): Omit<Applied, 'revision' | 'index'> {
    const began = performance.now();
    const outcome = this.applier.apply(entry);
    const tookMs = performance.now() - began;
    if (tookMs > this.#warningApplyMs) this.#tellSlow(outcome.what, tookMs);
    this.#cadence.changed();
    this.#snapshots.applied(entry.index);
    if (!outcome.compaction) return outcome;
    return { ...outcome, compacted: this.#compactions.run(outcome.compaction) };
  }

  #tellSlow(request: string, tookMs: number): void {
    this.#stats.writes.slowApplies++;
    const [took, expected] = [tookMs, this.#warningApplyMs].map((ms) => `${Math.round(ms)}ms`);
    this.log.warn({ took, 'expected-duration': expected, request }, 'apply request took too long');
  }

  /** Answers what was taken, commits, closes, and lets go of the directory. */
  async stop(): Promise<void> {
    await this.#proposer.stop();
    await this.#compactions.stop();
    this.#cadence.stop();
    await this.#snapshots.stop();
    await this.#opened.release();
  }
}

function accepted(applied: Applied): Applied {
  if (applied.rejection) throw rpcErrorOf(applied.rejection);
  return applied;
}
