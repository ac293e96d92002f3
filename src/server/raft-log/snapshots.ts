/**
 * Raft snapshots of a running member: every so many entries one that stands for all before it, so that the next start
 * reads less and old segments may go. etcd v3.6 server/etcdserver/server.go (snapshot), storage.go.
 */
import type { DurableBackend } from '../../store/backend/backend.ts';
import type { RaftSnapshot } from '../../store/snap-file.ts';
import { isDiskFull } from '../failures.ts';
import type { Log } from '../log.ts';

const PURGE_INTERVAL_MS = 30_000;

export interface SnapshotsOptions {
  backend: DurableBackend;
  /** Where they are saved. */
  raftLog: {
    saveSnapshot(snapshot: RaftSnapshot): Promise<void>;
    release(index: number): void;
    purge(): unknown;
  };
  /** Of the newest one that is there. */
  lastIndex: number;
  /** Entries from one to the next. */
  everyCount: number;
  /** What is applied now, up to `index`, as a snapshot. */
  current: (index: number) => RaftSnapshot;
  log: Log;
  /** Told of the failure after which nothing can be written any more. */
  onFailure: (error: unknown) => void;
}

export class Snapshots {
  readonly #options: SnapshotsOptions;
  readonly #purging: NodeJS.Timeout;
  #lastIndex: number;
  #running: Promise<void> | undefined;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
    this.#lastIndex = options.lastIndex;
    options.raftLog.release(options.lastIndex);
    this.#purging = setInterval(() => options.raftLog.purge(), PURGE_INTERVAL_MS);
    this.#purging.unref();
  }

  /** Call it when an entry is applied, before the next one is. */
  applied(index: number): void {
    if (this.#running || index - this.#lastIndex <= this.#options.everyCount) return;
    this.#running = this.#take(index).finally(() => {
      this.#running = undefined;
    });
  }

  async #take(index: number): Promise<void> {
    const { backend, raftLog, log, current, onFailure } = this.#options;
    const snapshot = current(index);
    this.#lastIndex = index;
    try {
      // A server that starts from the snapshot skips the log before it: the database must hold all that it says.
      await backend.commit();
      await raftLog.saveSnapshot(snapshot);
    } catch (error) {
      if (isDiskFull(error)) log.warn({ 'snapshot-index': snapshot.index, error }, 'failed to save snapshot');
      else onFailure(error);
      return;
    }
    raftLog.release(snapshot.index);
    log.info({ 'snapshot-index': snapshot.index }, 'saved snapshot to disk');
  }

  /** Waits for the one that is being saved. */
  async stop(): Promise<void> {
    clearInterval(this.#purging);
    await this.#running;
  }
}
