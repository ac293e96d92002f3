/**
 * Frames in a buffer that is used again and again: what a server appends with every batch. Entries and states are
 * encoded by hand, since that is the hot path of every write; the bytes are those of the field tables.
 */
import { crc32c } from '../../bytes/crc32c.ts';
import type { Input, Zeros } from '../proto/field.ts';
import { type Metadata, metadata as metadataMessage } from '../proto/memberpb.ts';
import type { HardState } from '../proto/raftpb.ts';
import { type Snapshot, snapshot as snapshotMessage } from '../proto/walpb.ts';
import { FRAME_WORD_SIZE, paddingOf, RECORD_TYPE } from './layout.ts';

/** An entry as it is appended. No `data` is that of a new leader's first. */
export interface EntryInput {
  /** See `ENTRY_TYPE`. */
  type: number;
  term: number;
  index: number;
  data?: Uint8Array | undefined;
}

/** Where a buffer stood, to go back to. */
export interface FrameMark {
  size: number;
  crc: number;
}

const TWO_32 = 2 ** 32;
const CAPACITY_START = 1 << 16;
/** A batch of giants does not keep its memory. */
const CAPACITY_KEPT = 8 << 20;
const TAG_1 = 0x08;
const TAG_2 = 0x10;
const TAG_3 = 0x18;
const TAG_DATA_3 = 0x1a;
const TAG_DATA_4 = 0x22;
/** Frame word, type, and a tag with the longest CRC and the longest length behind their tags. */
const RECORD_HEAD_MAX = FRAME_WORD_SIZE + 2 + 1 + 5 + 1 + 5;
/** Three tags with the longest varints, a tag with the longest length. */
const ENTRY_HEAD_MAX = 3 * 11 + 6;
const MASK_64 = 0xffff_ffff_ffff_ffffn;

export class FrameBuffer {
  readonly #zeros: Zeros;
  #bytes: Uint8Array;
  /** Bytes of whole frames. */
  size = 0;
  /** Of all data so far, also of what was in the buffer before. */
  crc: number;
  /** The vote changes hardly ever, and bigints are slow to encode. */
  #vote = 0n;
  #voteBytes: Uint8Array = Uint8Array.of(0);

  constructor({ zeros, crc, capacity = CAPACITY_START }: { zeros: Zeros; crc: number; capacity?: number }) {
    this.#zeros = zeros;
    this.crc = crc;
    this.#bytes = new Uint8Array(capacity);
  }

  /** A view of the frames; valid until the next change. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.size);
  }

  mark(): FrameMark {
    return { size: this.size, crc: this.crc };
  }

  /** Forgets what came after `mark`. */
  reset({ size, crc }: FrameMark): void {
    this.size = size;
    this.crc = crc;
  }

  clear(): void {
    this.size = 0;
    if (this.#bytes.length > CAPACITY_KEPT) this.#bytes = new Uint8Array(CAPACITY_START);
  }

  /** The record with which a segment begins. */
  crcRecord(): this {
    this.#reserve(RECORD_HEAD_MAX);
    const at = this.size + FRAME_WORD_SIZE;
    this.#bytes[at] = TAG_1;
    this.#bytes[at + 1] = RECORD_TYPE.crc;
    this.#bytes[at + 2] = TAG_2;
    this.#finish(this.#varint(at + 3, this.crc));
    return this;
  }

  metadata(value: Input<Metadata>): this {
    return this.#encoded(RECORD_TYPE.metadata, metadataMessage.encode(value, { zeros: this.#zeros }));
  }

  snapshot(value: Input<Snapshot>): this {
    return this.#encoded(RECORD_TYPE.snapshot, snapshotMessage.encode(value, { zeros: this.#zeros }));
  }

  /** 3.7 leaves out the type of a normal entry. */
  entry({ type, term, index, data }: EntryInput): this {
    this.#reserve(RECORD_HEAD_MAX + ENTRY_HEAD_MAX + (data?.length ?? 0) + 8);
    const start = this.size + RECORD_HEAD_MAX;
    let at = start;
    if (type !== 0 || this.#zeros === 'write') {
      this.#bytes[at++] = TAG_1;
      at = this.#varint(at, type);
    }
    this.#bytes[at++] = TAG_2;
    at = this.#varint(at, term);
    this.#bytes[at++] = TAG_3;
    at = this.#varint(at, index);
    if (data !== undefined) {
      this.#bytes[at++] = TAG_DATA_4;
      at = this.#varint(at, data.length);
      this.#bytes.set(data, at);
      at += data.length;
    }
    return this.#record(RECORD_TYPE.entry, start, at);
  }

  state({ term, vote, commit }: HardState): this {
    this.#reserve(RECORD_HEAD_MAX + ENTRY_HEAD_MAX);
    if (vote !== this.#vote) {
      this.#vote = vote;
      this.#voteBytes = varintOf(vote);
    }
    const start = this.size + RECORD_HEAD_MAX;
    let at = start;
    this.#bytes[at++] = TAG_1;
    at = this.#varint(at, term);
    this.#bytes[at++] = TAG_2;
    this.#bytes.set(this.#voteBytes, at);
    at += this.#voteBytes.length;
    this.#bytes[at++] = TAG_3;
    at = this.#varint(at, commit);
    return this.#record(RECORD_TYPE.state, start, at);
  }

  #encoded(type: number, data: Uint8Array): this {
    this.#reserve(RECORD_HEAD_MAX + data.length + 8);
    const start = this.size + RECORD_HEAD_MAX;
    this.#bytes.set(data, start);
    return this.#record(type, start, start + data.length);
  }

  /** Puts the head before data that lies behind the longest head, and moves the data up to it. */
  #record(type: number, start: number, end: number): this {
    this.crc = crc32c(this.#bytes, this.crc, start, end);
    let at = this.size + FRAME_WORD_SIZE;
    this.#bytes[at++] = TAG_1;
    this.#bytes[at++] = type;
    this.#bytes[at++] = TAG_2;
    at = this.#varint(at, this.crc);
    this.#bytes[at++] = TAG_DATA_3;
    at = this.#varint(at, end - start);
    this.#bytes.copyWithin(at, start, end);
    this.#finish(at + end - start);
    return this;
  }

  /** Writes the length word of the record that ends at `end`, and the padding behind it. */
  #finish(end: number): void {
    const bytes = this.#bytes;
    const length = end - this.size - FRAME_WORD_SIZE;
    const padding = paddingOf(length);
    let at = this.size;
    bytes[at++] = length;
    bytes[at++] = length >>> 8;
    bytes[at++] = length >>> 16;
    bytes[at++] = length >>> 24;
    bytes[at++] = 0;
    bytes[at++] = 0;
    bytes[at++] = 0;
    bytes[at] = padding === 0 ? 0 : 0x80 | padding;
    for (let i = 0; i < padding; i++) bytes[end + i] = 0;
    this.size = end + padding;
  }

  #varint(start: number, value: number): number {
    const bytes = this.#bytes;
    let at = start;
    let rest = value;
    while (rest >= TWO_32) {
      bytes[at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest >= 0x80) {
      bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    return at;
  }

  #reserve(count: number): void {
    const needed = this.size + count;
    if (needed <= this.#bytes.length) return;
    const bytes = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    bytes.set(this.view());
    this.#bytes = bytes;
  }
}

function varintOf(value: bigint): Uint8Array {
  if (value === 0n) return Uint8Array.of(0);
  const bytes: number[] = [];
  for (let rest = value & MASK_64; rest > 0n; rest >>= 7n) {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
  }
  return Uint8Array.from(bytes);
}
