/**
 * The database of a restored member: packed through the one pipeline, or copied page for page and then edited.
 * Either way it is checked on the way, durable, and read back before anybody relies on it.
 */
import type { Disk } from '../../../bytes/disk.ts';
import type { Pacer } from '../../../bytes/pacer.ts';
import { openFile } from '../../../bytes/source.ts';
import { CorruptError } from '../../../errors.ts';
import { BoltFile } from '../../../format/bolt/file.ts';
import type { BulkOutput } from '../../../format/bolt/bulk.ts';
import { checkFreelist } from '../../../format/bolt/freelist.ts';
import { checkLeaseRows } from '../../../check/leases.ts';
import { HistoryCheck } from '../../../check/history.ts';
import { readMarks } from '../../../store/mvcc/marks.ts';
import type { Database } from '../../../store/database.ts';
import {
  editFile,
  fillWithCopy,
  type NewFile,
  outputTo,
  proveCopy,
  proveDatabase,
  proveEdits,
} from '../../../store/new-file.ts';
import {
  type Edits,
  type PageObserver,
  rewriteDatabase,
  type RewriteResult,
} from '../../../store/rewrite.ts';
import { LeaseIdSet } from '../../../store/schema/lease-ids.ts';
import type { SnapshotFacts } from './source.ts';

const DATABASE_MODE = 0o600;

/** `preserved` copies pages as they lie; `quick` does so without looking at them. */
export type Layout = 'packed' | 'preserved' | 'quick';

export interface DatabaseJob {
  database: Database;
  facts: SnapshotFacts;
  edits: Edits;
  layout: Layout;
  pacer: Pacer;
}

export interface DatabaseResult {
  sizeBytes: number;
  /** CRC-32C over all buckets, and how many rows they have; not known of a `quick` copy. */
  hash: number | undefined;
  recordCount: number | undefined;
}

/** Goes through everything without writing. Throws what would stop a restore. */
export async function rehearse(job: DatabaseJob): Promise<DatabaseResult> {
  if (job.layout === 'quick')
    return { sizeBytes: copiedSize(job.database), hash: undefined, recordCount: undefined };
  const result = await rewrite(job, { write() {} });
  return job.layout === 'packed' ? result : { ...result, sizeBytes: copiedSize(job.database) };
}

/** Writes the database to `path`, proven but for the digest of the source. */
export async function writeDatabase(disk: Disk, path: string, job: DatabaseJob): Promise<DatabaseResult> {
  return job.layout === 'packed' ? writePacked(disk, path, job) : writePreserved(disk, path, job);
}

async function writePacked(disk: Disk, path: string, job: DatabaseJob): Promise<DatabaseResult> {
  return createFile(disk, path, async (file) => {
    const written = await rewrite(job, outputTo(file));
    await proveDatabase(file, written, job.pacer);
    return written;
  });
}

async function writePreserved(disk: Disk, path: string, job: DatabaseJob): Promise<DatabaseResult> {
  const { database, edits, facts, layout, pacer } = job;
  // The same pass that packs says what the edited copy has to read back as.
  const expected = layout === 'quick' ? undefined : await rewrite(job, { write() {} });
  const size = copiedSize(database);
  return createFile(disk, path, async (file) => {
    const copied = await fillWithCopy(file, database.source, size, pacer);
    if (!expected) await proveCopy(file, copied, pacer);
    const meta = await editFile(file, edits, { pacer, present: facts.rows });
    if (expected) await proveDatabase(file, expected, pacer);
    else proveEdits(file, edits);
    const sizeBytes = meta.pageLimit * meta.pageSize;
    return { sizeBytes, hash: expected?.hash, recordCount: expected?.recordCount };
  });
}

/** Another member's database: the same bytes. */
export async function copyDatabase(disk: Disk, from: string, to: string, pacer: Pacer): Promise<void> {
  const source = openFile(from);
  try {
    await createFile(disk, to, async (file) => {
      const copied = await fillWithCopy(file, source, source.size, pacer);
      await proveCopy(file, copied, pacer);
    });
  } finally {
    source.close();
  }
}

/** It is the caller's to remove when something fails. */
async function createFile<T>(disk: Disk, path: string, fill: (file: NewFile) => Promise<T>): Promise<T> {
  const fd = disk.create(path, DATABASE_MODE);
  try {
    return await fill({ disk, fd, path });
  } finally {
    disk.close(fd);
  }
}

/** Runs the pipeline over the source, every record and lease checked. */
function rewrite(
  { database, edits, layout, pacer }: DatabaseJob,
  output: BulkOutput,
): Promise<RewriteResult> {
  // Each run needs a view of its own: pages that are read twice through one count as used twice.
  const bolt = new BoltFile(database.source);
  const leases = new LeaseIdSet();
  const observers = new Map<string, PageObserver>([
    ['key', new HistoryCheck(bolt, readMarks(bolt))],
    ['lease', { leaf: (page) => checkLeaseRows(page, leases, bolt), lost() {} }],
  ]);
  if (layout === 'preserved') return rewriteAndCheckFree(bolt, output, { edits, observers, pacer });
  return rewriteDatabase(bolt, output, { edits, observers, pacer });
}

/** A damaged freelist would live on in the copy. */
async function rewriteAndCheckFree(...args: Parameters<typeof rewriteDatabase>): Promise<RewriteResult> {
  const result = await rewriteDatabase(...args);
  checkFreelist(args[0]);
  return result;
}

/** What lies beyond the last page is not part of the database. */
function copiedSize({ bolt, contentSize, path }: Database): number {
  if (contentSize >= bolt.sizeBytes) return bolt.sizeBytes;
  throw new CorruptError(
    'backup.size',
    `${path} ends at ${contentSize} bytes, but its database has ${bolt.sizeBytes}`,
    {
      where: { file: path, offset: contentSize },
      hint: 'the copy was cut off: fetch it again from where it was made',
    },
  );
}
