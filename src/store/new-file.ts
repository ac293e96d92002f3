/**
 * A database file that is not in its place yet: filled by the one pipeline, or page for page and then edited; then
 * made durable and read back. Whoever gives it its name has called
 * a `prove` function before.
 */
import { crc32c } from '../bytes/crc32c.ts';
import type { Disk } from '../bytes/disk.ts';
import { compareBytes } from '../bytes/order.ts';
import type { Pacer } from '../bytes/pacer.ts';
import { openFile, type Source } from '../bytes/source.ts';
import { CorruptError } from '../errors.ts';
import type { BulkOutput } from '../format/bolt/bulk.ts';
import { BoltFile } from '../format/bolt/file.ts';
import type { Meta } from '../format/bolt/meta.ts';
import { editBolt } from '../format/bolt/tx.ts';
import { type Edits, proveEqual, type RewriteResult } from './rewrite.ts';
import type { Row } from './schema/rows.ts';

const CHUNK_SIZE = 1 << 20;

export interface NewFile {
  disk: Disk;
  /** Open for reading and writing; its owner closes it. */
  fd: number;
  path: string;
}

/** What a bulk writer's bytes go through. */
export function outputTo({ disk, fd }: NewFile): BulkOutput {
  return { write: (bytes, position) => disk.write(fd, bytes, position) };
}

/** What was copied. */
export interface Copied {
  sizeBytes: number;
  /** CRC-32C. */
  crc: number;
}

/** Fills it with the first `sizeBytes` of `source`. */
export async function fillWithCopy(
  file: NewFile,
  source: Source,
  sizeBytes: number,
  pacer: Pacer,
): Promise<Copied> {
  const crc = await hashStart(source, sizeBytes, pacer, outputTo(file));
  return { sizeBytes, crc };
}

/** CRC-32C of the first `sizeBytes`, which `output` gets too. */
async function hashStart(
  source: Source,
  sizeBytes: number,
  pacer: Pacer,
  output?: BulkOutput,
): Promise<number> {
  const chunk = new Uint8Array(Math.min(CHUNK_SIZE, sizeBytes));
  let crc = 0;
  for (let offset = 0; offset < sizeBytes; offset += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, sizeBytes - offset));
    source.readInto(offset, part);
    crc = crc32c(part, crc);
    output?.write(part, offset);
    if (pacer.isDue()) await pacer.rest(offset + part.length, sizeBytes);
  }
  return crc;
}

/**
 * Edits a copied database: new pages behind its last one, and a meta that names them. `present` has the rows of the
 * buckets that are to be cleared.
 */
export function editFile(
  { disk, path }: NewFile,
  edits: Edits,
  options: { pacer: Pacer; present?: ReadonlyMap<string, readonly Row[]> },
): Promise<Meta> {
  const edit: Parameters<typeof editBolt>[2] = (tx) => {
    for (const [label, { clear, rows }] of edits) {
      const bucket = tx.ensureBucket(Buffer.from(label));
      if (clear) for (const { key } of options.present?.get(label) ?? []) bucket.delete(key);
      for (const [name, value] of rows ?? []) {
        const key = Buffer.from(name, 'latin1');
        if (value === undefined) bucket.delete(key);
        else bucket.put(key, value);
      }
    }
  };
  return editBolt(disk, path, edit, { pacer: options.pacer, isAppendOnly: true });
}

/** Makes it durable, and meanwhile reads it as a database. Throws unless that is what was written. */
export function proveDatabase(file: NewFile, written: RewriteResult, pacer: Pacer): Promise<void> {
  return whileSyncing(file, (source) => proveEqual(source, written, pacer));
}

/** Makes it durable, and meanwhile reads it byte for byte. Throws unless it holds what was copied. */
export function proveCopy(file: NewFile, { sizeBytes, crc }: Copied, pacer: Pacer): Promise<void> {
  return whileSyncing(file, async (source) => {
    if ((await hashStart(source, sizeBytes, pacer)) !== crc) throw unsound(source);
  });
}

/** Neither ends before the other does: nobody may close the file while it is synced. */
async function whileSyncing(
  { disk, fd, path }: NewFile,
  read: (source: Source) => Promise<void>,
): Promise<void> {
  const synced = disk.startSync(fd);
  synced.catch(() => {});
  const source = openFile(path);
  try {
    await read(source);
  } finally {
    source.close();
    await synced.catch(() => {});
  }
  await synced;
}

/** Throws unless every row that was set or removed reads back so. */
export function proveEdits({ path }: NewFile, edits: Edits): void {
  const source = openFile(path);
  try {
    const bolt = new BoltFile(source);
    for (const [label, { rows }] of edits) {
      const bucket = bolt.bucket(label);
      for (const [name, value] of rows ?? []) {
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

function unsound({ name }: Source): CorruptError {
  return new CorruptError('defrag.failed', `${name} does not read back as it was written`, {
    where: { file: name },
    hint: 'the disk or the memory of this machine is not sound',
  });
}
