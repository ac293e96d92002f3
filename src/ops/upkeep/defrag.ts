/**
 * `defrag`: a database rewritten without its free pages. Everything is checked while it is copied, the result is
 * read back, and only then does it take the old one's place, by one rename.
 */
import { lstatSync, statfsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { humanizeBytes } from '../../bytes/humanize.ts';
import { type Lock, lockExclusive } from '../../bytes/lock.ts';
import { identityOf } from '../../bytes/openers.ts';
import { ioError } from '../../bytes/io-error.ts';
import { compareBytes } from '../../bytes/order.ts';
import { Pacer } from '../../bytes/pacer.ts';
import { StagedFile, temporaryPath } from '../../bytes/replace.ts';
import { startSha256 } from '../../bytes/sha256.ts';
import { CorruptError, ToolError, UsageError } from '../../errors.ts';
import { CLAIM } from '../../format/bolt/claims.ts';
import { databaseOf } from '../../store/locate.ts';
import { assertUnmoved, type Database, openDatabase, startDigest } from '../../store/database.ts';
import { outputTo, proveDatabase } from '../../store/new-file.ts';
import { type RewriteResult, rewriteDatabase } from '../../store/rewrite.ts';
import { HistoryCheck } from '../../check/history.ts';
import { readMarks } from '../../store/mvcc/marks.ts';
import { advised } from '../advice.ts';
import type { Context } from '../context.ts';
import { assertAbsent } from '../output-path.ts';
import { assertNoWriter, lockDatabase } from './exclusive.ts';
import { Swap, TEMPORARY_NAMES } from './swap.ts';

/** What to rewrite, and where to. */
export type DefragTarget =
  | { dataDir: string }
  /** A file to a new one. */
  | { file: string; output: string }
  | { file: string; inPlace: true };

export interface DefragOptions {
  /** How long to wait for the lock of the database; 0 waits for ever. */
  timeoutMs: number;
  /** Only say what would come out. */
  isDryRun?: boolean;
  /** Go on where this host cannot lock. */
  allowUnlocked?: boolean;
}

export interface DefragReport {
  path: string;
  output: string;
  sizeBeforeBytes: number;
  sizeInUseBytes: number;
  sizeAfterBytes: number;
  /** CRC-32C over all buckets, the same before and after. */
  hash: number;
  recordCount: number;
  freeBytes: number;
  isDryRun: boolean;
  tookMs: number;
}

/** Nobody else knows the file yet. */
const SWAP_LOCK_MS = 1000;

interface Plan {
  path: string;
  output: string;
  /** Whether the file is one that etcd may have open. */
  isLocked: boolean;
}

function planOf(target: DefragTarget): Plan {
  if ('dataDir' in target) {
    const path = join(target.dataDir, 'member', 'snap', 'db');
    return { path, output: path, isLocked: true };
  }
  const path = databaseOf(target.file);
  if ('inPlace' in target) return { path, output: path, isLocked: true };
  assertAbsent(target.output);
  return { path, output: target.output, isLocked: false };
}

/** Throws before anything took the old file's place, or returns after the new one did. */
export async function defragment(
  target: DefragTarget,
  options: DefragOptions,
  context: Context,
): Promise<DefragReport> {
  const began = performance.now();
  const plan = planOf(target);
  const pacer = new Pacer({ signal: context.signal, progress: context.progress?.('defragmenting') });
  assertFile(plan.path);
  const isLocking = plan.isLocked && !options.isDryRun;
  const lock: Lock | undefined = isLocking ? await lockDatabase(plan.path, options, context) : undefined;
  try {
    const database = openDatabase(plan.path);
    try {
      const freeBytes = freeSpace(dirname(plan.output));
      context.log.info({ path: plan.path, ...sizeFields(database.bolt.sizeBytes) }, 'defragmenting');
      const written = options.isDryRun
        ? await rehearse(database, pacer)
        : await replace(database, plan, pacer, context);
      assertUnmoved(database);
      const trailerSize = database.source.size - database.contentSize;
      const tookMs = performance.now() - began;
      if (!options.isDryRun) logDone(database, written, tookMs, context);
      return {
        path: plan.path,
        output: plan.output,
        sizeBeforeBytes: database.source.size,
        sizeInUseBytes: written.sizeBytes,
        sizeAfterBytes: written.sizeBytes + trailerSize,
        hash: written.hash,
        recordCount: written.recordCount,
        freeBytes,
        isDryRun: options.isDryRun ?? false,
        tookMs,
      };
    } catch (error) {
      throw advised(error, plan.path);
    } finally {
      database.close();
    }
  } finally {
    lock?.release();
  }
}

/** etcdutl's message; what is in use before is only known once the pages have been walked. */
function logDone(
  { path, bolt }: Database,
  { sizeBytes }: RewriteResult,
  tookMs: number,
  { log }: Context,
): void {
  const { claims, live } = bolt;
  const free = claims.count(CLAIM.none) + claims.count(CLAIM.free);
  const inUse = (live.pageLimit - free) * live.pageSize;
  const fields = {
    path,
    'current-db-size-bytes-diff': sizeBytes - bolt.sizeBytes,
    ...sizeFields(sizeBytes),
    'current-db-size-in-use-bytes-diff': sizeBytes - inUse,
    'current-db-size-in-use-bytes': sizeBytes,
    'current-db-size-in-use': humanizeBytes(sizeBytes),
    took: tookMs < 1000 ? `${tookMs.toFixed(6)}ms` : `${(tookMs / 1000).toFixed(9)}s`,
  };
  log.info(fields, 'finished defragmenting directory');
}

const sizeFields = (sizeBytes: number): object => ({
  'current-db-size-bytes': sizeBytes,
  'current-db-size': humanizeBytes(sizeBytes),
});

function assertFile(path: string): void {
  try {
    if (!lstatSync(path).isFile()) throw new UsageError('io.not-a-file', `${path} is not a regular file`);
  } catch (error) {
    throw error instanceof ToolError ? error : ioError(error, { operation: 'stat', path });
  }
}

function freeSpace(directory: string): number {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize;
  } catch (error) {
    throw ioError(error, { operation: 'open', path: directory });
  }
}

