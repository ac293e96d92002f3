/**
 * Writes segments: a new first one, or more records behind the last good one of an existing file. Record
 * frames, running CRC and padding are as etcd writes them (etcd v3.6 server/storage/wal/encoder.go).
 */
import { crc32c } from '../../bytes/crc32c.ts';
import type { Disk } from '../../bytes/disk.ts';
import { Writer } from '../../bytes/writer.ts';
import type { Input, Zeros } from '../proto/field.ts';
import { type Metadata, metadata as metadataMessage } from '../proto/memberpb.ts';
import { type Entry, entry as entryMessage, type HardState, hardState } from '../proto/raftpb.ts';
import { record as recordMessage, type Snapshot, snapshot as snapshotMessage } from '../proto/walpb.ts';
import { encodeFrame, paddingOf, RECORD_TYPE, SEGMENT_SIZE } from './layout.ts';

/** How many bytes are gathered before they are written. */
const FLUSH_SIZE = 1 << 20;

/** One frame; gives the CRC after it. A record of type `crc` sets the CRC instead of continuing it. */
export function encodeRecord(
  writer: Writer,
  { type, data, crc }: { type: number; data?: Uint8Array | undefined; crc: number },
): number {
  const next = type === RECORD_TYPE.crc || data === undefined ? crc : crc32c(data, crc);
  const record = recordMessage.encode({ type, crc: next, data }, { zeros: 'write' });
  const { low, high } = encodeFrame(record.length);
  writer.u32(low).u32(high).bytes(record).zeros(paddingOf(record.length));
  return next;
}

interface NewSegment {
  mode?: number;
  /** Of the segment before; 0 for the first. */
  crc?: number;
  /** The file's size from the start, the rest being zeros. 0: it grows as it is written. */
  preallocateBytes?: number;
  /** As the target etcd writes them: 3.4–3.6 `write`, 3.7 `omit`. */
  zeros: Zeros;
}

/** Where to go on in an existing segment: a `LogEnd`. */
interface ExistingSegment {
  offset: number;
  crc: number;
  verdict: 'end' | 'preallocated' | 'torn' | 'corrupt';
  zeros: Zeros;
}

export class SegmentWriter {
  readonly #disk: Disk;
  readonly #fd: number;
  readonly #zeros: Zeros;
  readonly #pending = new Writer(4096);
  /** File offset of the first pending byte. */
  #flushedTo: number;
  /** Of everything written so far. */
  crc: number;

  private constructor(disk: Disk, fd: number, start: { offset: number; crc: number; zeros: Zeros }) {
    this.#disk = disk;
    this.#fd = fd;
    this.#zeros = start.zeros;
    this.#flushedTo = start.offset;
    this.crc = start.crc;
  }

  /** A new file, beginning with the CRC record every segment begins with. */
  static create(disk: Disk, path: string, options: NewSegment): SegmentWriter {
    const { mode = 0o600, crc = 0, preallocateBytes = SEGMENT_SIZE, zeros } = options;
    const fd = disk.create(path, mode);
    try {
      if (preallocateBytes > 0) disk.truncate(fd, preallocateBytes);
    } catch (error) {
      disk.close(fd);
      throw error;
    }
    const writer = new SegmentWriter(disk, fd, { offset: 0, crc, zeros });
    writer.#record(RECORD_TYPE.crc);
    return writer;
  }

  /** Goes on where the log ended; what lies behind a torn end is cut off first. */
  static append(disk: Disk, path: string, options: ExistingSegment): SegmentWriter {
    if (options.verdict === 'corrupt') throw new TypeError('nothing can be appended to a corrupt segment');
    const fd = disk.openForUpdate(path);
    try {
      if (options.verdict === 'torn') disk.truncate(fd, options.offset);
    } catch (error) {
      disk.close(fd);
      throw error;
    }
    return new SegmentWriter(disk, fd, options);
  }

  /** File offset behind the last record. */
  get offset(): number {
    return this.#flushedTo + this.#pending.size;
  }

  metadata(value: Input<Metadata>): this {
    return this.#record(RECORD_TYPE.metadata, metadataMessage.encode(value, { zeros: this.#zeros }));
  }

  entry(value: Input<Entry>): this {
    return this.#record(RECORD_TYPE.entry, entryMessage.encode(value, { zeros: this.#zeros }));
  }

  state(value: Input<HardState>): this {
    return this.#record(RECORD_TYPE.state, hardState.encode(value, { zeros: this.#zeros }));
  }

  snapshot(value: Input<Snapshot>): this {
    return this.#record(RECORD_TYPE.snapshot, snapshotMessage.encode(value, { zeros: this.#zeros }));
  }

  #record(type: number, data?: Uint8Array): this {
    this.crc = encodeRecord(this.#pending, { type, data, crc: this.crc });
    if (this.#pending.size >= FLUSH_SIZE) this.#flush();
    return this;
  }

  #flush(): void {
    if (this.#pending.size === 0) return;
    this.#disk.write(this.#fd, this.#pending.view(), this.#flushedTo);
    this.#flushedTo += this.#pending.size;
    this.#pending.clear();
  }

  /** Makes everything durable and closes the file. */
  close(): void {
    try {
      this.#flush();
      this.#disk.sync(this.#fd);
    } finally {
      this.#disk.close(this.#fd);
    }
  }

  /** Closes the file without writing what is pending; for when another error is on its way. */
  abandon(): void {
    this.#disk.close(this.#fd);
  }
}
