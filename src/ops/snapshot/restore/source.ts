/** The snapshot that is restored: its SHA-256, and what its small buckets say. */
import { fstatSync, statSync } from 'node:fs';
import { type PendingDigest, startSha256 } from '../../../bytes/sha256.ts';
import { FileSource, type Source } from '../../../bytes/source.ts';
import { CorruptError, ToolError, UnsupportedError } from '../../../errors.ts';
import { type Backup, checkDigest, readBackup, TRAILER_SIZE } from '../../../format/backup/trailer.ts';
import { BoltFile, type Bucket } from '../../../format/bolt/file.ts';
import { DEPTH_MAX } from '../../../format/bolt/layout.ts';
import { Page } from '../../../format/bolt/page.ts';
import type { Database } from '../../../store/database.ts';
import { compactRevisionOf, readMarks } from '../../../store/mvcc/marks.ts';
import { RecordView } from '../../../store/mvcc/record.ts';
import { BUCKETS, type Version } from '../../../store/schema/buckets.ts';
import { readRows, type Row } from '../../../store/schema/rows.ts';
import { decodeSchema, schemaVersionOf, type SchemaState } from '../../../store/schema/state.ts';

/** What has to be known of a snapshot before it is copied. */
export interface SnapshotFacts {
  /** Of the small buckets, by name. */
  rows: ReadonlyMap<string, Row[]>;
  state: SchemaState;
  /** Of its schema. */
  version: Version;
  /** Of the last record, or of a compaction beyond it: what a server would go on from. */
  revision: number;
}

/** Hashes a file while it is read otherwise, and says in the end whether its trailer is right. */
export class DigestCheck {
  readonly #source: FileSource;
  readonly #backup: Backup;
  readonly #pending: PendingDigest | undefined;

  /** Throws `io.…`, `kind.empty`, or `backup.digest-missing` unless `isSkipped`. */
  constructor(path: string, options: { isSkipped: boolean }) {
    this.#source = new FileSource(path);
    try {
      assertNotEmpty(this.#source);
      this.#backup = readBackup(this.#source);
      if (!this.#backup.digest && !options.isSkipped) throw missingDigest(path);
      const isHashed = this.#backup.digest !== undefined && !options.isSkipped;
      this.#pending = isHashed ? startSha256({ path, length: this.#backup.databaseSize }) : undefined;
    } catch (error) {
      this.#source.close();
      throw error;
    }
  }

  get kind(): 'good' | 'skipped' | 'absent' {
    if (!this.#backup.digest) return 'absent';
    return this.#pending ? 'good' : 'skipped';
  }

  /** Waits for the digest. Throws `backup.digest` when the content does not match it, or `interrupted`. */
  async assertGood(signal: AbortSignal | undefined): Promise<void> {
    if (!this.#pending) return;
    const computed = await Promise.race([this.#pending.result, ...(signal ? [untilAborted(signal)] : [])]);
    checkDigest(this.#source, this.#backup, computed);
  }

  /** Throws `backup.changing` when the file was written to or replaced since. */
  assertUnmoved(): void {
    const { name, fd, modifiedNs, size } = this.#source;
    const now = statSync(name, { bigint: true, throwIfNoEntry: false });
    if (
      now &&
      now.mtimeNs === modifiedNs &&
      Number(now.size) === size &&
      now.ino === fstatSync(fd, { bigint: true }).ino
    )
      return;
    throw new ToolError('backup.changing', `${name} changed while it was read`, {
      where: { file: name },
      hint: 'copy it to where nobody writes to it; of a running member take one with etcdctl snapshot save FILE',
    });
  }

  close(): void {
    this.#pending?.cancel();
    this.#source.close();
  }
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(new ToolError('interrupted', 'interrupted; nothing was changed'));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

function assertNotEmpty({ name, size }: Source): void {
  if (size >= TRAILER_SIZE) return;
  throw new ToolError('kind.empty', `${name} has ${size} bytes: it is no snapshot`, {
    where: { file: name },
    hint: 'the backup was never written: look at the job that made it',
    upstream: `seek ${name}: invalid argument`,
  });
}

function missingDigest(path: string): ToolError {
  return new ToolError('backup.digest-missing', `${path} does not end with a SHA-256 digest`, {
    where: { file: path },
    upstream: 'snapshot missing hash but --skip-hash-check=false',
    hint: 'a copy of member/snap/db has none: add --skip-hash-check; a backup without it was cut off',
  });
}

/**
 * Reads the small buckets, strictly unless `isQuick`. Throws `CorruptError`, or `UnsupportedError` for a schema
 * this build does not know.
 */
export function readFacts(database: Database, options: { isQuick: boolean }): SnapshotFacts {
  // Another view of the same file: pages that are read twice through one view count as used twice.
  const bolt = new BoltFile(database.source);
  for (const label of ['key', 'meta']) {
    if (bolt.bucket(label)) continue;
    throw new CorruptError(
      'schema.bucket',
      `bucket ${label} is missing: ${database.path} is no database of etcd`,
      {
        where: { file: database.path },
      },
    );
  }
  const rows = new Map<string, Row[]>();
  for (const bucket of BUCKETS) {
    if (bucket !== 'key' && bucket !== 'lease') rows.set(bucket, readRows(bolt, bucket));
  }
  const lenient = options.isQuick ? { report: () => {} } : {};
  const state = decodeSchema(rows, { file: database.path, ...lenient });
  const version = schemaVersionOf(state);
  if (!version) {
    throw new UnsupportedError(
      'schema.version',
      `storage version ${state.storageVersion} is not one this build knows`,
      {
        where: { file: database.path },
      },
    );
  }
  return { rows, state, version, revision: newestRevision(bolt) };
}

/**
 * The revision a server would go on from. Differs from etcdutl, which looks at the records alone: after a
 * compaction that dropped the last of them a bump would start too low.
 */
export function newestRevision(bolt: BoltFile): number {
  const bucket = bolt.bucket('key');
  const key = bucket && lastKey(bolt, bucket);
  const compacted = compactRevisionOf(readMarks(bolt));
  if (!key) return Math.max(0, compacted);
  const record = new RecordView();
  const problem = record.decodeRevision(key, 0, key.length);
  if (problem)
    throw new CorruptError('mvcc.revision-key', problem, {
      where: { file: bolt.source.name, field: 'bucket key' },
    });
  return Math.max(record.main, compacted);
}

function lastKey(bolt: BoltFile, bucket: Bucket): Uint8Array | undefined {
  const leaf = bucket.inline ?? lastLeaf(bolt, bucket.root, 0);
  return leaf && leaf.count > 0 ? leaf.key(leaf.count - 1) : undefined;
}

/** The last leaf that holds anything. */
function lastLeaf(bolt: BoltFile, id: number, depth: number): Page | undefined {
  const page = new Page();
  bolt.pages.load(id, page);
  if (page.isLeaf) return page.count > 0 ? page.detach() : undefined;
  if (!page.isBranch || depth > DEPTH_MAX) {
    throw new CorruptError('bolt.page.flags', `page ${id} is not a usable branch or leaf`, {
      where: { file: bolt.source.name, offset: page.offset, unit: `page ${id}` },
    });
  }
  const branch = page.detach();
  for (let i = branch.count - 1; i >= 0; i--) {
    const leaf = lastLeaf(bolt, branch.childId(i), depth + 1);
    if (leaf) return leaf;
  }
  return undefined;
}
