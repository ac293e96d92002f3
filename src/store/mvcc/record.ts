/**
 * One record of bucket `key`, decoded in place: the revision that is its key, and the mvccpb.KeyValue that is its
 * value. The hot loop of every pass; it allocates nothing. Format: etcd v3.6 server/storage/mvcc/revision.go and
 * api/mvccpb/kv.proto.
 */
import { setU64be } from '../../bytes/writer.ts';

export const REVISION_SIZE = 17;
/** A tombstone's key has one byte more, `t`. */
export const TOMBSTONE_SIZE = 18;
const SEPARATOR_AT = 8;
const SEPARATOR = 0x5f; // _
const TOMBSTONE_MARK = 0x74; // t
const TWO_32 = 2 ** 32;
/** Revisions are int64 that never exceed 2^53 in a real store; above, the high word gives it away. */
const HIGH_WORD_MAX = 0x1fffff;

const FIELD_KEY = 1;
const FIELD_VALUE = 5;
const FIELD_LEASE = 6;
const WIRE_VARINT = 0;
const WIRE_BYTES = 2;

export class RecordView {
  main = 0;
  sub = 0;
  isTombstone = false;

  /** User key: `bytes[keyStart, keyEnd)`. */
  keyStart = 0;
  keyEnd = 0;
  createRevision = 0;
  modRevision = 0;
  version = 0;
  valueStart = 0;
  valueEnd = 0;
  leaseLow = 0;
  leaseHigh = 0;

  /** Whether the value is empty: the record that `--bump-revision` adds. */
  isEmpty = false;

  #at = 0;
  #low = 0;
  #high = 0;

  get lease(): bigint {
    return (BigInt(this.leaseHigh) << 32n) | BigInt(this.leaseLow);
  }

  get hasLease(): boolean {
    return this.leaseLow !== 0 || this.leaseHigh !== 0;
  }

  /** Reads a revision key. Gives what is wrong with it, or undefined. */
  decodeRevision(bytes: Uint8Array, start: number, size: number): string | undefined {
    if (size !== REVISION_SIZE && size !== TOMBSTONE_SIZE)
      return `a revision key has ${size} bytes, expected 17 or 18`;
    if (bytes[start + SEPARATOR_AT] !== SEPARATOR)
      return 'a revision key has no "_" between main and sub revision';
    this.isTombstone = size === TOMBSTONE_SIZE;
    if (this.isTombstone && bytes[start + REVISION_SIZE] !== TOMBSTONE_MARK)
      return 'the last byte of a revision key is not "t"';
    const mainHigh = u32be(bytes, start);
    const subHigh = u32be(bytes, start + SEPARATOR_AT + 1);
    if (mainHigh > HIGH_WORD_MAX) return 'a revision is negative or larger than 2^53';
    if (subHigh !== 0)
      return 'a sub revision is negative or larger than 2^32, more changes than a transaction makes';
    this.main = mainHigh * TWO_32 + u32be(bytes, start + 4);
    this.sub = u32be(bytes, start + SEPARATOR_AT + 5);
    return undefined;
  }

  /**
   * Reads a KeyValue as every etcd writes it: ascending fields, no zeros, none unknown. Gives what is wrong with
   * it, or undefined.
   */
  decodeValue(bytes: Uint8Array, start: number, end: number): string | undefined {
    this.keyStart = this.keyEnd = this.valueStart = this.valueEnd = start;
    this.createRevision = this.modRevision = this.version = this.leaseLow = this.leaseHigh = 0;
    this.isEmpty = start === end;
    this.#at = start;
    let previous = 0;
    while (this.#at < end) {
      const tag = bytes[this.#at++]!;
      const field = tag >>> 3;
      const wire = tag & 7;
      if (field <= previous) return `field ${field} of the value stands after field ${previous}`;
      previous = field;
      if (field === FIELD_KEY || field === FIELD_VALUE) {
        if (wire !== WIRE_BYTES) return `field ${field} of the value has wire type ${wire}`;
        const size = this.#varint(bytes, end);
        if (Number.isNaN(size)) return `the length of field ${field} of the value is malformed`;
        if (size === 0 || this.#at + size > end)
          return `field ${field} of the value claims ${size} of ${end - this.#at} bytes`;
        if (field === FIELD_KEY) {
          this.keyStart = this.#at;
          this.keyEnd = this.#at + size;
        } else {
          this.valueStart = this.#at;
          this.valueEnd = this.#at + size;
        }
        this.#at += size;
      } else if (wire === WIRE_VARINT && field <= FIELD_LEASE) {
        const problem = this.#number(bytes, end, field);
        if (problem) return problem;
      } else {
        return `the value has an unknown field ${field} of wire type ${wire}`;
      }
    }
    return undefined;
  }

  #number(bytes: Uint8Array, end: number, field: number): string | undefined {
    const value = this.#varint(bytes, end);
    if (Number.isNaN(value)) return `field ${field} of the value is cut off or longer than 64 bits`;
    if (field === FIELD_LEASE) {
      this.leaseLow = this.#low;
      this.leaseHigh = this.#high;
      return this.hasLease ? undefined : 'the lease of the value is written although it is 0';
    }
    if (!(value > 0 && value <= Number.MAX_SAFE_INTEGER)) return `field ${field} of the value is ${value}`;
    if (field === 2) this.createRevision = value;
    else if (field === 3) this.modRevision = value;
    else this.version = value;
    return undefined;
  }

  /** A varint of up to 64 bits as a number, exact up to 2^53, its words in `#low` and `#high`; NaN when malformed. */
  #varint(bytes: Uint8Array, end: number): number {
    let low = 0;
    let high = 0;
    for (let i = 0; i < 10; i++) {
      if (this.#at >= end) return Number.NaN;
      const byte = bytes[this.#at++]!;
      const bits = byte & 0x7f;
      if (i < 4) low |= bits << (7 * i);
      else if (i === 4) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (7 * i - 32);
      if (byte < 0x80) {
        if (i === 9 && byte > 1) return Number.NaN;
        if (i > 0 && byte === 0) return Number.NaN;
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return this.#high * TWO_32 + this.#low;
      }
    }
    return Number.NaN;
  }
}

function u32be(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** The key of a revision as etcd writes it. */
export function encodeRevision(main: number, sub: number, isTombstone = false): Uint8Array {
  const bytes = new Uint8Array(isTombstone ? TOMBSTONE_SIZE : REVISION_SIZE);
  setU64be(bytes, 0, main);
  bytes[SEPARATOR_AT] = SEPARATOR;
  setU64be(bytes, SEPARATOR_AT + 1, sub);
  if (isTombstone) bytes[REVISION_SIZE] = TOMBSTONE_MARK;
  return bytes;
}
