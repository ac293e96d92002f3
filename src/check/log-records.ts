/**
 * Records of the log that decode, and yet are none that etcd writes where they stand. A record's checksum covers its
 * data alone: neither its type nor the first record of a segment, which has no data.
 */
import { readAt } from '../bytes/source.ts';
import type { FindingSink } from '../errors.ts';
import { REST } from '../format/proto/message.ts';
import { record as recordMessage } from '../format/proto/walpb.ts';
import { FRAME_WORD_SIZE, RECORD_TYPE } from '../format/wal/layout.ts';
import type { LogEvent, LogReader, Segment } from '../format/wal/log.ts';
import { SegmentReader } from '../format/wal/segment.ts';

const FIRST_RECORD_WINDOW = 4096;

/** A segment begins with a CRC record. Nothing hashes it, so its bytes must be the ones that etcd writes. */
export function checkBeginning(segment: Segment, sink: FindingSink): void {
  const source = segment.open();
  try {
    const first = new SegmentReader(source, { windowBytes: FIRST_RECORD_WINDOW }).next();
    // Read by itself, as here, only another kind of record can contradict its CRC: the log's chain may not notice.
    if (!first || (first.fault && first.fault.code !== 'wal.record.crc')) return;
    const expected = recordMessage.encode({ type: RECORD_TYPE.crc, crc: first.crc }, { zeros: 'write' });
    const length = Math.min(expected.length, first.size - FRAME_WORD_SIZE);
    const isWhole = Buffer.compare(readAt(source, first.offset + FRAME_WORD_SIZE, length), expected) === 0;
    if (first.type === RECORD_TYPE.crc && first.data.length === 0 && isWhole) return;
    const where = { file: segment.path, offset: first.offset };
    sink({
      code: 'wal.record.type',
      severity: 'lossy',
      where,
      message: 'the segment does not begin with the CRC record that etcd writes there',
    });
  } finally {
    source.close();
  }
}

/** The checksum does not cover a record's type: what decodes as one kind may have been written as another. */
export function disguiseOf(event: LogEvent): string | undefined {
  if (event.kind === 'entry' && event.index === 0) return 'an entry has index 0, but they count from 1';
  if (event.kind !== 'state') return undefined;
  const { [REST]: rest } = event.state as { [REST]?: { unknown?: Uint8Array } };
  if (rest?.unknown) return 'a state holds fields that no state has';
  return event.state.term < 1 ? 'a state is of term 0, but none is written before the first term' : undefined;
}

/** A log begins with a record of the snapshot at 0, and its entries follow a snapshot; later segments follow others. */
export function checkFirstEntry(
  { snapshots, firstIndex }: LogReader,
  { sequence, index, path }: Segment,
  sink: FindingSink,
): void {
  const where = { file: path };
  const isKnown = (at: number): boolean => snapshots.some(({ snapshot }) => snapshot.index === at);
  if (sequence === 0 && !isKnown(0)) {
    const message =
      'the first segment holds no record of the snapshot at index 0, with which every log begins';
    sink({ code: 'wal.snapshot.missing', severity: 'lossy', where, message });
  }
  if (firstIndex === undefined || isKnown(firstIndex - 1) || (sequence > 0 && firstIndex <= index)) return;
  const message = `the log begins with entry ${firstIndex}, but neither its segment nor a snapshot begins there`;
  sink({ code: 'wal.entry.gap', severity: 'lossy', where, message });
}
