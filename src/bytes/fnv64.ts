/** FNV-1a 64, the checksum of a bbolt meta page. */

const OFFSET_BASIS = 0xcbf29ce484222325n;
const PRIME = 0x100000001b3n;

export function fnv64(bytes: Uint8Array, start = 0, end = bytes.length): bigint {
  let hash = OFFSET_BASIS;
  for (let i = start; i < end; i++) hash = BigInt.asUintN(64, (hash ^ BigInt(bytes[i]!)) * PRIME);
  return hash;
}
