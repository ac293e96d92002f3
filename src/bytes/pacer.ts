/**
 * Keeps a long synchronous job polite: about every 20 ms it lets the event loop run, so that Ctrl-C, progress
 * and timeouts work, and stops the job when it was asked to.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ToolError } from '../errors.ts';

const TURN_MS = 20;

/** Told how far a job is; `total` is 0 when unknown. */
export type ProgressSink = (done: number, total: number) => void;

export class Pacer {
  readonly #signal: AbortSignal | undefined;
  readonly #progress: ProgressSink | undefined;
  #turnEndsAt = performance.now() + TURN_MS;

  constructor(options: { signal?: AbortSignal | undefined; progress?: ProgressSink | undefined } = {}) {
    this.#signal = options.signal;
    this.#progress = options.progress;
  }

  /** Whether it is time to `rest`; cheap, but ask once a page rather than once a key. */
  isDue(): boolean {
    return performance.now() >= this.#turnEndsAt;
  }

  /** Lets others run. Throws `interrupted` when the job should stop. */
  async rest(done = 0, total = 0): Promise<void> {
    this.#progress?.(done, total);
    await nextTurn();
    this.check();
    this.#turnEndsAt = performance.now() + TURN_MS;
  }

  /** Throws `interrupted` when the job should stop. */
  check(): void {
    if (this.#signal?.aborted) throw new ToolError('interrupted', 'interrupted; nothing was changed');
  }
}
