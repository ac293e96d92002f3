/**
 * What `etcdctl snapshot save` writes: a database, then the SHA-256 of it. Whether the digest is there follows
 * from the size alone, since 512 divides every page size. etcd v3.6 client/v3/snapshot, etcdutl/snapshot.
 */
import { createHash } from 'node:crypto';
import { CorruptError, ToolError } from '../../errors.ts';
import { readAt, type Source } from '../../bytes/source.ts';

/** Bytes of the digest. */
export const TRAILER_SIZE = 32;

const ALIGNMENT = 512;
const CHUNK_SIZE = 4 << 20;

/** A backup file in its two parts. */
export interface Backup {
  /** Bytes of the database, from the start. */
  databaseSize: number;
  /** As stored; undefined in a bare database file. */
  digest?: Uint8Array;
}

/** Whether a file of `size` bytes ends with a digest. */
export function hasTrailer(size: number): boolean {
  return size % ALIGNMENT === TRAILER_SIZE;
}

/** Splits a file; reads only the digest. */
export function readBackup(source: Source): Backup {
  if (!hasTrailer(source.size)) return { databaseSize: source.size };
  const databaseSize = source.size - TRAILER_SIZE;
  return { databaseSize, digest: readAt(source, databaseSize, TRAILER_SIZE) };
}

/** SHA-256 of the first bytes of a file, in steps: `done` after each `step` says how far it got. */
export class Digester {
  readonly #source: Source;
  readonly #size: number;
  readonly #hash = createHash('sha256');
  readonly #buffer: Uint8Array;
  done = 0;

  constructor(source: Source, size: number) {
    this.#source = source;
    this.#size = size;
    this.#buffer = new Uint8Array(Math.min(CHUNK_SIZE, size));
  }

  /** Takes in a few megabytes more; false when there are none left. */
  step(): boolean {
    const chunk = this.#buffer.subarray(0, Math.min(this.#buffer.length, this.#size - this.done));
    if (chunk.length === 0) return false;
    this.#source.readInto(this.done, chunk);
    this.#hash.update(chunk);
    this.done += chunk.length;
    return true;
  }

  /** Once, at the end. */
  digest(): Uint8Array {
    return this.#hash.digest();
  }
}

/** SHA-256 of the first `size` bytes, in one go; for long ones use a {@link Digester} and let others run. */
export function digestOf(source: Source, size: number): Uint8Array {
  const digester = new Digester(source, size);
  while (digester.step());
  return digester.digest();
}

/** Throws `backup.digest-missing` or `backup.digest`, in upstream's words too. */
export function checkDigest(source: Source, { digest }: Backup, computed: Uint8Array): void {
  const where = { file: source.name };
  if (!digest) {
    throw new ToolError('backup.digest-missing', 'the file does not end with a SHA-256 digest', {
      where,
      upstream: 'snapshot missing hash but --skip-hash-check=false',
    });
  }
  if (Buffer.compare(digest, computed) === 0) return;
  const [stored, found] = [Buffer.from(digest).toString('hex'), Buffer.from(computed).toString('hex')];
  throw new CorruptError(
    'backup.digest',
    `the file ends with SHA-256 ${stored}, but its content hashes to ${found}`,
    {
      where: { ...where, offset: source.size - TRAILER_SIZE },
      upstream: `expected sha256 [${digest.join(' ')}], got [${computed.join(' ')}]`,
    },
  );
}
