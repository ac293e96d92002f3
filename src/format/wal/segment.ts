/**
 * One segment, record by record, through a window of bounded size. It checks frames and the running CRC,
 * reports what does not fit, and goes on behind a bad record where its frame still says how far to go. What
 * the records mean is `log.ts`'s business.
 */
import type { ErrorCode } from '../../errors.ts';
import { CorruptError } from '../../errors.ts';
import { crc32c } from '../../bytes/crc32c.ts';
import type { Source } from '../../bytes/source.ts';
import { record as recordMessage } from '../proto/walpb.ts';
import { decodeFrame, FRAME_WORD_SIZE, RECORD_SIZE_MAX, RECORD_TYPE, SECTOR_SIZE } from './layout.ts';

/** Why a record is not to be trusted. */
export interface RecordFault {
  code: ErrorCode;
  message: string;
  /** A sector of its frame is all zero: in the last segment, the mark of a write that was cut short. */
  hasZeroSector: boolean;
}

export interface WalRecord {
  /** Of the frame in the file. */
  offset: number;
  /** Of the whole frame, padding included. */
  size: number;
  /** See `RECORD_TYPE`; 0 when it did not decode. */
  type: number;
  /** As stored. */
  crc: number;
  /** A view, valid until the next record is read. */
  data: Uint8Array;
  /** Of `data` in the file. */
  dataOffset: number;
  isPaddingClean: boolean;
  /** False right behind damage, where the CRC that this one continues is not known. */
  isVerified: boolean;
  fault?: RecordFault;
}

/**
 * How a segment ends. `end`: at the end of a frame · `preallocated`: then zeros to the end of the file ·
 * `torn`: inside a frame, or on a zero word with bytes behind it · `corrupt`: on something no writer wrote.
 */
export interface SegmentEnd {
  verdict: 'end' | 'preallocated' | 'torn' | 'corrupt';
  /** Where the last frame ended. */
  offset: number;
  code?: ErrorCode;
  message?: string;
}

const WINDOW_SIZE = 1 << 20;
const ZEROS = new Uint8Array(1 << 16);
const NOTHING = new Uint8Array();

export class SegmentReader {
  readonly #source: Source;
  #window: Uint8Array;
  #view: DataView;
  /** File offset of the window's first byte, and how many are filled. */
  #windowAt = 0;
  #filled = 0;
  #isChainKnown: boolean;
  /** After a mismatch: the CRC that would be right if the stored one, not the data, was damaged. */
  #otherCrc: number | undefined;
  /** File offset of the next frame. */
  offset: number;
  /** Of all data up to `offset`. */
  crc: number;
  /** Set once `next` gave undefined. */
  end: SegmentEnd | undefined;

  /**
   * `crc` continues the segment before; 0 when this is the first one read. With an `offset`, reading begins
   * at a frame in the middle, and the first record's CRC is taken as it is.
   */
  constructor(source: Source, options: { crc?: number; offset?: number; windowBytes?: number } = {}) {
    this.#source = source;
    this.offset = options.offset ?? 0;
    this.#isChainKnown = options.offset === undefined;
    this.#window = new Uint8Array(options.windowBytes ?? WINDOW_SIZE);
    this.#view = new DataView(this.#window.buffer);
    this.crc = options.crc ?? 0;
  }

