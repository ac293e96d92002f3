/** Builds the new files of a migration beside the old ones, each proven before anybody relies on it. */
import { lstatSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Disk, Owner } from '../../bytes/disk.ts';
import { compareBytes } from '../../bytes/order.ts';
import type { Pacer } from '../../bytes/pacer.ts';
import { StagedFile } from '../../bytes/replace.ts';
import { openFile, readAt, type Source } from '../../bytes/source.ts';
import { CorruptError } from '../../errors.ts';
import { encodeSnapFile, formatSnapName } from '../../format/snap/file.ts';
import { encodeV2Store } from '../../format/snap/v2store.ts';
import { SegmentWriter } from '../../format/wal/writer.ts';
import { assertUnmoved, openDatabase } from '../../store/database.ts';
import { editFile, fillWithCopy, proveDatabase } from '../../store/new-file.ts';
import { type Edits, rewriteDatabase } from '../../store/rewrite.ts';
import { compareMinor, isBeforeStorageVersion, type MinorVersion } from '../../store/schema/migrate.ts';
import type { Fix } from '../../store/upgrade-fix.ts';
import { type MemberLog, readSegments } from './migrate-member.ts';
import { TEMPORARY_NAMES } from './swap.ts';

const SNAP_MODE = 0o644;

/** A copy of the database with the edits in it, its pages otherwise where they were. */
export async function stageDatabase(
  disk: Disk,
  path: string,
  edits: Edits,
  pacer: Pacer,
): Promise<StagedFile> {
  const database = openDatabase(path);
  let staged: StagedFile | undefined;
  try {
    staged = stage(disk, path, TEMPORARY_NAMES.database.staged);
    // The pipeline, writing nothing: checks the old file, and says what the edited copy has to read back as.
    const expected = await rewriteDatabase(database.bolt, { write() {} }, { edits, pacer });
    const { file } = staged;
    await fillWithCopy(file, database.source, database.bolt.sizeBytes, pacer);
    await editFile(file, edits, { pacer });
    await proveDatabase(file, expected, pacer);
    staged.seal();
    assertUnmoved(database);
    return staged;
  } catch (error) {
    staged?.discard();
    throw error;
  } finally {
    database.close();
  }
}

/** A raft snapshot of the membership; owned by whoever owns the database. */
export function stageSnap(
  disk: Disk,
  { database, snapDir }: { database: string; snapDir: string },
  fix: Fix,
  target: MinorVersion,
): StagedFile {
  const { store, point, voters, learners } = fix;
  const style = isBeforeStorageVersion(target) ? 'live' : 'rebuilt';
  const bytes = encodeSnapFile(
    { data: encodeV2Store(store, { style }), metadata: { ...point, confState: { voters, learners } } },
    { zeros: zerosOf(target) },
  );
  const path = join(snapDir, formatSnapName(point));
  const mode = modeOf(path) ?? SNAP_MODE;
  const staged = stage(disk, path, TEMPORARY_NAMES.snap.staged, { mode, owner: ownerOf(database) });
  try {
    staged.write(bytes, 0);
    staged.seal();
    const copy = openFile(staged.temporary);
    try {
      if (compareBytes(readAt(copy, 0, copy.size), bytes) !== 0) throw notAsWritten(copy);
    } finally {
      copy.close();
    }
    return staged;
  } catch (error) {
    staged.discard();
    throw error;
  }
}

/** A copy of the last segment with the records behind its last good one. */
export async function stageSegment(
  disk: Disk,
  log: MemberLog,
  fix: Fix,
  target: MinorVersion,
  pacer: Pacer,
): Promise<StagedFile> {
  const last = log.segments.at(-1)!;
  const { end, state } = log;
  const source = openFile(last.path);
  let staged: StagedFile | undefined;
  try {
    staged = stage(disk, last.path, TEMPORARY_NAMES.segment.staged);
    await fillWithCopy(staged.file, source, end.offset, pacer);
    if (end.verdict === 'preallocated') disk.truncate(staged.fd, source.size);
    staged.seal();
    const verdict = end.verdict === 'torn' ? 'end' : end.verdict;
    const writer = SegmentWriter.append(disk, staged.temporary, { ...end, verdict, zeros: zerosOf(target) });
    try {
      if (fix.commit !== undefined) writer.state({ ...state, commit: fix.commit });
      if (fix.needsRecord)
        writer.snapshot({ ...fix.point, confState: { voters: fix.voters, learners: fix.learners } });
    } catch (error) {
      writer.abandon();
      throw error;
    }
    writer.close();
    await proveSegment(staged, log, fix, pacer);
    return staged;
  } catch (error) {
    staged?.discard();
    throw error;
  } finally {
    source.close();
  }
}

/** Reads the whole log once more, the copy in the place of the last segment. */
async function proveSegment(staged: StagedFile, log: MemberLog, fix: Fix, pacer: Pacer): Promise<void> {
  const last = log.segments.at(-1)!;
  const open = (): Source => openFile(staged.temporary);
  const read = await readSegments(
    [...log.segments.slice(0, -1), { ...last, path: staged.temporary, open }],
    fix.point.index,
    pacer,
  );
  const record = read.records.findLast(({ index }) => index <= read.state.commit);
  const isRight =
    record?.index === fix.point.index && record.term === fix.point.term && read.lastIndex === log.lastIndex;
  if (!isRight || read.end.verdict === 'torn') throw notAsWritten({ name: staged.temporary });
}

function notAsWritten({ name }: { name: string }): CorruptError {
  return new CorruptError('migrate.failed', `${name} does not read back as it was written`, {
    where: { file: name },
    hint: 'the disk or the memory of this machine is not sound',
  });
}

function stage(disk: Disk, path: string, name: string, like?: { mode: number; owner: Owner }): StagedFile {
  const { mode, owner } = like ?? { mode: modeOf(path)!, owner: ownerOf(path) };
  return new StagedFile(disk, path, { mode, owner, temporary: join(dirname(path), name) });
}

function modeOf(path: string): number | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat && stat.mode & 0o777;
}

function ownerOf(path: string): Owner {
  const { uid, gid } = lstatSync(path);
  return { uid, gid };
}

/** 3.7's library leaves zeros out. */
function zerosOf(target: MinorVersion): 'write' | 'omit' {
  return compareMinor(target, { major: 3, minor: 7 }) < 0 ? 'write' : 'omit';
}
