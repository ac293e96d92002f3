/**
 * The one write path: request → entry in the log → one sync for all that wait → applied → answered. Nothing is applied,
 * and nobody is answered, before the entry is durable. One sync is in flight; what comes meanwhile makes the next batch.
 * etcd v3.6 server/etcdserver/raft.go, v3_server.go, for a cluster of one.
 */
import type { Input } from '../format/proto/field.ts';
import { type ConfChange, confChange, ENTRY_TYPE, type HardState } from '../format/proto/raftpb.ts';
import { type InternalRaftRequest, internalRaftRequest } from '../format/proto/rpcpb.ts';
import type { EntryInput } from '../format/wal/frames.ts';
import { RpcError, STATUS } from '../rpc/status.ts';
import type { CommittedEntry } from '../store/apply/applier.ts';
import type { Applied } from './core.ts';
import { isDiskFull } from './failures.ts';
import { WriteStats } from './monitor/stats.ts';

/** What the proposer needs of the log. */
export interface EntryLog {
  /** Writes without making durable. Throws when nothing of it counts; after `io.no-space` the log can go on. */
  append(entries: readonly EntryInput[], state: HardState | undefined): void;
  /** Rejects once and for all when nobody knows what the disk holds. */
  sync(): Promise<void>;
  /** The same at once, on this thread; false when it cannot. */
  syncHere(): boolean;
}

/** What it needs of the state machine. */
export interface EntrySink {
  apply(entry: CommittedEntry): Omit<Applied, 'revision' | 'index'>;
  /** Of the store. */
  revisionNow(): number;
}

export interface ProposerOptions {
  log: EntryLog;
  sink: EntrySink;
  term: number;
  /** Of the last entry in the log; all of them are applied. */
  lastIndex: number;
  /** As the log has it. */
  commit: number;
  memberId: bigint;
  /** Of every request, unique for this member. */
  nextRequestId: () => bigint;
  /** In bytes, of one encoded request. */
  requestSizeMax: number;
  /** How many may wait before others are turned away. */
  pendingMax?: number;
  /** Proto2 zeros, as the emulated etcd writes them. */
  zeros: 'write' | 'omit';
  /** Told of the failure after which nothing can be written any more. */
  onFailure: (error: unknown) => void;
  /** After so long a client is told that its request timed out; whether it was done is then open. */
  timeoutMs?: number;
  stats?: WriteStats;
  /** Told how long each sync took. */
  onSync?: (tookMs: number) => void;
}

interface Waiting {
  sinceMs: number;
  type: number;
  data: Uint8Array;
  resolve: (applied: Applied) => void;
  reject: (error: unknown) => void;
}

/** Requests that go to the disk together. */
interface Batch {
  waiting: readonly Waiting[];
  /** Index of the first one's entry. */
  first: number;
}

/** etcd's gap between committed and applied, from which on it turns requests away. */
const PENDING_MAX = 5000;
const TIMEOUT_MS = 7000;
const EXPIRY_INTERVAL_MS = 500;
/** Below this a sync takes no longer than it takes to have another thread do it. */
const QUICK_SYNC_MS = 0.4;
/** Of what is known of syncs, so much is that of the last one. */
const SYNC_WEIGHT = 0.2;

export class Proposer {
  readonly #options: ProposerOptions;
  #waiting: Waiting[] = [];
  /** On its way to the disk. */
  #syncing: readonly Waiting[] = [];
  #expiry: NodeJS.Timeout | undefined;
  #isScheduled = false;
  #running: Promise<void> | undefined;
  #failure: unknown;
  #isStopped = false;
  #stored: number;
  /** Last entry that is durable. */
  committedIndex: number;
  /** Last entry that was applied. */
  appliedIndex: number;
  readonly #stats: WriteStats;
  /** What a sync takes these days. */
  #syncMs = 1;

  constructor(options: ProposerOptions) {
    this.#options = options;
    this.#stats = options.stats ?? new WriteStats();
    this.committedIndex = options.lastIndex;
    this.appliedIndex = options.lastIndex;
    this.#stored = options.commit;
  }

  /** Requests that are not answered yet. */
  get pendingCount(): number {
    return this.#waiting.length + this.#syncing.length;
  }

