/**
 * Whether a bad record at the end of a log is damage, or the rest of a write that a power cut ended. etcd knows the
 * latter by a sector of the record that is all zero, which the reader judges; here also by one whose end is zero, as a
 * disk leaves it that tears within a sector. What was torn was never synced, so nobody was told of it.
 */
import { readAt } from '../../bytes/source.ts';
import { CorruptError, type ErrorCode } from '../../errors.ts';
import { hardState } from '../../format/proto/raftpb.ts';
import { decodeFrame, FRAME_WORD_SIZE, RECORD_TYPE, SECTOR_SIZE } from '../../format/wal/layout.ts';
import type { Segment } from '../../format/wal/log.ts';
import { findFrame } from '../../format/wal/resync.ts';
import { SegmentReader } from '../../format/wal/segment.ts';
import type { Cut } from './log-repair.ts';

const BAD_RECORDS: readonly ErrorCode[] = ['wal.record.crc', 'wal.record.malformed', 'wal.record.length'];

/** Where to cut, when `error` tells of a write in the last segment that was torn; undefined for damage. */
export function tornWriteOf(error: CorruptError, last: Segment): Cut | undefined {
  const { file, offset } = error.where ?? {};
  if (file !== last.path || offset === undefined || !BAD_RECORDS.includes(error.code)) return undefined;
  const source = last.open();
  try {
    if (offset + FRAME_WORD_SIZE > source.size) return undefined;
    const word = Buffer.from(readAt(source, offset, FRAME_WORD_SIZE));
    const frame = decodeFrame(word.readUInt32LE(0), word.readUInt32LE(4));
    const start = offset + FRAME_WORD_SIZE;
    // Of a length that is none, nothing is known but that its sector goes on.
    const [from, end] = frame ? [start, start + frame.length] : [offset, sectorEnd(offset)];
    const isTorn = endsInZeros(readAt(source, from, Math.min(end, source.size) - from), from);
    return isTorn ? { path: file, offset, reason: error.message } : undefined;
  } finally {
    source.close();
  }
}

const sectorEnd = (offset: number): number => (Math.floor(offset / SECTOR_SIZE) + 1) * SECTOR_SIZE;

/** Whether the share of any sector in `bytes`, which lie at `offset`, ends with a zero. */
function endsInZeros(bytes: Uint8Array, offset: number): boolean {
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, sectorEnd(offset + at) - offset);
    if (bytes[end - 1] === 0) return true;
    at = end;
  }
  return false;
}

/** What states behind a bad record call committed, as far as they can be made out. */
export function commitBehind(last: Segment, offset: number): number {
  const source = last.open();
  try {
    let commit = 0;
    let reader = new SegmentReader(source, { offset });
    for (;;) {
      const record = reader.next();
      if (record) {
        const isState = record.type === RECORD_TYPE.state && record.offset > offset && !record.fault;
        if (isState) commit = Math.max(commit, commitOf(record.data));
        continue;
      }
      const at = findFrame(source, reader.offset + FRAME_WORD_SIZE);
      if (at === undefined) return commit;
      reader = new SegmentReader(source, { offset: at });
    }
  } finally {
    source.close();
  }
}

/** Right behind a gap nothing vouches for a record: it may be torn as well, and then says nothing. */
function commitOf(state: Uint8Array): number {
  try {
    return hardState.decode(state).commit;
  } catch (error) {
    if (error instanceof CorruptError) return 0;
    throw error;
  }
}
