/** What the log layer learns of a directory, for all that judges it. */
import type { DecodedV2Store } from '../format/snap/v2store.ts';
import type { LogReader, Segment } from '../format/wal/log.ts';
import type { ClusterLog } from '../store/cluster-log.ts';

/** A .snap file that decodes. */
export interface NamedSnap {
  name: string;
  term: number;
  index: number;
  store: DecodedV2Store;
}

/** What the log layer learnt, for the judgement whether a server could start. */
export interface LogSurvey {
  segments: Segment[];
  reader: LogReader;
  /** Newest first, as a server tries them. */
  snaps: NamedSnap[];
  /** Names in snap/. */
  snapNames: string[];
  /** Whether the log could be read to a regular or torn end. */
  isWhole: boolean;
  /** What entries say about the cluster, and the term of the one that the database applied last. */
  cluster: ClusterLog;
}