  /** The next record, or undefined at the end. Throws only what the source throws. */
  next(): WalRecord | undefined {
    if (this.end) return undefined;
    const rest = this.#source.size - this.offset;
    if (rest === 0) return this.#finish({ verdict: 'end', offset: this.offset });
    if (rest < FRAME_WORD_SIZE) return this.#torn(`${rest} bytes are left, too few for a length`);
    let at = this.#fill(FRAME_WORD_SIZE);
    const low = this.#view.getUint32(at, true);
    const high = this.#view.getUint32(at + 4, true);
    if (low === 0 && high === 0) return this.#finishAtZeroWord();
    const frame = decodeFrame(low, high);
    if (!frame || frame.length > RECORD_SIZE_MAX) return this.#badLength(low, high);
    const size = FRAME_WORD_SIZE + frame.length + frame.padding;
    if (size > rest) {
      return this.#torn(
        `a record of ${frame.length} bytes begins, but only ${rest - FRAME_WORD_SIZE} are left`,
      );
    }
    at = this.#fill(size);
    const offset = this.offset;
    const start = at + FRAME_WORD_SIZE;
    const found = this.#parse(start, start + frame.length, offset);
    found.size = size;
    found.isPaddingClean = isZeroRun(this.#window, start + frame.length, at + size);
    this.#verify(found);
    if (found.fault)
      found.fault.hasZeroSector = hasZeroSector(this.#window.subarray(start, at + size), offset + 8);
    this.offset = offset + size;
    return found;
  }

  /** Makes `count` bytes from `offset` on readable; gives their place in the window. */
  #fill(count: number): number {
    const at = this.offset - this.#windowAt;
    if (at >= 0 && at + count <= this.#filled) return at;
    const kept = Math.max(0, Math.min(this.#filled, this.#filled - at));
    let into = this.#window;
    if (count > into.length) into = new Uint8Array(Math.max(count, into.length * 2));
    into.set(this.#window.subarray(this.#filled - kept, this.#filled));
    const wanted = Math.min(into.length, this.#source.size - this.offset);
    this.#source.readInto(this.offset + kept, into.subarray(kept, wanted));
    if (into !== this.#window) {
      this.#window = into;
      this.#view = new DataView(into.buffer);
    }
    this.#windowAt = this.offset;
    this.#filled = wanted;
    return 0;
  }

  /** Nearly every record is type, crc, data in this order and in shortest form; others take the long way. */
  #parse(start: number, end: number, offset: number): WalRecord {
    const bytes = this.#window;
    let at = start + 3;
    if (end - start >= 4 && bytes[start] === 0x08 && bytes[start + 1]! < 0x80 && bytes[start + 2] === 0x10) {
      const type = bytes[start + 1]!;
      const crc = shortVarint(bytes, at, end);
      at += crc.size;
      if (crc.size > 0 && at === end)
        return recordAt(offset, type, crc.value, NOTHING, offset + 8 + end - start);
      if (crc.size > 0 && bytes[at] === 0x1a) {
        const length = shortVarint(bytes, at + 1, end);
        at += 1 + length.size;
        if (length.size > 0 && at + length.value === end) {
          return recordAt(offset, type, crc.value, bytes.subarray(at, end), offset + 8 + at - start);
        }
      }
    }
    return this.#parseSlowly(start, end, offset);
  }

  #parseSlowly(start: number, end: number, offset: number): WalRecord {
    const bytes = this.#window.subarray(start, end);
    try {
      const {
        type,
        crc,
        data = NOTHING,
      } = recordMessage.decode(bytes, {
        file: this.#source.name,
        offset: offset + FRAME_WORD_SIZE,
      });
      const dataAt = data.length === 0 ? bytes.length : data.byteOffset - bytes.byteOffset;
      return recordAt(offset, type, crc, data, offset + FRAME_WORD_SIZE + dataAt);
    } catch (error) {
      if (!(error instanceof CorruptError)) throw error;
      const found = recordAt(offset, 0, 0, bytes, offset + FRAME_WORD_SIZE);
      found.fault = { code: 'wal.record.malformed', message: error.message, hasZeroSector: false };
      return found;
    }
  }

  #verify(found: WalRecord): void {
    found.isVerified = this.#isChainKnown;
    if (found.fault) {
      this.#isChainKnown = false;
      return;
    }
    if (found.type === RECORD_TYPE.crc) {
      // A reader that has just started knows no CRC yet; this record gives it one.
      const isExpected = !this.#isChainKnown || this.crc === 0 || found.crc === this.crc;
      if (!isExpected && found.crc !== this.#otherCrc) found.fault = crcFault(found.crc, this.crc);
      this.#setCrc(found.crc);
      return;
    }
    const crc = crc32c(found.data, this.crc);
    if (!this.#isChainKnown || crc === found.crc) return this.#setCrc(found.crc);
    if (this.#otherCrc !== undefined && crc32c(found.data, this.#otherCrc) === found.crc) {
      return this.#setCrc(found.crc);
    }
    found.fault = crcFault(found.crc, crc);
    this.#setCrc(found.crc);
    this.#otherCrc = crc;
  }

  #setCrc(crc: number): void {
    this.crc = crc;
    this.#isChainKnown = true;
    this.#otherCrc = undefined;
  }

  #finish(end: SegmentEnd): undefined {
    this.end = end;
    return undefined;
  }

  #torn(message: string): undefined {
    return this.#finish({ verdict: 'torn', offset: this.offset, code: 'wal.torn', message });
  }

  #badLength(low: number, high: number): undefined {
    const word = `0x${high.toString(16).padStart(8, '0')}${low.toString(16).padStart(8, '0')}`;
    const message = `${word} is no length of a record`;
    return this.#finish({ verdict: 'corrupt', offset: this.offset, code: 'wal.record.length', message });
  }

