/**
 * When the database is written: etcd's cadence, so many milliseconds after a change or so many changes, whichever is
 * first. The log has made every change durable before; a commit saves the next start from replaying it.
 */
import type { DurableBackend } from '../store/backend/backend.ts';
import { isDiskFull } from './failures.ts';

export interface CadenceOptions {
  intervalMs: number;
  /** Changes after which a commit begins at once. */
  changesMax: number;
  /** Told of the failure after which the database takes no commit any more. */
  onFailure: (error: unknown) => void;
  /** Told how long each commit took. */
  onCommit?: (tookMs: number) => void;
}

export class CommitCadence {
  readonly #backend: DurableBackend;
  readonly #options: CadenceOptions;
  #timer: NodeJS.Timeout | undefined;
  #isCommitting = false;
  #isStopped = false;
  /** The last commit found no room on the disk; the next ones try again. */
  isDiskFull = false;

  constructor(backend: DurableBackend, options: CadenceOptions) {
    this.#backend = backend;
    this.#options = options;
  }

  /** Call it after changes. */
  changed(): void {
    const { pendingCount } = this.#backend;
    if (pendingCount === 0 || this.#isStopped) return;
    if (pendingCount >= this.#options.changesMax && !this.#isCommitting) void this.#commit();
    else this.#timer ??= setTimeout(() => void this.#commit(), this.#options.intervalMs);
  }

  async #commit(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#isCommitting) return;
    this.#isCommitting = true;
    const began = performance.now();
    try {
      await this.#backend.commit();
      this.isDiskFull = false;
      this.#options.onCommit?.(performance.now() - began);
    } catch (error) {
      // What a full disk refused stays in memory, and is in the log: the next commit tries again.
      this.isDiskFull = isDiskFull(error);
      if (!this.isDiskFull) this.#options.onFailure(error);
    } finally {
      this.#isCommitting = false;
      this.changed();
    }
  }

  /** Begins no further commit by itself. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }
}