  /** Resolves when the request is durable and applied; a rejection by the state machine is part of the outcome. */
  async propose(request: Input<InternalRaftRequest>): Promise<Applied> {
    const data = internalRaftRequest.encode({
      ...request,
      header: { ...request.header, id: this.#options.nextRequestId() },
    });
    if (data.length > this.#options.requestSizeMax)
      throw new RpcError(STATUS.invalidArgument, 'etcdserver: request is too large');
    return this.#enqueue(ENTRY_TYPE.normal, data);
  }

  async proposeChange(change: Input<ConfChange>): Promise<Applied> {
    const { nextRequestId, zeros } = this.#options;
    const data = confChange.encode({ id: nextRequestId(), ...change }, { zeros });
    return this.#enqueue(ENTRY_TYPE.confChange, data);
  }

  #enqueue(type: number, data: Uint8Array): Promise<Applied> {
    const { pendingMax = PENDING_MAX } = this.#options;
    if (this.#isStopped || this.#failure !== undefined) throw this.#stopped();
    if (this.pendingCount >= pendingMax) {
      this.#stats.failed++;
      throw new RpcError(STATUS.resourceExhausted, 'etcdserver: too many requests');
    }
    return new Promise((resolve, reject) => {
      this.#stats.pending++;
      const waiting = { sinceMs: performance.now(), type, data, resolve, reject };
      this.#waiting.push(waiting);
      this.#schedule();
    });
  }

  #stopped(): RpcError {
    return new RpcError(STATUS.unavailable, 'etcdserver: server stopped', this.#failure);
  }

  /** Requests that came in the same turn make one batch. */
  #schedule(): void {
    if (this.#isScheduled || this.#running) return;
    this.#isScheduled = true;
    this.#expiry ??= setInterval(() => this.#expire(), EXPIRY_INTERVAL_MS).unref();
    setImmediate(() => {
      this.#isScheduled = false;
      this.#running = this.#run().finally(() => {
        this.#running = undefined;
        if (this.#waiting.length > 0) this.#schedule();
      });
    });
  }

  /** Tells those who have waited too long; their entries stay where they are. */
  #expire(): void {
    const { timeoutMs = TIMEOUT_MS } = this.#options;
    const limit = performance.now() - timeoutMs;
    for (const { sinceMs, reject } of [...this.#syncing, ...this.#waiting]) {
      if (sinceMs > limit) break;
      reject(new RpcError(STATUS.unavailable, 'etcdserver: request timed out'));
    }
    if (this.pendingCount > 0) return;
    clearInterval(this.#expiry);
    this.#expiry = undefined;
  }

  /** While the disk makes one batch durable, the one before is applied and answered. */
  async #run(): Promise<void> {
    let durable: Batch | undefined;
    while (this.#waiting.length > 0 && this.#failure === undefined) {
      const batch = this.#append(this.#waiting.splice(0));
      if (!batch) continue;
      this.#syncing = batch.waiting;
      const began = performance.now();
      try {
        const synced = this.#startSync(batch);
        this.#apply(durable);
        durable = undefined;
        await synced;
        durable = batch;
        this.committedIndex += batch.waiting.length;
        this.#tookMs(performance.now() - began);
      } catch (error) {
        this.#fail(error, batch.waiting);
      }
      this.#syncing = [];
    }
    this.#apply(durable);
  }

  /** One request alone waits less when its sync changes no thread; a disk that stalls must not stall others. */
  #startSync({ waiting }: Batch): Promise<void> | undefined {
    const { log } = this.#options;
    const isAlone = waiting.length === 1 && this.#waiting.length === 0;
    return isAlone && this.#syncMs < QUICK_SYNC_MS && log.syncHere() ? undefined : log.sync();
  }

  #tookMs(syncMs: number): void {
    this.#syncMs += (syncMs - this.#syncMs) * SYNC_WEIGHT;
    this.#options.onSync?.(syncMs);
  }

  /** Gives undefined when nothing of it was written. */
  #append(waiting: readonly Waiting[]): Batch | undefined {
    const { log, term } = this.#options;
    const first = this.committedIndex + 1;
    const entries = waiting.map(({ type, data }, i): EntryInput => ({ type, term, index: first + i, data }));
    try {
      // As a one-voter etcd writes it: how far the log is committed goes with the next batch.
      log.append(entries, this.#stored === this.committedIndex ? undefined : this.state);
      this.#stored = this.committedIndex;
      return { waiting, first };
    } catch (error) {
      this.#stats.failed += waiting.length;
      // A disk that is full now may not be so later.
      if (isDiskFull(error)) {
        this.#stats.pending -= waiting.length;
        for (const { reject } of waiting) reject(noRoom(error));
      } else this.#fail(error, waiting);
      return undefined;
    }
  }

  #apply(batch: Batch | undefined): void {
    for (const [i, waiting] of batch?.waiting.entries() ?? []) {
      if (this.#failure === undefined) this.#applyOne(waiting, batch!.first + i);
      else this.#turnAway([waiting]);
    }
  }

  /** What the log must not forget. */
  get state(): HardState {
    const { term, memberId } = this.#options;
    return { term, vote: memberId, commit: this.committedIndex };
  }

  /** What is applied is decoded from what the log holds: a start that replays it does the same. */
  #applyOne({ type, data, resolve, reject }: Waiting, index: number): void {
    const { sink, term } = this.#options;
    try {
      const outcome = sink.apply({ index, term, type, data });
      this.appliedIndex = index;
      this.#stats.pending--;
      resolve({ ...outcome, index, revision: sink.revisionNow() });
    } catch (error) {
      this.#stats.pending--;
      reject(error);
      this.#fail(error, []);
    }
  }

  #fail(error: unknown, batch: readonly Waiting[]): void {
    this.#failure ??= error;
    this.#turnAway([...batch, ...this.#waiting]);
    this.#waiting = [];
    this.#options.onFailure(error);
  }

  #turnAway(requests: readonly Waiting[]): void {
    this.#stats.pending -= requests.length;
    for (const { reject } of requests) reject(this.#stopped());
  }

  /** Takes no more, and resolves when all that was taken is answered. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    while (this.pendingCount > 0 && this.#failure === undefined) {
      await (this.#running ?? new Promise<void>((resolve) => setImmediate(resolve)));
    }
  }
}

function noRoom(cause: unknown): RpcError {
  return new RpcError(STATUS.resourceExhausted, 'etcdserver: mvcc: database space exceeded', cause);
}
