/**
 * The database of a restored member: packed through the one pipeline, or copied page for page and then edited.
 * Either way it is checked on the way, durable, and read back before anybody relies on it.
 */
import type { Disk } from '../../bytes/disk.ts';
import { compareBytes } from '../../bytes/order.ts';
import type { Pacer } from '../../bytes/pacer.ts';
import { openFile, type Source } from '../../bytes/source.ts';
import { CorruptError } from '../../errors.ts';
import { BoltFile } from '../../format/bolt/file.ts';
import { WriteBehind } from '../../bytes/write-behind.ts';
import type { BulkOutput } from '../../format/bolt/bulk.ts';
import { checkFreelist } from '../../format/bolt/freelist.ts';
import { type BoltTransaction, editBolt } from '../../format/bolt/tx.ts';
import { checkLeaseRows } from '../../check/leases.ts';
import { HistoryCheck } from '../../check/history.ts';
import { readMarks } from '../../store/mvcc/marks.ts';
import type { Database } from '../../store/database.ts';
import {
  type Edits,
  type PageObserver,
  proveEqual,
  rewriteDatabase,
  type RewriteResult,
} from '../../store/rewrite.ts';
import { LeaseIdSet } from '../../store/schema/lease-ids.ts';
import type { SnapshotFacts } from './restore-source.ts';

const DATABASE_MODE = 0o600;
const CHUNK_SIZE = 4 << 20;

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
  const written = await writeFile(disk, path, (output) => rewrite(job, output));
  await proveAt(path, written, job.pacer);
  return written;
}

async function writePreserved(disk: Disk, path: string, job: DatabaseJob): Promise<DatabaseResult> {
  const { database, edits, facts, layout, pacer } = job;
  // The same pass that packs says what the edited copy has to read back as.
  const expected = layout === 'quick' ? undefined : await rewrite(job, { write() {} });
  const size = copiedSize(database);
  await copyStart(disk, { source: database.source, size, path, pacer });
  const meta = await editBolt(disk, path, (tx) => applyEdits(tx, edits, facts), { pacer });
  const sizeBytes = meta.pageLimit * meta.pageSize;
  if (!expected) {
    proveEdits(path, edits);
    return { sizeBytes, hash: undefined, recordCount: undefined };
  }
  await proveAt(path, expected, pacer);
  return { sizeBytes, hash: expected.hash, recordCount: expected.recordCount };
}

/** Another member's database: the same bytes. */
export async function copyDatabase(disk: Disk, from: string, to: string, pacer: Pacer): Promise<void> {
  const source = openFile(from);
  try {
    await copyStart(disk, { source, size: source.size, path: to, pacer });
    const copy = openFile(to);
    try {
      await assertSame(source, copy, pacer);
    } finally {
      copy.close();
    }
  } finally {
    source.close();
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

/** A new file, durable once `fill` is done; it is the caller's to remove when something fails. */
async function writeFile<T>(disk: Disk, path: string, fill: (output: BulkOutput) => Promise<T>): Promise<T> {
  const fd = disk.create(path, DATABASE_MODE);
  const output = new WriteBehind(disk, fd);
  try {
    const result = await fill(output);
    await output.drain();
    disk.sync(fd);
    return result;
  } finally {
    await output.settle();
    disk.close(fd);
  }
}

interface StartCopy {
  source: Source;
  /** How many bytes of it. */
  size: number;
  path: string;
  pacer: Pacer;
}

/** The first bytes of a file as a new, durable one: the next are read while the last are written. */
async function copyStart(disk: Disk, { source, size, path, pacer }: StartCopy): Promise<void> {
  const fd = disk.create(path, DATABASE_MODE);
  let written = Promise.resolve();
  try {
    let [chunk, other] = [new Uint8Array(CHUNK_SIZE), new Uint8Array(CHUNK_SIZE)];
    for (let offset = 0; offset < size; offset += CHUNK_SIZE) {
      const part = chunk.subarray(0, Math.min(CHUNK_SIZE, size - offset));
      source.readInto(offset, part);
      await written;
      written = disk.startWrite(fd, part, offset);
      // It is waited for later; a failure must not count as one that nobody handles until then.
      written.catch(() => {});
      [chunk, other] = [other, chunk];
      if (pacer.isDue()) await pacer.rest(offset + part.length, size);
    }
    await written;
    disk.sync(fd);
  } finally {
    await written.catch(() => {});
    disk.close(fd);
  }
}

async function assertSame(a: Source, b: Source, pacer: Pacer): Promise<void> {
  if (a.size !== b.size) throw unsound(b);
  const [first, second] = [new Uint8Array(CHUNK_SIZE), new Uint8Array(CHUNK_SIZE)];
  for (let offset = 0; offset < a.size; offset += CHUNK_SIZE) {
    const length = Math.min(CHUNK_SIZE, a.size - offset);
    a.readInto(offset, first.subarray(0, length));
    b.readInto(offset, second.subarray(0, length));
    if (compareBytes(first.subarray(0, length), second.subarray(0, length)) !== 0) throw unsound(b);
    if (pacer.isDue()) await pacer.rest(offset + length, a.size);
  }
}

function unsound({ name }: { name: string }): CorruptError {
  return new CorruptError('defrag.failed', `${name} does not read back as it was written`, {
    where: { file: name },
    hint: 'the disk or the memory of this machine is not sound',
  });
}

async function proveAt(path: string, written: RewriteResult, pacer: Pacer): Promise<void> {
  const source = openFile(path);
  try {
    await proveEqual(source, written, pacer);
  } finally {
    source.close();
  }
}

function applyEdits(tx: BoltTransaction, edits: Edits, { rows }: SnapshotFacts): void {
  for (const [label, edit] of edits) {
    const bucket = tx.ensureBucket(Buffer.from(label));
    if (edit.clear) for (const { key } of rows.get(label) ?? []) bucket.delete(key);
    for (const [name, value] of edit.rows ?? []) {
      const key = Buffer.from(name, 'latin1');
      if (value === undefined) bucket.delete(key);
      else bucket.put(key, value);
    }
  }
}

/** Throws unless every edited row reads back. */
function proveEdits(path: string, edits: Edits): void {
  const source = openFile(path);
  try {
    const bolt = new BoltFile(source);
    for (const [label, edit] of edits) {
      const bucket = bolt.bucket(label);
      for (const [name, value] of edit.rows ?? []) {
        const found = bucket && bolt.get(bucket, Buffer.from(name, 'latin1'));
        const isRight =
          value === undefined || found === undefined ? value === found : compareBytes(value, found) === 0;
        if (!isRight) throw unsound(source);
      }
    }
  } finally {
    source.close();
  }
}
