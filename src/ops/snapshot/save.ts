/**
 * `snapshot save` from the directory of a stopped member: the database with what only its log holds, as one sound
 * backup. A copy of `member/snap/db` alone loses the last writes that were acknowledged.
 */
import { isLockedByOther } from '../../bytes/lock.ts';
import { Pacer } from '../../bytes/pacer.ts';
import { StagedFile } from '../../bytes/replace.ts';
import { startSha256 } from '../../bytes/sha256.ts';
import { CorruptError, RefusedError, UsageError } from '../../errors.ts';
import { listSegments } from '../../format/wal/log.ts';
import { HistoryCheck } from '../../check/history.ts';
import { recognise } from '../../check/kind.ts';
import { BoltView } from '../../store/backend/bolt-view.ts';
import { Overlay } from '../../store/backend/overlay.ts';
import { assertUnmoved, type Database, openDatabase } from '../../store/database.ts';
import { readMarks } from '../../store/mvcc/marks.ts';
import { outputTo, proveDatabase } from '../../store/new-file.ts';
import { type Replay, replayLog } from '../../store/replay.ts';
import { type Edits, rewriteDatabase } from '../../store/rewrite.ts';
import { BUCKETS } from '../../store/schema/buckets.ts';
import { readRows } from '../../store/schema/rows.ts';
import { decodeSchema, schemaVersionOf } from '../../store/schema/state.ts';
import { advised } from '../advice.ts';
import type { Context } from '../context.ts';
import { assertAbsent } from '../output-path.ts';
import { assertSound } from './sound.ts';

export interface SaveOptions {
  /** The data directory, or its `member`. */
  dataDir: string;
  /** Where the log is, when it is not there. */
  walDir?: string | undefined;
  /** Must not exist. */
  output: string;
}

export interface SaveReport extends Replay {
  path: string;
  output: string;
  sizeBytes: number;
  /** CRC-32C over all buckets: what `snapshot status` prints. */
  hash: number;
  sha256: Uint8Array;
  tookMs: number;
}

const BACKUP_MODE = 0o600;

/** Throws before the output has its name, or returns after it was verified. The directory is not changed. */
export async function saveSnapshot(options: SaveOptions, context: Context): Promise<SaveReport> {
  const began = performance.now();
  const { dataDir, output } = options;
  const input = recognise(dataDir, { walDir: options.walDir });
  if (input.walDir === undefined) {
    throw new UsageError('kind.unknown', `${dataDir} is a file, not the data directory of a member`, {
      hint: 'a database by itself is copied as it is; its log is what a directory adds',
    });
  }
  assertAbsent(output);
  assertStopped(input.database);
  const database = openDatabase(input.database);
  try {
    const pacer = new Pacer({ signal: context.signal, progress: context.progress?.('saving') });
    const overlay = new Overlay(new BoltView(database.source));
    const { segments } = listSegments(input.walDir);
    if (segments.length === 0) {
      throw new CorruptError('wal.sequence', `there are no segments in ${input.walDir}`, {
        where: { file: input.walDir },
        hint: 'give --wal-dir if the log is elsewhere; without it, the database alone is what there is',
      });
    }
    const replay = await replayLog(overlay, segments, { hasTerm: hasTerm(database), pacer });
    const written = await write({ database, edits: overlay.edits(), output, pacer }, context);
    return { ...replay, ...written, path: dataDir, output, tookMs: performance.now() - began };
  } catch (error) {
    throw advised(error, dataDir);
  } finally {
    database.close();
  }
}

function assertStopped(path: string): void {
  if (!isLockedByOther(path)) return;
  throw new RefusedError('lock.held', `${path} is locked: an etcd is running on it`, {
    where: { file: path },
    hint: 'ask the running member: etcdkit snapshot save --endpoints URL -o FILE; or stop it first',
  });
}

function hasTerm({ bolt, path }: Database): boolean {
  const rows = new Map(
    BUCKETS.filter((name) => name !== 'key' && name !== 'lease').map((name) => [name, readRows(bolt, name)]),
  );
  return schemaVersionOf(decodeSchema(rows, { file: path, report: () => {} })) !== '3.4';
}

interface WriteJob {
  database: Database;
  edits: Edits;
  output: string;
  pacer: Pacer;
}

async function write(
  { database, edits, output, pacer }: WriteJob,
  context: Context,
): Promise<Pick<SaveReport, 'sizeBytes' | 'hash' | 'sha256'>> {
  const staged = new StagedFile(context.disk, output, { mode: BACKUP_MODE });
  try {
    // Another view: pages that are read twice through one count as used twice.
    const source = openDatabase(database.path);
    try {
      const observers = new Map([['key', new HistoryCheck(source.bolt, readMarks(source.bolt))]]);
      const written = await rewriteDatabase(source.bolt, outputTo(staged.file), { edits, observers, pacer });
      const sha256 = await startSha256({ path: staged.temporary, length: written.sizeBytes }).result;
      staged.write(sha256, written.sizeBytes);
      await proveDatabase(staged.file, written, pacer);
      staged.seal();
      // What was replayed must leave a history that holds: damage in the log shows up here.
      await assertSound(staged.temporary, context);
      assertUnmoved(database);
      staged.commitNew();
      return { sizeBytes: written.sizeBytes + sha256.length, hash: written.hash, sha256 };
    } finally {
      source.close();
    }
  } finally {
    staged.discard();
  }
}
