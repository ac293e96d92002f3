/** What metrics and the HTTP endpoints ask of a running server. Nothing is kept: each property is as things are now. */
import type { KeyTally } from '../../store/mvcc/key-values.ts';
import type { LeaseCounts } from '../lessor.ts';

/** A condition that limits what the server does. */
export interface ActiveAlarm {
  memberId: bigint;
  /** As `AlarmType` spells it. */
  type: 'NOSPACE' | 'CORRUPT';
}

export interface ServerView {
  readonly memberId: bigint;
  /** The release of etcd that the server behaves as: `3.6.16`. */
  readonly serverVersion: string;
  /** `3.6.0`; undefined before it is decided. */
  readonly clusterVersion: string | undefined;
  /** `3.6.0`; undefined where the directory holds none, as up to 3.5. */
  readonly storageVersion: string | undefined;
  readonly hasLeader: boolean;
  readonly isLeader: boolean;
  readonly isLearner: boolean;
  readonly committedIndex: number;
  readonly appliedIndex: number;
  readonly revision: number;
  /** -1 when never compacted. */
  readonly compactRevision: number;
  /** Keys that exist now. */
  readonly keyCount: number;
  /** Requests on keys so far. */
  readonly tally: Readonly<KeyTally>;
  readonly leases: Readonly<LeaseCounts>;
  readonly watcherCount: number;
  /** Watchers that are behind. */
  readonly slowWatcherCount: number;
  readonly databaseBytes: number;
  readonly databaseInUseBytes: number;
  /** Negative without a limit. */
  readonly quotaBytes: number;
  readonly authRevision: number;
  readonly alarms: readonly ActiveAlarm[];
  /**
   * Reads any key, as a client would; unless it is serializable, what was acknowledged before must have been applied.
   * Throws what a client would be told.
   */
  read(options: { isSerializable: boolean }): Promise<void>;
}
