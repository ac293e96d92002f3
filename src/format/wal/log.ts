/**
 * The log: its segments in order, one CRC through all of them, and what the records say, as events. Nothing is
 * collected but the small things (metadata, last HardState, snapshot records), so memory does not grow with
 * the log. Rules: etcd v3.6 server/storage/wal/wal.go; the four verdicts of an end are in `segment.ts`.
 */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CorruptError, type ErrorCode, type FindingSink, type Where } from '../../errors.ts';
import { ioError } from '../../bytes/io-error.ts';
import { openFile, type Source } from '../../bytes/source.ts';
import { type Metadata, metadata as metadataMessage } from '../proto/memberpb.ts';
import type { Message } from '../proto/field.ts';
import { entry as entryMessage, type HardState, hardState } from '../proto/raftpb.ts';
import { type Snapshot, snapshot as snapshotMessage } from '../proto/walpb.ts';
import { FRAME_WORD_SIZE, RECORD_TYPE } from './layout.ts';
import { gapError, parseSegmentName, type SegmentName, sequenceGap } from './name.ts';
import { findFrame } from './resync.ts';
import { type SegmentEnd, SegmentReader, type WalRecord } from './segment.ts';

/** A segment that can be opened. */
export interface Segment extends SegmentName {
  /** For messages; a path when it is a file. */
  path: string;
  open(): Source;
}

/** Where a record is. */
export interface Position {
  file: string;
  /** Of its frame. */
  offset: number;
}

/** What the log says, in its order. `data` is a view, valid until the next event. */
export type LogEvent =
  | { kind: 'metadata'; metadata: Metadata; at: Position }
  | {
      kind: 'entry';
      term: number;
      index: number;
      type: number;
      data: Uint8Array;
      /** False right behind damage, where no CRC vouches for it. */
      isVerified: boolean;
      at: Position;
    }
  /** Another leader's entries replace those from `index` on, which were delivered before. */
  | { kind: 'truncate'; index: number; at: Position }
  | { kind: 'state'; state: HardState; at: Position }
  | { kind: 'snapshot'; snapshot: Snapshot; at: Position };

/** How the log ends, and where a writer would go on. */
export interface LogEnd extends SegmentEnd {
  file: string;
  crc: number;
  /** Intact records behind a torn one; cutting the tail loses them. */
  intactAfter: number;
}

/** What was read of one segment, so that every byte is accounted for. */
export interface SegmentSummary {
  path: string;
  sizeBytes: number;
  /** In frames that were read; the rest is preallocated, or damaged and stepped over. */
  readBytes: number;
  recordCount: number;
  end: SegmentEnd;
}

interface LogOptions {
  /**
   * Delivers only entries after this snapshot, and asks for its record. Without it, everything is delivered.
   */
  start?: { index: number; term?: number };
  /** Given: damage is reported here and reading goes on. Absent: it is thrown, as `CorruptError`. */
  findings?: FindingSink;
}

/** The segments of a log directory in order, and all other names in it. Throws `io.` errors. */
export function listSegments(directory: string): { segments: Segment[]; others: string[] } {
  let names: string[];
  try {
    names = readdirSync(directory).sort();
  } catch (error) {
    throw ioError(error, { operation: 'open', path: directory });
  }
  const segments: Segment[] = [];
  const others: string[] = [];
  for (const name of names) {
    const parsed = parseSegmentName(name);
    const path = join(directory, name);
    if (parsed) segments.push({ ...parsed, path, open: () => openFile(path) });
    else others.push(name);
  }
  return { segments, others };
}

/** Reads a run of segments once. Iterate `events()` to the end, then ask for the rest. */
export class LogReader {
  readonly #segments: readonly Segment[];
  readonly #options: LogOptions;
  #path = '';
  #truncate: LogEvent | undefined;
  #isStartSeen = false;
  /** The first metadata record's. */
  metadata: Metadata | undefined;
  /** The last one. */
  state: HardState | undefined;
  /** Every snapshot record with where it is; those above `state.commit` do not count, see `validSnapshots`. */
  readonly snapshots: { snapshot: Snapshot; at: Position }[] = [];
  readonly summaries: SegmentSummary[] = [];
  /** Of the entries that are in force; undefined when there are none. */
  firstIndex: number | undefined;
  lastIndex: number | undefined;
  lastTerm = 0;
  /** Delivered, also those that were replaced later. */
  entryCount = 0;
  end: LogEnd | undefined;

  constructor(segments: readonly Segment[], options: LogOptions = {}) {
    this.#segments = segments;
    this.#options = options;
    if (options.start) this.lastIndex = options.start.index;
  }

