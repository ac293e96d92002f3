/**
 * Compacts by itself: to a number of revisions, or to what is older than a period. Revisions are looked at once an
 * interval; time is injected. etcd v3.6 server/etcdserver/api/v3compactor.
 */
import type { Log } from './log.ts';

export type AutoCompaction = { mode: 'revision'; revisions: number } | { mode: 'periodic'; periodMs: number };

export interface AutoCompactorOptions {
  retention: AutoCompaction;
  revision: () => number;
  /** Rejects when the store is not compacted to this revision afterwards. */
  compact: (revision: number) => Promise<void>;
  log: Log;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const REVISION_INTERVAL_MS = 5 * MINUTE_MS;
/** A period is looked at in so many parts, and an hour at most is between two compactions. */
const PERIOD_PARTS = 10;

export class AutoCompactor {
  readonly #options: AutoCompactorOptions;
  readonly #intervalMs: number;
  /** Of the period: what the revision was at each interval, the oldest first. */
  readonly #revisions: number[];
  #compacted = 0;
  #sinceCompaction = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AutoCompactorOptions) {
    this.#options = options;
    const { retention } = options;
    this.#intervalMs =
      retention.mode === 'revision'
        ? REVISION_INTERVAL_MS
        : Math.min(retention.periodMs, HOUR_MS) / PERIOD_PARTS;
    this.#revisions = [options.revision()];
  }

  get intervalMs(): number {
    return this.#intervalMs;
  }

  start(): void {
    this.#timer = setInterval(() => void this.tick(), this.#intervalMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** What is to be done once an interval. */
  async tick(): Promise<void> {
    const target = this.#target();
    if (target === undefined || target <= 0 || target === this.#compacted) return;
    const { log, compact } = this.#options;
    const fields = { revision: target, 'compact-mode': this.#options.retention.mode };
    log.info(fields, 'starting auto compaction');
    try {
      await compact(target);
      log.info(fields, 'completed auto compaction');
    } catch (error) {
      log.warn({ ...fields, error }, 'failed auto compaction');
      return;
    }
    this.#compacted = target;
    this.#sinceCompaction = 0;
  }

  /** The revision to compact to now. */
  #target(): number | undefined {
    const { retention, revision } = this.#options;
    if (retention.mode === 'revision') return revision() - retention.revisions;
    const kept = Math.round(retention.periodMs / this.#intervalMs);
    this.#revisions.push(revision());
    this.#sinceCompaction++;
    if (this.#revisions.length > kept + 1) this.#revisions.shift();
    if (this.#revisions.length <= kept) return undefined;
    // The first one comes after a whole period, the later ones once a period or an hour.
    const isDue = this.#compacted === 0 || this.#sinceCompaction >= PERIOD_PARTS;
    return isDue ? this.#revisions[0] : undefined;
  }
}
