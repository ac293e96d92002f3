/**
 * The one pipeline behind every rewrite: buckets and keys of a database in order → edits → a new, packed file.
 * Constant memory; what is read is checked on the way, and the result carries a hash to read it back against.
 */
import { compareRuns } from '../bytes/order.ts';
import { crc32c } from '../bytes/crc32c.ts';
import type { Pacer } from '../bytes/pacer.ts';
import type { Source } from '../bytes/source.ts';
import { CorruptError, UnsupportedError } from '../errors.ts';
import { type BulkOutput, type BulkResult, BulkWriter } from '../format/bolt/bulk.ts';
import { BoltFile, type Bucket } from '../format/bolt/file.ts';
import { ELEMENT_BUCKET } from '../format/bolt/layout.ts';
import type { Page } from '../format/bolt/page.ts';

/** What to change in one bucket while it is copied. */
export interface BucketEdit {
  /** Drop the rows that are there. */
  clear?: boolean;
  /** Rows to set, or with undefined to remove, by key (`latin1`). */
  rows?: Map<string, Uint8Array | undefined>;
}

/** Edits by bucket name; a bucket that does not exist is created. */
export type Edits = Map<string, BucketEdit>;

/** Looks at pages as they pass: the history check, a key count. */
export interface PageObserver {
  leaf(page: Page): void;
  lost(): void;
}

export interface RewriteOptions {
  edits?: Edits;
  /** Observers of unedited pages, by bucket name. */
  observers?: Map<string, PageObserver>;
  pacer: Pacer;
  /** Transaction id of the result's first meta. */
  txid?: bigint;
}

export interface RewriteResult extends BulkResult {
  /** CRC-32C over names, keys and values of the result: what `snapshot status` prints of it. */
  hash: number;
  recordCount: number;
}

/** Copies `bolt` into `output`. Damage goes to the sink that `bolt` was opened with, or is thrown. */
export async function rewriteDatabase(
  bolt: BoltFile,
  output: BulkOutput,
  options: RewriteOptions,
): Promise<RewriteResult> {
  const { edits, observers, pacer } = options;
  const writer = new BulkWriter(output, { pageSize: bolt.live.pageSize });
  const copy = new Copy(writer);
  let pagesDone = 0;

  for (const { bucket, name, label } of unionOfBuckets(bolt, edits)) {
    copy.begin(name, bucket?.sequence ?? 0n);
    const pending = sortedRows(edits?.get(label)?.rows);
    const isCleared = edits?.get(label)?.clear ?? false;
    const observer = observers?.get(label);
    const leaves = bucket && bolt.leaves(bucket);
    for (let leaf = leaves?.next(); leaf; leaf = leaves?.next()) {
      assertPlain(leaf, label);
      observer?.leaf(leaf);
      if (!isCleared) copy.leaf(leaf, pending);
      pagesDone += leaf.overflow + 1;
      if (pacer.isDue()) await pacer.rest(pagesDone * bolt.live.pageSize, bolt.sizeBytes);
    }
    copy.end(pending);
  }
  const result = writer.finish({ txid: options.txid ?? bolt.live.txid });
  return { ...result, hash: copy.hash, recordCount: copy.recordCount };
}

interface NamedBucket {
  bucket: Bucket | undefined;
  name: Uint8Array;
  label: string;
}

function unionOfBuckets(bolt: BoltFile, edits: Edits | undefined): NamedBucket[] {
  const all: NamedBucket[] = bolt
    .buckets()
    .map((bucket) => ({ bucket, name: bucket.name, label: bucket.label }));
  for (const label of edits?.keys() ?? []) {
    if (!bolt.bucket(label)) all.push({ bucket: undefined, name: Buffer.from(label), label });
  }
  return all.sort((a, b) => Buffer.compare(a.name, b.name));
}

interface Row {
  key: Uint8Array;
  value: Uint8Array | undefined;
}

/** Ascending; taken from the front with `shift`. */
function sortedRows(rows: Map<string, Uint8Array | undefined> | undefined): Row[] {
  return [...(rows ?? [])]
    .map(([key, value]) => ({ key: Buffer.from(key, 'latin1'), value }))
    .sort((a, b) => Buffer.compare(a.key, b.key));
}

