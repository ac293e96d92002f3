/**
 * A bounds-checked reader over bytes in memory. Every failure carries the offset where it happened,
 * counted from the start of the file the bytes came from.
 */
import { CorruptError, type Where } from '../errors.ts';

const MAX_VARINT_BYTES = 10;
const TWO_32 = 2 ** 32;

/** Reads little-endian and protobuf values from `bytes[start, end)`. Throws `CorruptError`. */
export class Cursor {
  readonly bytes: Uint8Array;
  readonly end: number;
  /** Next byte to read, an index into `bytes`. */
  at: number;
  readonly #origin: Where;
  readonly #view: DataView;

  /** `origin.offset` is the file offset of `bytes[0]`. */
  constructor(bytes: Uint8Array, origin: Where = {}, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    this.#origin = origin;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.end - this.at;
  }

  where(at = this.at): Where {
    return { ...this.#origin, offset: (this.#origin.offset ?? 0) + at };
  }

  #need(count: number, what: string): number {
    const at = this.at;
    if (count < 0 || at + count > this.end) {
      throw new CorruptError(
        'bytes.truncated',
        `${what} needs ${count} bytes, but only ${this.end - at} are left`,
        { where: this.where(at) },
      );
    }
    this.at = at + count;
    return at;
  }

  u8(): number {
    return this.bytes[this.#need(1, 'a byte')]!;
  }

  u16(): number {
    return this.#view.getUint16(this.#need(2, 'a 16-bit number'), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#need(4, 'a 32-bit number'), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#need(8, 'a 64-bit number'), true);
  }

  u64be(): bigint {
    return this.#view.getBigUint64(this.#need(8, 'a 64-bit number'), false);
  }

  /** A view, not a copy. */
  take(count: number): Uint8Array {
    const at = this.#need(count, 'a field');
    return this.bytes.subarray(at, at + count);
  }

  skip(count: number): void {
    this.#need(count, 'a field');
  }

  /** An unsigned protobuf varint of up to 64 bits. */
  varint(): bigint {
    const from = this.at;
    let low = 0;
    let high = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.u8();
      const bits = byte & 0x7f;
      if (i < 4) low |= bits << (7 * i);
      else if (i === 4) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else high |= bits << (7 * i - 32);
      if (i === 9 && byte > 1) break;
      if (byte < 0x80) return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    }
    throw new CorruptError('bytes.varint', 'a varint is longer than 64 bits', { where: this.where(from) });
  }

  /** A varint that must fit a JavaScript number: lengths, counts, tags. */
  varintNumber(): number {
    const from = this.at;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value <= Number.MAX_SAFE_INTEGER) return value;
        break;
      }
      scale *= 128;
    }
    throw new CorruptError('bytes.range', 'a varint is larger than 2^53', { where: this.where(from) });
  }
}

/** A u64 read from disk as a number; above 2^53−1 it is damage. Pure, for hot paths. */
export function joinU64(low: number, high: number, where?: Where): number {
  if (high > 0x1fffff) {
    throw new CorruptError(
      'bytes.range',
      `the 64-bit value 0x${high.toString(16)}${low.toString(16).padStart(8, '0')} is larger than 2^53`,
      where ? { where } : {},
    );
  }
  return high * TWO_32 + low;
}

/** The number that `value` is; above 2^53−1 it is damage. */
export function safeNumber(value: bigint, what: string, where?: Where): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < 0n) {
    throw new CorruptError('bytes.range', `${what} is ${value}, outside 0…2^53`, where ? { where } : {});
  }
  return Number(value);
}