  #finishAtZeroWord(): undefined {
    const offset = this.offset;
    const used = this.#firstUsed(offset);
    if (used === undefined) return this.#finish({ verdict: 'preallocated', offset });
    // Differs from etcd, which takes a zero length for the end without looking further.
    return this.#torn(`a zero length, but bytes follow at ${used}`);
  }

  /** File offset of the first byte that is not zero from `from` on. */
  #firstUsed(from: number): number | undefined {
    for (let at = from; at < this.#source.size;) {
      const chunk = this.#window.subarray(0, Math.min(this.#window.length, this.#source.size - at));
      this.#filled = 0;
      this.#source.readInto(at, chunk);
      const used = firstNonZero(chunk, 0, chunk.length);
      if (used >= 0) return at + used;
      at += chunk.length;
    }
    return undefined;
  }
}

function recordAt(
  offset: number,
  type: number,
  crc: number,
  data: Uint8Array,
  dataOffset: number,
): WalRecord {
  return { offset, size: 0, type, crc, data, dataOffset, isPaddingClean: true, isVerified: true };
}

function crcFault(stored: number, computed: number): RecordFault {
  return {
    code: 'wal.record.crc',
    message: `the record says ${crcText(stored)}, but the log up to it hashes to ${crcText(computed)}`,
    hasZeroSector: false,
  };
}

function crcText(crc: number): string {
  return `0x${crc.toString(16).padStart(8, '0')}`;
}

/** A varint of up to five bytes below 2^32; size 0 when it is none. */
function shortVarint(bytes: Uint8Array, at: number, end: number): { value: number; size: number } {
  let value = 0;
  for (let size = 0; size < 5 && at + size < end; size++) {
    const byte = bytes[at + size]!;
    value += (byte & 0x7f) * 2 ** (7 * size);
    if (byte < 0x80) return { value, size: value < 2 ** 32 ? size + 1 : 0 };
  }
  return { value: 0, size: 0 };
}

/** Whether `bytes`, which lie at `offset` in their file, hold a sector's share that is all zero. */
function hasZeroSector(bytes: Uint8Array, offset: number): boolean {
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + SECTOR_SIZE - ((offset + at) % SECTOR_SIZE));
    if (isZeroRun(bytes, at, end)) return true;
    at = end;
  }
  return false;
}

function isZeroRun(bytes: Uint8Array, start: number, end: number): boolean {
  return firstNonZero(bytes, start, end) < 0;
}

function firstNonZero(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; at += ZEROS.length) {
    const stop = Math.min(end, at + ZEROS.length);
    if (stop - at > 64 && Buffer.compare(bytes.subarray(at, stop), ZEROS.subarray(0, stop - at)) === 0)
      continue;
    for (let i = at; i < stop; i++) if (bytes[i] !== 0) return i;
  }
  return -1;
}
