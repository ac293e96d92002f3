/** A database file of etcd, opened to be read: a raw `db` or a backup with its trailer. Never written, never locked. */
import { fstatSync } from 'node:fs';
import { startSha256, type PendingDigest } from '../bytes/sha256.ts';
import { FileSource, readAt } from '../bytes/source.ts';
import { CorruptError, type FindingSink, ToolError } from '../errors.ts';
import { BoltFile } from '../format/bolt/file.ts';
import { readMetas } from '../format/bolt/meta.ts';
import { hasTrailer, TRAILER_SIZE } from '../format/backup/trailer.ts';

export interface Database {
  path: string;
  source: FileSource;
  bolt: BoltFile;
  /** Bytes before the trailer; the whole file when it has none. */
  contentSize: number;
  /** The SHA-256 that the trailer holds. */
  trailer: Uint8Array | undefined;
  close(): void;
}

/** Throws `ToolError` when the file cannot be read, or holds no bbolt database. */
export function openDatabase(path: string, report?: FindingSink): Database {
  const source = new FileSource(path);
  try {
    if (source.size === 0) {
      throw new ToolError('kind.empty', `${path} is empty`, {
        where: { file: path },
        hint: 'the backup was never written: look at the job that made it',
      });
    }
    const isSealed = hasTrailer(source.size);
    const contentSize = source.size - (isSealed ? TRAILER_SIZE : 0);
    return {
      path,
      source,
      bolt: new BoltFile(source, { report }),
      contentSize,
      trailer: isSealed ? readAt(source, contentSize, TRAILER_SIZE) : undefined,
      close: () => source.close(),
    };
  } catch (error) {
    source.close();
    throw error;
  }
}

/** Starts hashing what the trailer vouches for; undefined when there is no trailer. */
export function startDigest(database: Database): PendingDigest | undefined {
  if (!database.trailer) return undefined;
  return startSha256({ path: database.path, length: database.contentSize });
}

/** Whether a writer committed to the file since it was opened; what was read then proves nothing. */
export function hasMoved(database: Database): boolean {
  const { live } = database.bolt;
  // It grows before its first page beyond the old end is committed: the metas may be younger than the size.
  if (fstatSync(database.source.fd).size !== database.source.size) return true;
  try {
    const now = readMetas(database.source).live;
    return now.txid !== live.txid || now.root !== live.root;
  } catch (error) {
    // A disk that fails is no writer.
    if (error instanceof CorruptError) return true;
    throw error;
  }
}

/** Throws `backup.changing` when a writer committed to the file since it was opened. */
export function assertUnmoved(database: Database): void {
  if (!hasMoved(database)) return;
  throw new ToolError(
    'backup.changing',
    `${database.path} changed while it was read: an etcd is writing to it`,
    {
      where: { file: database.path },
      hint: 'take a sound copy from the running member: etcdctl snapshot save FILE',
    },
  );
}