function assertPlain(leaf: Page, label: string): void {
  for (let i = 0; i < leaf.count; i++) {
    if (leaf.elementFlags(i) !== ELEMENT_BUCKET) continue;
    throw new UnsupportedError(
      'bolt.bucket',
      `bucket ${label} holds a bucket of its own, which etcd never makes`,
      {
        where: { unit: `page ${leaf.id}`, offset: leaf.offset },
      },
    );
  }
}

/** Writes pairs and hashes them in the order in which they are written. */
class Copy {
  hash = 0;
  recordCount = 0;
  readonly #writer: BulkWriter;

  constructor(writer: BulkWriter) {
    this.#writer = writer;
  }

  begin(name: Uint8Array, sequence: bigint): void {
    this.#writer.beginBucket(name, sequence);
    this.hash = crc32c(name, this.hash);
  }

  end(pending: Row[]): void {
    for (const row of pending) this.#row(row);
    this.#writer.endBucket();
  }

  leaf(leaf: Page, pending: Row[]): void {
    if (leaf.count === 0) return;
    if (pending.length === 0) {
      this.#run(leaf, 0, leaf.count);
      return;
    }
    let from = 0;
    for (let i = 0; i < leaf.count && pending.length > 0; i++) {
      const start = leaf.keyStart(i);
      const end = start + leaf.keySize(i);
      for (let row = pending[0]; row; row = pending[0]) {
        const order = compareRuns(row.key, 0, row.key.length, leaf.bytes, start, end);
        if (order > 0) break;
        this.#run(leaf, from, i);
        from = order === 0 ? i + 1 : i;
        this.#row(row);
        pending.shift();
        if (order === 0) break;
      }
    }
    this.#run(leaf, from, leaf.count);
  }

  /** Elements [from, to) of a checked leaf: one run of bytes. */
  #run(leaf: Page, from: number, to: number): void {
    if (from >= to) return;
    const { bytes } = leaf;
    let end = 0;
    for (let i = from; i < to; i++) {
      const start = leaf.keyStart(i);
      const keySize = leaf.keySize(i);
      const valueSize = leaf.valueSize(i);
      this.#writer.add(bytes, start, keySize, valueSize);
      end = start + keySize + valueSize;
    }
    this.hash = crc32c(bytes, this.hash, leaf.keyStart(from), end);
    this.recordCount += to - from;
  }

  #row({ key, value }: Row): void {
    if (value === undefined) return;
    this.#writer.addPair(key, value);
    this.hash = crc32c(value, crc32c(key, this.hash));
    this.recordCount++;
  }
}

/** Reads a database in full, strictly. Gives its hash and record count. Throws on any damage. */
export async function readBack(source: Source, pacer: Pacer): Promise<{ hash: number; recordCount: number }> {
  const bolt = new BoltFile(source);
  let hash = 0;
  let recordCount = 0;
  for (const bucket of bolt.buckets()) {
    hash = crc32c(bucket.name, hash);
    const leaves = bolt.leaves(bucket);
    for (let leaf = leaves.next(); leaf; leaf = leaves.next()) {
      if (leaf.count > 0) hash = crc32c(leaf.bytes, hash, leaf.keyStart(0), leaf.start + leaf.usedSize);
      recordCount += leaf.count;
      if (pacer.isDue()) await pacer.rest(leaf.offset, bolt.sizeBytes);
    }
  }
  return { hash, recordCount };
}

/** Throws unless the file reads back as it was written. */
export async function proveEqual(source: Source, written: RewriteResult, pacer: Pacer): Promise<void> {
  const read = await readBack(source, pacer);
  if (read.hash === written.hash && read.recordCount === written.recordCount) return;
  throw new CorruptError(
    'defrag.failed',
    `${source.name} reads back as ${read.recordCount} records with hash ${read.hash.toString(16)}, but ${written.recordCount} with ${written.hash.toString(16)} were written`,
    { where: { file: source.name }, hint: 'the disk or the memory of this machine is not sound' },
  );
}
