/**
 * Where a server of a given version would begin to read a directory, and what stops it there. Up to 3.6 a server
 * starts from the newest .snap that a committed record in the log names; 3.7 from the last such record itself.
 * Whether it may read what it finds, by the versions in it, is for `upgrade.ts` to say.
 * Rules: etcd v3.6 server/etcdserver/bootstrap.go, v3.7 the same; tried with real servers.
 */
import type { SegmentName } from '../format/wal/name.ts';
import { compareVersions, type Version } from './schema/buckets.ts';

/** A raft snapshot by its place in the log. */
export interface SnapPoint {
  term: number;
  index: number;
}

export interface Directory {
  segments: readonly SegmentName[];
  /** Records in the log, in its order; {0, 0} among them when segment 0 is there. */
  records: readonly SnapPoint[];
  /** Last HardState's. */
  commit: number;
  /** .snap files that decode, newest name first. */
  snaps: readonly SnapPoint[];
  /** Last entry in the log. */
  lastIndex: number;
  /** Of the database; undefined when it could not be read. */
  consistentIndex: number | undefined;
  /** Names in snap/, for `<index>.snap.db`. */
  snapNames: readonly string[];
}

/** `index` is that of the snapshot it starts from, 0 for the very beginning. */
export type Start = { index: number; obstacle?: undefined } | { index?: undefined; obstacle: string };

export function startOf(version: Version, directory: Directory): Start {
  const point = chooseSnap(version, directory);
  const obstacle = obstacleAt(point.index, directory);
  return obstacle === undefined ? { index: point.index } : { obstacle };
}

const BEGINNING: SnapPoint = { term: 0, index: 0 };

function chooseSnap(version: Version, { records, commit, snaps }: Directory): SnapPoint {
  const valid = records.filter(({ index }) => index <= commit || index === 0);
  if (compareVersions(version, '3.7') >= 0) return valid.at(-1) ?? BEGINNING;
  return (
    snaps.find((snap) => valid.some(({ index, term }) => index === snap.index && term === snap.term)) ??
    BEGINNING
  );
}

function obstacleAt(index: number, directory: Directory): string | undefined {
  const { segments, consistentIndex, snapNames, lastIndex } = directory;
  if (!segments.some((segment) => segment.index <= index)) {
    return `it would read the log from ${index}, but the oldest segment begins at ${segments[0]?.index ?? 'none'}`;
  }
  if (!directory.records.some((record) => record.index === index)) {
    return `the log holds no record of the snapshot at ${index}`;
  }
  if (consistentIndex !== undefined && index > consistentIndex) {
    const received = `${index.toString(16).padStart(16, '0')}.snap.db`;
    if (!snapNames.includes(received)) {
      return `its snapshot is at ${index}, but the database only reaches ${consistentIndex}, and ${received} is not there`;
    }
  }
  if (directory.commit > Math.max(lastIndex, index)) {
    return `the log is committed to ${directory.commit}, but ends at ${lastIndex}`;
  }
  return undefined;
}
