/** The order of byte strings that etcd and bbolt use, and how they are shown. */

/** Negative, zero or positive as `a` sorts before, equal to or after `b`. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

/** What `toString('latin1')` calls; any bytes will do, and small ones need no memory of their own for it. */
const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice: (this: Uint8Array, start: number, end: number) => string;
};

/** The bytes as `latin1`, whose texts compare as the bytes do. */
export function latin1(bytes: Uint8Array, start = 0, end = bytes.length): string {
  return latin1Slice.call(bytes, start, end);
}

/** For `sort`: ids, or texts in `latin1`. */
export function ascending<T extends string | bigint>(a: T, b: T): number {
  return a < b ? -1 : Number(a > b);
}

/** Compares `a[aStart, aEnd)` with `b[bStart, bEnd)`; inlined by callers' loops, without allocation. */
export function compareRuns(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  const shared = Math.min(aEnd - aStart, bEnd - bStart);
  for (let i = 0; i < shared; i++) {
    const difference = a[aStart + i]! - b[bStart + i]!;
    if (difference !== 0) return difference;
  }
  return aEnd - aStart - (bEnd - bStart);
}

/** The first key after all keys that start with `prefix`; empty when there is none. */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  // `slice` of a Buffer would share its memory.
  const end = new Uint8Array(prefix);
  for (let i = end.length - 1; i >= 0; i--) {
    if (end[i]! < 0xff) {
      end[i]!++;
      return end.slice(0, i + 1);
    }
  }
  return new Uint8Array();
}

const LONGEST_SHOWN = 96;

/** Printable text in quotes, anything else as hex; long ones are cut. */
export function showBytes(bytes: Uint8Array): string {
  const shown = bytes.subarray(0, LONGEST_SHOWN);
  const rest = bytes.length > LONGEST_SHOWN ? `… (${bytes.length} bytes)` : '';
  for (const byte of shown) {
    if (byte < 0x20 || byte > 0x7e) return `0x${Buffer.from(shown).toString('hex')}${rest}`;
  }
  return `${JSON.stringify(Buffer.from(shown).toString('latin1'))}${rest}`;
}
