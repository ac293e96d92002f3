/**
 * What is learnt of an existing directory before anything in it is touched: the small rows of its database, its raft
 * snapshots, and the part of its log that a server reads.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { listNames } from '../../bytes/directory.ts';
import type { Pacer } from '../../bytes/pacer.ts';
import { openFile, startOf } from '../../bytes/source.ts';
import { CorruptError, RefusedError } from '../../errors.ts';
import { parseSnapName, readSnapFile } from '../../format/snap/file.ts';
import { chooseSegments } from '../../format/wal/name.ts';
import { listSegments, type Segment } from '../../format/wal/log.ts';
import { BoltView } from '../../store/backend/bolt-view.ts';
import { openDatabase } from '../../store/database.ts';
import { LogTail } from '../../store/log-tail.ts';
import { BUCKETS } from '../../store/schema/buckets.ts';
import { readRows } from '../../store/schema/rows.ts';
import { decodeSchema, type SchemaState } from '../../store/schema/state.ts';
import type { Cut } from './log-repair.ts';
import type { MemberPaths } from './member-options.ts';
import { commitBehind, tornWriteOf } from './torn-write.ts';

/** A raft snapshot that the log names, whose file can be read. */
export interface FoundSnap {
  term: number;
  index: number;
  /** All that take part, in whatever role. */
  memberIds: bigint[];
}

export interface BrokenSnap {
  name: string;
  error: CorruptError;
}

export interface MemberFiles {
  paths: MemberPaths;
  /** Undefined when there is no database: everything is in the log then. */
  schema: SchemaState | undefined;
  /** Read from the snapshot on, or from the database's last entry when that is older. */
  tail: LogTail;
  /** Where the log is to be cut off: its last write was not whole. */
  cut: Cut | undefined;
  /** The last segment. */
  last: Segment;
  /** The newest one a server up to 3.6 would start from. */
  snap: FoundSnap | undefined;
  /** Names in snap/. */
  snapNames: readonly string[];
  /** Raft snapshots among them that cannot be read, and why. */
  brokenSnaps: readonly BrokenSnap[];
}

/** Throws `CorruptError` for damage, `RefusedError` when the log begins too late for the database. */
export async function readMemberFiles(paths: MemberPaths, pacer: Pacer): Promise<MemberFiles> {
  const schema = existsSync(paths.database) ? readSchema(paths.database) : undefined;
  const applied = schema?.consistentIndex ?? 0;
  const { segments } = listSegments(paths.walDir);
  const snapNames = listNames(paths.snapDir);
  const { snaps, brokenSnaps } = readSnaps(paths.snapDir, snapNames);
  const known = { applied, snaps, snapNames, walDir: paths.walDir };
  const { tail, snap, cut } = await readTornTail(segments, known, pacer);
  return { paths, schema, tail, cut, last: segments.at(-1)!, snap, snapNames, brokenSnaps };
}

/** Everything small that the database says. */
function readSchema(path: string): SchemaState {
  const database = openDatabase(path);
  try {
    const small = BUCKETS.filter((name) => name !== 'key' && name !== 'lease');
    const rows = new Map(small.map((name) => [name, readRows(database.bolt, name)]));
    const schema = decodeSchema(rows, { file: path });
    // A backend would make what is missing, and all keys would be gone without a word.
    if (schema.consistentIndex !== undefined && !database.bolt.bucket('key')) {
      throw new CorruptError('schema.bucket', `${path} has applied entries, but holds no bucket "key"`, {
        where: { file: path },
      });
    }
    const keys = new BoltView(database.source).scan('key')[Symbol.iterator]();
    if (schema.consistentIndex === undefined && keys.next().done !== true) {
      throw new CorruptError(
        'schema.meta',
        `${path} holds keys, but not which entry was applied last: the whole log would be applied to them again`,
        { where: { file: path, field: 'bucket meta' } },
      );
    }
    return schema;
  } finally {
    database.close();
  }
}

