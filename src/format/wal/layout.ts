/**
 * The frame around every record of a segment, and the kinds of records; offset tables in README.md. A frame
 * starts 8-aligned, so its length word never straddles a disk sector.
 * Source: etcd v3.6 server/storage/wal/encoder.go, decoder.go.
 */

/** Bytes of the length word: bits 0–55 length, 56–58 padding, 63 set when there is padding. */
export const FRAME_WORD_SIZE = 8;

/** A disk writes whole sectors; one that is all zero inside a frame was never written. */
export const SECTOR_SIZE = 512;

/** How much etcd preallocates of a segment, and after how much it starts the next one. */
export const SEGMENT_SIZE = 64_000_000;

/** Larger than any record etcd can be brought to write; it bounds what a hostile length can allocate. */
export const RECORD_SIZE_MAX = 2 ** 30;

export const RECORD_TYPE = { metadata: 1, entry: 2, state: 3, crc: 4, snapshot: 5 } as const;

export interface Frame {
  /** Bytes of the record. */
  length: number;
  /** Zero bytes after it. */
  padding: number;
}

const TWO_32 = 2 ** 32;
const HAS_PADDING = 0x80;

/** The zero bytes that follow a record, so that the next frame is aligned. */
export function paddingOf(length: number): number {
  return (8 - (length % 8)) % 8;
}

/** Reads a length word from its two halves; undefined when no writer can have written it. */
export function decodeFrame(low: number, high: number): Frame | undefined {
  const length = (high & 0x00ffffff) * TWO_32 + low;
  const mark = high >>> 24;
  const padding = mark & 7;
  const expected = padding === 0 ? 0 : HAS_PADDING | padding;
  if (mark !== expected || padding !== paddingOf(length)) return undefined;
  return { length, padding };
}

/** The halves of the length word. */
export function encodeFrame(length: number): { low: number; high: number } {
  const padding = paddingOf(length);
  const mark = padding === 0 ? 0 : HAS_PADDING | padding;
  return { low: length >>> 0, high: ((mark << 24) | Math.floor(length / TWO_32)) >>> 0 };
}