  *events(): Generator<LogEvent, void> {
    this.#checkSequence();
    let crc = 0;
    for (const [i, segment] of this.#segments.entries()) {
      this.#path = segment.path;
      const source = segment.open();
      try {
        crc = yield* this.#segment(source, crc, i === this.#segments.length - 1);
      } finally {
        source.close();
      }
    }
    this.#checkWhole();
  }

  /** The snapshot records a server may start from: those that are committed. */
  validSnapshots(): Snapshot[] {
    const commit = this.state?.commit ?? 0;
    return this.snapshots.map(({ snapshot }) => snapshot).filter(({ index }) => index <= commit);
  }

  /** Gives the CRC that the next segment has to repeat; 0 when it is not known. */
  *#segment(source: Source, crc: number, isLast: boolean): Generator<LogEvent, number> {
    const tally = new SegmentTally(source.size);
    let reader = new SegmentReader(source, { crc });
    for (;;) {
      const before = reader.crc;
      const record = reader.next();
      if (!record) {
        if (!isBroken(reader.end!)) break;
        this.#breakOff(tally, reader.end!, before, isLast);
        const at = this.#options.findings && findFrame(source, reader.offset + FRAME_WORD_SIZE);
        if (at === undefined) break;
        tally.skippedBytes += at - reader.offset;
        reader = new SegmentReader(source, { offset: at });
        continue;
      }
      tally.recordCount++;
      if (tally.isCut) {
        if (!record.fault) tally.intactAfter++;
      } else if (record.fault?.hasZeroSector && isLast) {
        this.#breakOff(tally, tornEnd(record.offset, record.fault.message), before, isLast);
      } else {
        const event = this.#record(record);
        if (this.#truncate) yield this.#truncate;
        this.#truncate = undefined;
        if (event) yield event;
      }
    }
    return this.#finishSegment(tally, reader, isLast);
  }

  /** Where a server stops: a torn end of the last segment is cut off, anything else is damage. */
  #breakOff(tally: SegmentTally, end: SegmentEnd, crc: number, isLast: boolean): void {
    if (!tally.isCut && (end.verdict === 'corrupt' || !isLast)) {
      const where = { file: this.#path, offset: end.offset };
      this.#damage(end.code ?? 'wal.torn', end.message ?? 'the segment ends early', where);
    } else tally.isCut = true;
    tally.broken ??= { end, crc };
  }

  #finishSegment(tally: SegmentTally, reader: SegmentReader, isLast: boolean): number {
    const { sizeBytes, recordCount, skippedBytes, intactAfter, broken } = tally;
    const end = broken?.end ?? reader.end!;
    const readBytes = reader.offset - skippedBytes;
    this.summaries.push({ path: this.#path, sizeBytes, readBytes, recordCount, end });
    if (isLast) this.end = { ...end, file: this.#path, crc: broken?.crc ?? reader.crc, intactAfter };
    if (tally.isCut) {
      const rest =
        intactAfter > 0 ? `; ${intactAfter} intact records follow, which a server cuts off too` : '';
      const where = { file: this.#path, offset: end.offset };
      this.#options.findings?.({
        code: 'wal.torn',
        severity: 'lossy',
        where,
        message: `${end.message}${rest}`,
      });
    }
    return isBroken(reader.end!) ? 0 : reader.crc;
  }

  #record(record: WalRecord): LogEvent | undefined {
    const at = { file: this.#path, offset: record.offset };
    if (record.fault) {
      this.#damage(record.fault.code, record.fault.message, at);
      return undefined;
    }
    if (!record.isPaddingClean) {
      const message = 'the padding of a record is not zero';
      this.#options.findings?.({ code: 'wal.record.padding', severity: 'note', where: at, message });
    }
    switch (record.type) {
      case RECORD_TYPE.crc:
        return undefined;
      case RECORD_TYPE.entry:
        return this.#entry(record, at);
      case RECORD_TYPE.state:
        return this.#state(record, at);
      case RECORD_TYPE.metadata:
        return this.#metadata(record, at);
      case RECORD_TYPE.snapshot:
        return this.#snapshot(record, at);
      default:
        this.#damage('wal.record.type', `records of type ${record.type} do not exist`, at);
        return undefined;
    }
  }

  /** undefined when it does not decode, and that was reported. */
  #decode<V>(message: Message<V>, record: WalRecord, at: Position): V | undefined {
    try {
      return message.decode(record.data, { file: this.#path, offset: record.dataOffset });
    } catch (error) {
      if (!(error instanceof CorruptError)) throw error;
      this.#damage('wal.record.malformed', error.message, at, error);
      return undefined;
    }
  }

  #entry(record: WalRecord, at: Position): LogEvent | undefined {
    const entry = this.#decode(entryMessage, record, at);
    if (!entry) return undefined;
    const { term, index, type, data = NOTHING } = entry;
    const start = this.#options.start?.index;
    if (start !== undefined && index <= start) return undefined;
    const last = this.lastIndex;
    if (last !== undefined && index > last + 1) {
      this.#damage('wal.entry.gap', `entry ${last} is followed by ${index}`, at);
    } else if (last !== undefined && index <= last) this.#truncate = { kind: 'truncate', index, at };
    if (term < this.lastTerm && this.#options.findings) {
      this.#damage('wal.entry.term', `entry ${index} has term ${term} after ${this.lastTerm}`, at);
    }
    if (this.firstIndex === undefined || index < this.firstIndex) this.firstIndex = index;
    this.lastIndex = index;
    this.lastTerm = term;
    this.entryCount++;
    return { kind: 'entry', term, index, type, data, isVerified: record.isVerified, at };
  }

  #state(record: WalRecord, at: Position): LogEvent | undefined {
    const state = this.#decode(hardState, record, at);
    if (!state) return undefined;
    this.state = state;
    return { kind: 'state', state, at };
  }

