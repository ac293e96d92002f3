/** A growable byte buffer. Lengths that are known only afterwards are written with `patchU32`. */

const TWO_32 = 2 ** 32;
const SAFE_MAX = BigInt(Number.MAX_SAFE_INTEGER);

export class Writer {
  #bytes: Uint8Array;
  #view: DataView;
  /** Bytes written so far. */
  size = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Bytes it holds without growing. */
  get capacity(): number {
    return this.#bytes.length;
  }

  /** Makes room for `count` bytes and gives where they go. Call it before the buffer is named: it may replace it. */
  #grow(count: number): number {
    const at = this.size;
    if (at + count > this.#bytes.length) {
      const bytes = new Uint8Array(Math.max(at + count, this.#bytes.length * 2));
      bytes.set(this.#bytes.subarray(0, at));
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer);
    }
    this.size = at + count;
    return at;
  }

  u8(value: number): this {
    const at = this.#grow(1);
    this.#bytes[at] = value;
    return this;
  }

  u16(value: number): this {
    const at = this.#grow(2);
    this.#view.setUint16(at, value, true);
    return this;
  }

  u32(value: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  u64(value: bigint | number): this {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, BigInt(value), true);
    return this;
  }

  u64be(value: bigint | number): this {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, BigInt(value), false);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#grow(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  zeros(count: number): this {
    const at = this.#grow(count);
    this.#bytes.fill(0, at, at + count);
    return this;
  }

  /** An unsigned varint; a negative bigint is written as its 64-bit two's complement. */
  varint(value: bigint | number): this {
    if (typeof value === 'bigint') return this.#varint64(BigInt.asUintN(64, value));
    let rest = value;
    while (rest >= 0x80) {
      this.u8((rest >= TWO_32 ? rest % 128 : rest & 0x7f) | 0x80);
      rest = Math.floor(rest / 128);
    }
    return this.u8(rest);
  }

  /** In two halves: arithmetic on a bigint costs an allocation each time. */
  #varint64(value: bigint): this {
    if (value <= SAFE_MAX) return this.varint(Number(value));
    let low = Number(value & 0xffff_ffffn);
    let high = Number(value >> 32n);
    for (; high > 0; low = ((low >>> 7) | (high << 25)) >>> 0, high >>>= 7) this.u8((low & 0x7f) | 0x80);
    return this.varint(low);
  }

  /** Writes the length of what was written from `start` on as a varint before it. */
  prefixLength(start: number): this {
    const length = this.size - start;
    let prefixSize = 1;
    for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 128)) prefixSize++;
    const end = this.size;
    this.#grow(prefixSize);
    this.#bytes.copyWithin(start + prefixSize, start, end);
    this.size = start;
    this.varint(length);
    this.size = end + prefixSize;
    return this;
  }

  patchU32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  /** A view of what was written; it is valid until the next write. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.size);
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.size);
  }

  clear(): void {
    this.size = 0;
  }
}

/** Writes a whole number of up to 2^53 as big-endian u64; allocates nothing, as a view for it would. */
export function setU64be(bytes: Uint8Array, at: number, value: number): void {
  let high = Math.floor(value / TWO_32);
  let low = value >>> 0;
  for (let i = 3; i >= 0; i--) {
    bytes[at + i] = high;
    bytes[at + 4 + i] = low;
    high >>>= 8;
    low >>>= 8;
  }
}
