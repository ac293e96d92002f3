/** What it takes to open a member's directory, and what is got. */
import type { Disk } from '../../bytes/disk.ts';
import type { Pacer } from '../../bytes/pacer.ts';
import type { Member } from '../../format/proto/member-json.ts';
import type { Applier, ApplierOptions } from '../../store/apply/applier.ts';
import type { DurableBackend } from '../../store/backend/backend.ts';
import type { BoltOptions } from '../../store/backend/bolt.ts';
import type { Version } from '../../store/schema/buckets.ts';
import type { Log } from '../log.ts';
import type { LogStats, RaftLog } from '../raft-log/raft-log.ts';
import type { RequestIds } from './request-ids.ts';

export interface OpenMemberOptions {
  dataDir: string;
  /** Where the log is; inside the data directory without it. */
  walDir?: string | undefined;
  name: string;
  advertiseClientUrls: readonly string[];
  /** Who begins a new directory; asked only for one. */
  firstMember: () => Promise<{ clusterId: bigint; member: Member }>;
  /** How requests are applied: what leases have at least, whether the database has room. */
  applying?: ((backend: DurableBackend) => Omit<ApplierOptions, 'hasTerm'>) | undefined;
  /** Whose encodings are written; the directory's own version without it, 3.6 in a new one. */
  emulate?: Exclude<Version, '3.4'> | undefined;
  /** Makes one member of a directory that several shared. */
  isForcedNew?: boolean | undefined;
  disk: Disk;
  pacer: Pacer;
  log: Log;
  /** `BoltBackend.open`, unless given. */
  openBackend?: ((disk: Disk, path: string, options: BoltOptions) => Promise<DurableBackend>) | undefined;
  nowMs?: (() => number) | undefined;
  /** How long to wait for a lock that another process holds; one try without it, 0 for ever. */
  lockTimeoutMs?: number | undefined;
  /** Goes on where this host cannot lock a file. */
  allowUnlocked?: boolean | undefined;
  segmentBytes?: number | undefined;
  snapshotsMax?: number | undefined;
  walsMax?: number | undefined;
  stats?: LogStats | undefined;
}

/** Where everything of a member lies. */
export interface MemberPaths {
  dataDir: string;
  memberDir: string;
  snapDir: string;
  walDir: string;
  database: string;
}

/**
 * A member that is ready to take entries: all of its log is applied, and its term has begun. A compaction may be left to
 * do: `applier.keys.pending`.
 */
export interface StartedMember {
  backend: DurableBackend;
  applier: Applier;
  log: RaftLog;
  identity: { memberId: bigint; clusterId: bigint; name: string };
  /** Of the entries to come. */
  term: number;
  /** Of the log; also the last one that is applied and committed. */
  lastIndex: number;
  /** Index of the newest raft snapshot a server would start from; 0 for none. */
  snapshotIndex: number;
  confState: { voters: bigint[]; learners: bigint[] };
  /** Whose encodings are written; those of 3.4 are 3.5's. */
  version: Version;
  /** As stored, `3.6.0`. */
  clusterVersion: string | undefined;
  isNew: boolean;
  /** Whether the log's last write had been cut short. */
  isRepaired: boolean;
  requestIds: RequestIds;
}

export interface OpenedMember extends StartedMember {
  paths: MemberPaths;
  /** Commits, closes everything, and lets go of the directory. */
  release(): Promise<void>;
}
