/**
 * Runs compactions in the background, one after the other, in slices that leave room for requests. The state refuses
 * reads below a compaction from the moment it is applied; this is the clearing up, and a start that finds it
 * unfinished goes on with it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DurableBackend } from '../store/backend/backend.ts';
import type { Log } from './log.ts';
import type { CompactionStats } from './monitor/stats.ts';

/** A compaction whose records are still there. */
export interface RunningCompaction {
  readonly revision: number;
  /** Drops some records. Gives whether there are more. */
  step(): boolean;
}

export interface CompactionsOptions {
  backend: DurableBackend;
  log: Log;
  stats: CompactionStats;
}

export class Compactions {
  readonly #options: CompactionsOptions;
  #last: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: CompactionsOptions) {
    this.#options = options;
  }

  /** Resolves when nothing is left of it, and that is durable; also when it was stopped before. Never rejects. */
  run(compaction: RunningCompaction): Promise<void> {
    this.#last = this.#last.then(() => this.#run(compaction));
    return this.#last;
  }

  async #run(compaction: RunningCompaction): Promise<void> {
    const { backend, log, stats } = this.#options;
    const began = performance.now();
    const fields = { 'compact-revision': compaction.revision };
    try {
      while (!this.#isStopped && this.#step(compaction)) await nextTurn();
      if (this.#isStopped) return;
      await backend.commit();
      const tookMs = performance.now() - began;
      stats.totalMs.observe(tookMs);
      stats.lastSeconds = Date.now() / 1000;
      log.info({ ...fields, took: `${Math.round(tookMs)}ms` }, 'finished scheduled compaction');
    } catch (error) {
      log.warn({ ...fields, error }, 'failed to finish a scheduled compaction');
    }
  }

  #step(compaction: RunningCompaction): boolean {
    const began = performance.now();
    const isMore = compaction.step();
    this.#options.stats.pauseMs.observe(performance.now() - began);
    return isMore;
  }

  /** Ends the one that runs after its slice. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#last;
  }
}
