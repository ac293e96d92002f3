/**
 * What the parts of a server count while they work: plain numbers on objects that each part is given when it is made.
 * `metrics.ts` reads them when somebody asks; counting costs an addition. Buckets are etcd's.
 */
import { ServerStats } from '../../rpc/stats.ts';
import type { PasswordStats } from '../auth/passwords.ts';
import { TOKEN_REFUSALS, type TokenRefusal } from '../auth/tokens.ts';
import { doublingBounds, Histogram } from './histogram.ts';

/** Seconds, from 1 ms to 8 s. */
const diskSeconds = (): Histogram => new Histogram(doublingBounds(0.001, 14));

/** One write path: proposals and what applying them does. */
export class WriteStats {
  /** Proposed and neither answered nor failed. */
  pending = 0;
  failed = 0;
  /** Changes that took longer to apply than `--warning-apply-duration`. */
  slowApplies = 0;
  /** Seconds that changes took to apply, by the name of the request and whether it was done. */
  readonly applies = new Map<string, { op: string; isDone: boolean; seconds: Histogram }>();
  /** Times this member became leader, which is once a start. */
  leaderChanges = 0;

  /** `op` is the name of a request, of which there are as many as etcd has kinds. */
  applied(op: string, { isDone, tookMs }: { isDone: boolean; tookMs: number }): void {
    const key = isDone ? op : `-${op}`;
    let known = this.applies.get(key);
    if (!known) {
      known = { op, isDone, seconds: new Histogram(doublingBounds(0.0001, 20)) };
      this.applies.set(key, known);
    }
    known.seconds.observe(tookMs / 1000);
  }
}

/** Compactions of the history. */
export class CompactionStats {
  /** Milliseconds that requests waited for a slice. */
  readonly pauseMs = new Histogram(doublingBounds(1, 13));
  /** Milliseconds from the first slice to the last. */
  readonly totalMs = new Histogram(doublingBounds(100, 14));
  /** Records dropped. */
  records = 0;
  /** Unix time; 0 before the first. */
  lastSeconds = 0;
}

/** Watch streams and what goes through them. */
export class WatchStats {
  streams = 0;
  /** Events sent. */
  events = 0;
}

/** Files: the log, the database, snapshots. Times in seconds. */
export class DiskStats {
  readonly walFsync = diskSeconds();
  readonly walWrite = diskSeconds();
  walWriteBytes = 0;
  readonly backendCommit = diskSeconds();
  readonly backendDefrag = new Histogram(doublingBounds(0.1, 13));
  isDefragmenting = false;
  /** Sending the database to a client. */
  readonly backendSnapshot = new Histogram(doublingBounds(0.01, 17));
  /** Syncing a `.snap` file. */
  readonly snapFsync = diskSeconds();
  readonly hash = new Histogram(doublingBounds(0.01, 15));
  readonly hashRevision = new Histogram(doublingBounds(0.01, 15));
}

/** Answers of `/health`, `/livez` and `/readyz`. */
export class HealthStats {
  successes = 0;
  failures = 0;
  /** By `livez/serializable_read`. */
  readonly checks = new Map<string, { isGood: boolean; success: number; error: number }>();
}

/** Who was not let in, and what finding that out costs. */
export class AccessStats {
  readonly passwords: PasswordStats = { pending: 0, refused: 0, failed: 0 };
  /** Names and passwords that do not belong together, or to nobody. */
  loginsFailed = 0;
  /** Calls with a token that is not valid. */
  readonly tokensRefused = Object.fromEntries(TOKEN_REFUSALS.map((reason) => [reason, 0])) as Record<
    TokenRefusal,
    number
  >;
}

/** Everything that is counted, save for calls (see `measure.ts`). */
export class Stats {
  readonly writes = new WriteStats();
  readonly compaction = new CompactionStats();
  readonly watch = new WatchStats();
  /** Seconds that leases were granted for. */
  readonly leaseTtlSeconds = new Histogram(doublingBounds(1, 24));
  readonly disk = new DiskStats();
  readonly health = new HealthStats();
  readonly access = new AccessStats();
  /** Connections of clients and what was refused them, and the same of the ports for metrics alone. */
  readonly rpc = new ServerStats();
  readonly metrics = new ServerStats();
}
