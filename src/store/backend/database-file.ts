/** The file of a durable backend as a whole: a new one, and one rewritten to take the place of another. */
import { lstatSync } from 'node:fs';
import type { Disk } from '../../bytes/disk.ts';
import { Pacer } from '../../bytes/pacer.ts';
import { StagedFile } from '../../bytes/replace.ts';
import type { Source } from '../../bytes/source.ts';
import { BulkWriter } from '../../format/bolt/bulk.ts';
import { BoltFile } from '../../format/bolt/file.ts';
import { outputTo, proveDatabase } from '../new-file.ts';
import { rewriteDatabase } from '../rewrite.ts';
import { BUCKETS } from '../schema/buckets.ts';

/** What etcd's systems have; other page sizes are read, and kept. */
const PAGE_SIZE = 4096;
/** It puts the live meta where bbolt would have put it. */
const FIRST_TXID = 2n;

/** Makes a database without rows, with the buckets that every server makes. Throws `io.exists` when there is a file. */
export function makeDatabase(disk: Disk, path: string): void {
  const staged = new StagedFile(disk, path);
  try {
    const writer = new BulkWriter(staged, { pageSize: PAGE_SIZE });
    for (const label of BUCKETS) {
      writer.beginBucket(Buffer.from(label));
      writer.endBucket();
    }
    writer.finish({ txid: FIRST_TXID });
    staged.commitNew();
  } catch (error) {
    staged.discard();
    throw error;
  }
}

/** A file that is whole, durable and proven, and has not got its name yet. */
export interface Replacement {
  readonly temporary: string;
  /** Whether it was about to get its name, and so may have it. */
  readonly isInPlace: boolean;
  /** Gives it its name, by one rename. */
  takePlace(): void;
  /** Removes it, unless it took its place. */
  discard(): void;
}

/** Writes the database in `source` without its free pages, to a file beside `path`. */
export async function rewriteBeside(disk: Disk, path: string, source: Source): Promise<Replacement> {
  const { mode, uid, gid } = lstatSync(path);
  const isOwner = uid === process.geteuid?.() && gid === process.getegid?.();
  const owner = isOwner ? undefined : { uid, gid };
  const staged = new StagedFile(disk, path, { mode: mode & 0o777, owner });
  try {
    const pacer = new Pacer();
    const written = await rewriteDatabase(new BoltFile(source), outputTo(staged.file), { pacer });
    await proveDatabase(staged.file, written, pacer);
    staged.seal();
  } catch (error) {
    staged.discard();
    throw error;
  }
  return {
    temporary: staged.temporary,
    get isInPlace() {
      return lstatSync(staged.temporary, { throwIfNoEntry: false }) === undefined;
    },
    takePlace: () => staged.commit(),
    discard: () => staged.discard(),
  };
}