  #metadata(record: WalRecord, at: Position): LogEvent | undefined {
    const metadata = this.#decode(metadataMessage, record, at);
    if (!metadata) return undefined;
    this.metadata ??= metadata;
    if (metadata.nodeId !== this.metadata.nodeId || metadata.clusterId !== this.metadata.clusterId) {
      this.#damage(
        'wal.metadata',
        `the log is that of ${owner(this.metadata)}, then of ${owner(metadata)}`,
        at,
      );
    }
    return { kind: 'metadata', metadata, at };
  }

  #snapshot(record: WalRecord, at: Position): LogEvent | undefined {
    const snapshot = this.#decode(snapshotMessage, record, at);
    if (!snapshot) return undefined;
    this.snapshots.push({ snapshot, at });
    const start = this.#options.start;
    if (start && snapshot.index === start.index) {
      this.#isStartSeen = true;
      if (start.term !== undefined && snapshot.term !== start.term) {
        const message = `the snapshot at index ${start.index} has term ${snapshot.term}, expected ${start.term}`;
        this.#damage('wal.snapshot.mismatch', message, at);
      }
    }
    return { kind: 'snapshot', snapshot, at };
  }

  #checkSequence(): void {
    const gap = sequenceGap(this.#segments);
    if (!gap) return;
    const { path, sequence } = this.#segments[0]!;
    const error = gapError(gap, dirname(path), sequence);
    if (!this.#options.findings) throw error;
    this.#damage(error.code, error.message, error.where ?? {});
  }

  #checkWhole(): void {
    const where = { file: this.#path };
    const start = this.#options.start;
    if (this.#segments.length === 0) this.#damage('wal.sequence', 'there are no segments', {});
    else if (!this.metadata) this.#damage('wal.metadata', 'the log names neither member nor cluster', where);
    if (start && !this.#isStartSeen) {
      const message = `the log holds no record of a snapshot at index ${start.index}`;
      this.#damage('wal.snapshot.missing', message, where);
    }
  }

  #damage(code: ErrorCode, message: string, where: Where, cause?: unknown): void {
    if (!this.#options.findings) throw new CorruptError(code, message, { where, cause });
    this.#options.findings({ code, severity: 'fatal', where, message });
  }
}

const NOTHING = new Uint8Array();

/** What is learnt of a segment while it is read. */
class SegmentTally {
  readonly sizeBytes: number;
  recordCount = 0;
  skippedBytes = 0;
  intactAfter = 0;
  /** Whether a server would stop, and cut off what follows. */
  isCut = false;
  /** The first thing that is not a whole record, and the CRC before it. */
  broken: { end: SegmentEnd; crc: number } | undefined;

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
  }
}

function isBroken({ verdict }: SegmentEnd): boolean {
  return verdict === 'torn' || verdict === 'corrupt';
}

function tornEnd(offset: number, reason: string): SegmentEnd {
  const message = `a sector of the record was never written: ${reason}`;
  return { verdict: 'torn', offset, code: 'wal.torn', message };
}

function owner({ nodeId, clusterId }: Metadata): string {
  return `member ${nodeId.toString(16)} of cluster ${clusterId.toString(16)}`;
}
