/**
 * Hashes of a database as a whole. Maintenance.Hash leaves out what differs from member to member (etcd v3.6
 * server/storage/schema/bucket.go); what `snapshot status` prints does not.
 */
import { crc32c } from '../bytes/crc32c.ts';
import { latin1 } from '../bytes/order.ts';
import type { Pacer } from '../bytes/pacer.ts';
import type { Source } from '../bytes/source.ts';
import { BoltFile } from '../format/bolt/file.ts';
import type { Page } from '../format/bolt/page.ts';

const UNCOUNTED = ['consistent_index', 'term', 'storageVersion'];

/** Maintenance.Hash: CRC-32C over buckets by name, each with its keys and values. Throws `CorruptError`. */
export async function hashDatabase(source: Source, pacer: Pacer): Promise<number> {
  const bolt = new BoltFile(source);
  let hash = 0;
  for (const bucket of bolt.buckets()) {
    hash = crc32c(bucket.name, hash);
    const hashPage = bucket.label === 'meta' ? hashMeta : hashLeaf;
    const leaves = bolt.leaves(bucket);
    for (let leaf = leaves.next(); leaf; leaf = leaves.next()) {
      hash = hashPage(leaf, hash);
      if (pacer.isDue()) await pacer.rest();
    }
  }
  return hash;
}

/** Keys and values of a checked leaf lie one after another: one run of bytes. */
export function hashLeaf(leaf: Page, hash: number): number {
  if (leaf.count === 0) return hash;
  return crc32c(leaf.bytes, hash, leaf.keyStart(0), leaf.start + leaf.usedSize);
}

function hashMeta(leaf: Page, hash: number): number {
  let next = hash;
  for (let i = 0; i < leaf.count; i++)
    if (!UNCOUNTED.includes(latin1(leaf.key(i)))) next = crc32c(leaf.value(i), crc32c(leaf.key(i), next));
  return next;
}
