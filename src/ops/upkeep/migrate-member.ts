/** Reads what of a member's files decides how servers start from it: small buckets, .snap files, the whole log. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ioError } from '../../bytes/io-error.ts';
import type { Pacer } from '../../bytes/pacer.ts';
import { openFile } from '../../bytes/source.ts';
import { CorruptError, ToolError } from '../../errors.ts';
import type { HardState } from '../../format/proto/raftpb.ts';
import { parseSnapName, readSnapFile } from '../../format/snap/file.ts';
import { type DecodedV2Store, decodeV2Store } from '../../format/snap/v2store.ts';
import { listSegments, type LogEnd, LogReader, type Segment } from '../../format/wal/log.ts';
import { ClusterLog } from '../../store/cluster-log.ts';
import { openDatabase } from '../../store/database.ts';
import { BUCKETS, type BucketName } from '../../store/schema/buckets.ts';
import { readRows } from '../../store/schema/rows.ts';
import { decodeSchema, type SchemaState } from '../../store/schema/state.ts';
import type { MemberState, Snap } from '../../store/upgrade.ts';
import type { Log } from '../context.ts';

/** Where a member's files are. */
export interface MemberPaths {
  database: string;
  snapDir: string;
  walDir: string;
}

/** A log that was read to its end, and that a writer could go on with. */
export interface MemberLog {
  segments: readonly Segment[];
  /** The member it belongs to. */
  nodeId: bigint;
  state: HardState;
  end: LogEnd;
  cluster: ClusterLog;
  lastIndex: number;
  records: MemberState['records'];
}

const UNREAD: readonly BucketName[] = ['key', 'lease'];
const NOTHING = new Uint8Array();

/** The small buckets. Throws `CorruptError` for the first row that does not decode. */
export function readSchema(path: string): SchemaState {
  const database = openDatabase(path);
  try {
    const names = BUCKETS.filter((name) => !UNREAD.includes(name));
    return decodeSchema(new Map(names.map((name) => [name, readRows(database.bolt, name)])), { file: path });
  } finally {
    database.close();
  }
}

/** Throws what a server would stop at; a torn end is none of that. */
export async function readLog(
  walDir: string,
  consistentIndex: number | undefined,
  pacer: Pacer,
): Promise<MemberLog> {
  const { segments } = listSegments(walDir);
  if (segments.length === 0) {
    throw new CorruptError('wal.sequence', `there are no segments in ${walDir}`, {
      where: { file: walDir },
      hint: 'give --wal-dir if the log is elsewhere',
      upstream: 'failed to open wal: wal: file not found',
    });
  }
  return readSegments(segments, consistentIndex, pacer);
}

export async function readSegments(
  segments: readonly Segment[],
  consistentIndex: number | undefined,
  pacer: Pacer,
): Promise<MemberLog> {
  const reader = new LogReader(segments);
  const cluster = new ClusterLog(consistentIndex);
  try {
    for (const event of reader.events()) {
      cluster.add(event);
      if (pacer.isDue()) await pacer.rest();
    }
  } catch (error) {
    throw error instanceof CorruptError ? unreadable(error) : error;
  }
  return {
    segments,
    nodeId: reader.metadata!.nodeId,
    state: reader.state ?? { term: 0, vote: 0n, commit: 0 },
    end: reader.end!,
    cluster,
    lastIndex: reader.lastIndex ?? 0,
    records: reader.snapshots.map(({ snapshot }) => snapshot),
  };
}

function unreadable(error: CorruptError): CorruptError {
  return new CorruptError(error.code, error.message, {
    ...(error.where ? { where: error.where } : {}),
    cause: error,
    hint: error.hint ?? 'etcdkit snapshot verify on the data directory shows all that is wrong with the log',
    upstream: `failed to read wal: ${error.upstream ?? error.message}`,
  });
}

/** Newest name first. One that does not decode is passed over, as servers do, but not renamed. */
export function readSnaps(paths: readonly string[], log: Log): Snap[] {
  const snaps: Snap[] = [];
  for (const path of paths) {
    const name = path.slice(path.lastIndexOf('/') + 1);
    const source = openFile(path);
    try {
      const { data = NOTHING, metadata } = readSnapFile(source);
      snaps.push({ name, term: metadata.term, index: metadata.index, store: readStore(data, path) });
    } catch (error) {
      if (!(error instanceof CorruptError)) throw error;
      log.warn({ path, error: error.message }, 'a .snap file does not decode; servers pass over it');
    } finally {
      source.close();
    }
  }
  return snaps;
}

function readStore(data: Uint8Array, file: string): DecodedV2Store | undefined {
  try {
    return decodeV2Store(data, { file });
  } catch (error) {
    if (error instanceof ToolError) return undefined;
    throw error;
  }
}

/** All names in snap/, newest .snap first. */
export function listSnapDir(snapDir: string): string[] {
  try {
    return readdirSync(snapDir).sort().reverse();
  } catch (error) {
    throw ioError(error, { operation: 'open', path: snapDir });
  }
}

export function memberState(
  schema: SchemaState,
  log: MemberLog,
  snaps: readonly Snap[],
  snapNames: readonly string[],
): MemberState {
  const { cluster, segments, records, state, lastIndex } = log;
  return { schema, log: cluster, segments, records, commit: state.commit, lastIndex, snaps, snapNames };
}

/** Everything, from the places it belongs in. */
export async function readMember(
  paths: MemberPaths,
  log: Log,
  pacer: Pacer,
): Promise<{ state: MemberState; log: MemberLog }> {
  const schema = readSchema(paths.database);
  const wal = await readLog(paths.walDir, schema.consistentIndex, pacer);
  const names = listSnapDir(paths.snapDir);
  const snapPaths = names.filter((name) => parseSnapName(name)).map((name) => join(paths.snapDir, name));
  return { state: memberState(schema, wal, readSnaps(snapPaths, log), names), log: wal };
}