/** The content is checked too: a packed copy of nonsense helps nobody. */
function observersOf(database: Database): Map<string, HistoryCheck> {
  return new Map([['key', new HistoryCheck(database.bolt, readMarks(database.bolt))]]);
}

/** The same checks, and nothing written. */
async function rehearse(database: Database, pacer: Pacer): Promise<RewriteResult> {
  const digest = startDigest(database);
  try {
    const written = await rewriteDatabase(
      database.bolt,
      { write() {} },
      { pacer, observers: observersOf(database) },
    );
    if (digest) assertDigest(await digest.result, database);
    return written;
  } finally {
    digest?.cancel();
  }
}

async function replace(
  database: Database,
  plan: Plan,
  pacer: Pacer,
  context: Context,
): Promise<RewriteResult> {
  const { mode, uid, gid } = lstatSync(plan.path);
  const digest = startDigest(database);
  const staged = new StagedFile(context.disk, plan.output, {
    mode: mode & 0o777,
    owner: { uid, gid },
    temporary: temporaryOf(plan.output),
  });
  try {
    const written = await rewriteDatabase(database.bolt, outputTo(staged.file), {
      pacer,
      observers: observersOf(database),
    });
    if (digest) {
      assertDigest(await digest.result, database);
      const seal = await startSha256({ path: staged.temporary, length: written.sizeBytes }).result;
      staged.write(seal, written.sizeBytes);
    }
    await proveDatabase(staged.file, written, pacer);
    staged.seal();
    pacer.check();
    assertUnmoved(database);
    if (plan.isLocked) await takePlace(staged, plan.path, context);
    else staged.commitNew();
    return written;
  } finally {
    digest?.cancel();
    staged.discard();
  }
}

/** Over the old file, which comes back when an etcd has opened it meanwhile and waits for its lock. */
async function takePlace(staged: StagedFile, path: string, context: Context): Promise<void> {
  const old = identityOf(path);
  const swap = new Swap(context.disk);
  // The lock goes with the file: no server may touch the new one before the old one is known to be unused.
  const lock = await lockExclusive(staged.temporary, { timeoutMs: SWAP_LOCK_MS, allowUnlocked: true });
  try {
    swap.add(staged, isEtcdsOwn(path) ? TEMPORARY_NAMES.database.backup : basename(temporaryPath(path)));
    swap.run();
    assertNoWriter(path, old);
  } catch (error) {
    swap.undo();
    throw error;
  } finally {
    lock.release();
  }
  const left = swap.finish();
  if (left.length > 0)
    context.log.warn({ files: left }, 'the old file could not be removed; nothing needs it');
}

/** A server that starts removes `db.tmp.*`, should we be killed before the rename. */
function temporaryOf(output: string): string {
  return isEtcdsOwn(output) ? `${output}.tmp.${process.pid}` : temporaryPath(output);
}

function isEtcdsOwn(path: string): boolean {
  return path.endsWith(join('snap', 'db'));
}

function assertDigest(actual: Uint8Array, database: Database): void {
  if (compareBytes(actual, database.trailer!) === 0) return;
  throw new CorruptError(
    'backup.digest',
    `${database.path}: the content does not match its SHA-256 trailer`,
    {
      where: { file: database.path, offset: database.contentSize },
    },
  );
}
