/**
 * Hashes of a database file that nobody writes to, in slices that let others run. etcd v3.6
 * server/storage/backend/backend.go and server/storage/schema/schema.go.
 */
import { crc32c } from '../bytes/crc32c.ts';
import { latin1 } from '../bytes/order.ts';
import type { Pacer } from '../bytes/pacer.ts';
import type { Source } from '../bytes/source.ts';
import { CorruptError } from '../errors.ts';
import { BoltFile, type Leaves } from '../format/bolt/file.ts';
import type { Page } from '../format/bolt/page.ts';
import { hashAtRevision, type RevisionHash } from '../store/mvcc/hash.ts';

/** Fields of `meta` that differ between members with the same data. */
const OWN_FIELDS = ['consistent_index', 'term', 'storageVersion'];

/** CRC-32C over every bucket's name and rows: what members with the same history have in common. */
export async function hashContent(source: Source, pacer: Pacer): Promise<number> {
  const bolt = openFor(source);
  let crc = 0;
  for (const bucket of bolt.buckets()) {
    crc = crc32c(bucket.name, crc);
    const isMeta = bucket.label === 'meta';
    const leaves = bolt.leaves(bucket);
    for (let leaf = leaves.next(); leaf; leaf = leaves.next()) {
      crc = isMeta ? metaLeaf(leaf, crc) : wholeLeaf(leaf, crc);
      if (pacer.isDue()) await pacer.rest();
    }
  }
  return crc;
}

/** Rows that lie one behind the other are hashed together, as far as they do. */
function wholeLeaf(leaf: Page, before: number): number {
  let crc = before;
  let start = 0;
  let end = 0;
  for (let i = 0; i < leaf.count; i++) {
    const rowStart = leaf.keyStart(i);
    if (rowStart !== end) {
      if (end > start) crc = crc32c(leaf.bytes, crc, start, end);
      start = rowStart;
    }
    end = rowStart + leaf.keySize(i) + leaf.valueSize(i);
  }
  return end > start ? crc32c(leaf.bytes, crc, start, end) : crc;
}

function metaLeaf(leaf: Page, before: number): number {
  let crc = before;
  for (let i = 0; i < leaf.count; i++) {
    if (OWN_FIELDS.includes(latin1(leaf.key(i)))) continue;
    crc = crc32c(leaf.value(i), crc32c(leaf.key(i), crc));
  }
  return crc;
}

/** HashKV: what members compare at one revision; 0 asks for the newest. */
export async function hashKeys(source: Source, revision: number, pacer: Pacer): Promise<RevisionHash> {
  const openLeaves = (): Leaves => {
    const pass = openFor(source);
    const bucket = pass.bucket('key');
    if (!bucket) {
      throw new CorruptError('schema.bucket', 'the database has no bucket "key"', {
        where: { file: source.name },
      });
    }
    return pass.leaves(bucket, { direction: 'backward' });
  };
  return hashAtRevision(openLeaves, openFor(source), { revision, pacer });
}

function openFor(source: Source): BoltFile {
  return new BoltFile(source, { isReread: true });
}
