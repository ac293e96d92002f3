/**
 * The 64-bit ids of members and clusters, and their text. etcd v3.6 server/etcdserver/api/membership
 * (member.go, cluster.go).
 */
import { createHash } from 'node:crypto';
import { ascending, compareBytes } from '../bytes/order.ts';

interface MemberSeed {
  peerUrls: readonly string[];
  /** The cluster's token. */
  token: string;
  /** When the member was added to a running cluster; absent for those it was started or restored with. */
  addedAtSeconds?: number;
}

/** The id a member gets. The order of its peer URLs does not matter. */
export function memberId({ peerUrls, token, addedAtSeconds }: MemberSeed): bigint {
  const urls = peerUrls.map((url) => Buffer.from(url)).sort(compareBytes);
  const time = addedAtSeconds === undefined ? '' : String(addedAtSeconds);
  return firstEight(Buffer.concat([...urls, Buffer.from(token + time)]));
}

/** The id of a cluster that starts with these members, in any order. */
export function clusterId(memberIds: readonly bigint[]): bigint {
  const bytes = Buffer.alloc(8 * memberIds.length);
  const sorted = [...memberIds].sort(ascending);
  for (const [i, id] of sorted.entries()) bytes.writeBigUInt64BE(id, 8 * i);
  return firstEight(bytes);
}

function firstEight(bytes: Uint8Array): bigint {
  return createHash('sha1').update(bytes).digest().readBigUInt64BE(0);
}

/** As etcd shows an id, and names rows of `members`: hex, not padded. */
export function formatId(id: bigint): string {
  return id.toString(16);
}

/** undefined when `text` is not what `formatId` gives. */
export function parseId(text: string): bigint | undefined {
  return /^(?:0|[1-9a-f][0-9a-f]{0,15})$/.test(text) ? BigInt(`0x${text}`) : undefined;
}