/** Those that decode, newest name first: a server passes over the others. */
function readSnaps(
  snapDir: string,
  names: readonly string[],
): { snaps: FoundSnap[]; brokenSnaps: BrokenSnap[] } {
  const snaps: FoundSnap[] = [];
  const brokenSnaps: BrokenSnap[] = [];
  for (const name of names.filter((one) => parseSnapName(one)).reverse()) {
    try {
      const source = openFile(join(snapDir, name));
      try {
        const { index, term, confState } = readSnapFile(source).metadata;
        snaps.push({ index, term, memberIds: [...confState.voters, ...confState.learners] });
      } finally {
        source.close();
      }
    } catch (error) {
      if (!(error instanceof CorruptError)) throw error;
      brokenSnaps.push({ name, error });
    }
  }
  return { snaps, brokenSnaps };
}

interface Known {
  applied: number;
  snaps: readonly FoundSnap[];
  snapNames: readonly string[];
  walDir: string;
}

interface ReadTail {
  tail: LogTail;
  snap: FoundSnap | undefined;
}

/** Goes back from one snapshot to the one before as long as the log does not name it. */
async function readTail(
  segments: readonly Segment[],
  { applied, snaps, snapNames, walDir }: Known,
  pacer: Pacer,
): Promise<ReadTail> {
  for (const snap of snaps) {
    // A database that a leader sent with the snapshot is to take the place of one that is older.
    const reached = snapNames.includes(receivedName(snap.index)) ? Math.max(applied, snap.index) : applied;
    const from = Math.min(reached, snap.index);
    if (segments[0]!.index > from) continue;
    const tail = await LogTail.read(chooseSegments(segments, from, walDir), reached, pacer);
    const commit = tail.state?.commit ?? 0;
    const isNamed = tail.snapshots.some(({ index, term }) => index === snap.index && term === snap.term);
    if (isNamed && snap.index <= commit) return { tail, snap };
  }
  const begin = segments[0]!.index;
  if (begin > applied) throw databaseBehind(applied, begin, walDir);
  const from = begin > 0 ? applied : 0;
  return {
    tail: await LogTail.read(chooseSegments(segments, from, walDir), applied, pacer),
    snap: undefined,
  };
}

function databaseBehind(applied: number, begin: number, walDir: string): RefusedError {
  return new RefusedError(
    'log.start',
    `the database ends at entry ${applied}, but the oldest segment of the log begins with ${begin}: what lies between is not here`,
    { where: { file: walDir }, hint: 'use another member, or the log this database belongs to' },
  );
}

/** The same for a log whose last write may have been cut short; gives where it ends then. */
async function readTornTail(
  segments: readonly Segment[],
  known: Known,
  pacer: Pacer,
): Promise<ReadTail & { cut: Cut | undefined }> {
  try {
    const found = await readTail(segments, known, pacer);
    const { file, offset, verdict, message = '' } = found.tail.end!;
    return { ...found, cut: verdict === 'torn' ? { path: file, offset, reason: message } : undefined };
  } catch (error) {
    const cut = error instanceof CorruptError ? tornWriteOf(error, segments.at(-1)!) : undefined;
    if (!cut) throw error;
    const short = segments.map((segment) =>
      segment.path === cut.path ? { ...segment, open: () => startOf(segment.open(), cut.offset) } : segment,
    );
    const found = await readTail(short, known, pacer);
    // What a later state calls committed, or the database has applied, was durable: then it is damage.
    const durable = Math.max(commitBehind(segments.at(-1)!, cut.offset), known.applied);
    if (durable > endOfLog(found.tail)) throw error;
    return { ...found, cut };
  }
}

/** Where a log ends by its own records; a tail without entries has the database's word for it. */
function endOfLog({ firstIndex, lastIndex, snapshots }: LogTail): number {
  return firstIndex <= lastIndex ? lastIndex : Math.max(0, ...snapshots.map(({ index }) => index));
}

/** The name of a database that a leader sent with a snapshot. */
export function receivedName(index: number): string {
  return `${index.toString(16).padStart(16, '0')}.snap.db`;
}
