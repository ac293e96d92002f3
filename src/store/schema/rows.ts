/** The rows of the small buckets, read whole: everything of the schema but keys and leases. */
import { setU64be } from '../../bytes/writer.ts';
import { CorruptError } from '../../errors.ts';
import type { BoltFile } from '../../format/bolt/file.ts';
import type { Page } from '../../format/bolt/page.ts';
import type { BucketName } from './buckets.ts';

/** More rows than any cluster has users, roles or members; a bound against damage. */
const ROWS_MAX = 1_000_000;

export interface Row {
  key: Uint8Array;
  value: Uint8Array;
  pageId: number;
  /** Byte offset of the key in the file. */
  offset: number;
}

export class RowCollector {
  readonly rows: Row[] = [];

  leaf(page: Page): void {
    for (let i = 0; i < page.count && this.rows.length < ROWS_MAX; i++) {
      this.rows.push({
        key: page.key(i).slice(),
        value: page.value(i).slice(),
        pageId: page.id,
        offset: page.fileOffset(page.keyStart(i)),
      });
    }
  }
}

/** All rows of a small bucket; none when it does not exist. */
export function readRows(bolt: BoltFile, name: BucketName): Row[] {
  const bucket = bolt.bucket(name);
  if (!bucket) return [];
  const collector = new RowCollector();
  const leaves = bolt.leaves(bucket);
  for (let leaf = leaves.next(); leaf; leaf = leaves.next()) collector.leaf(leaf);
  return collector.rows;
}

/** A big-endian u64 as etcd stores indexes; above 2^53 it is damage. */
export function indexOf(value: Uint8Array, what: string): number {
  const number = value.length === 8 ? Buffer.from(value).readBigUInt64BE() : undefined;
  if (number === undefined || number > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new CorruptError(
      'schema.meta',
      `${what} is ${number ?? `${value.length} bytes long, expected 8`}`,
      {
        where: { field: what },
      },
    );
  }
  return Number(number);
}

/** The same, encoded. */
export function encodeIndex(index: number): Uint8Array {
  const bytes = new Uint8Array(8);
  setU64be(bytes, 0, index);
  return bytes;
}
