/** The marks of compaction in bucket `meta`: how far one was begun, and how far one was finished. */
import type { BoltFile } from '../../format/bolt/file.ts';
import { CorruptError } from '../../errors.ts';
import { encodeRevision, RecordView, REVISION_SIZE } from './record.ts';

export const SCHEDULED_KEY = 'scheduledCompactRev';
export const FINISHED_KEY = 'finishedCompactRev';

export interface CompactionMarks {
  /** Undefined when no compaction was ever begun. */
  scheduled: number | undefined;
  finished: number | undefined;
}

/** Reads both marks. Throws `CorruptError` when one is malformed. */
export function readMarks(bolt: BoltFile): CompactionMarks {
  return { scheduled: readMark(bolt, SCHEDULED_KEY), finished: readMark(bolt, FINISHED_KEY) };
}

function readMark(bolt: BoltFile, key: string): number | undefined {
  const meta = bolt.bucket('meta');
  const value = meta && bolt.get(meta, Buffer.from(key));
  if (!value) return undefined;
  return decodeMark(value, key, bolt.source.name);
}

/** The revision that mark `key` holds. Throws `CorruptError`. */
export function decodeMark(value: Uint8Array, key: string, file = 'the database'): number {
  const record = new RecordView();
  const problem =
    value.length === REVISION_SIZE
      ? record.decodeRevision(value, 0, value.length)
      : `it has ${value.length} bytes`;
  if (problem || record.sub !== 0) {
    throw new CorruptError(
      'mvcc.compaction',
      `${key} is malformed: ${problem ?? `its sub revision is ${record.sub}`}`,
      {
        where: { file, field: `bucket meta, key ${key}` },
      },
    );
  }
  return record.main;
}

export function encodeMark(revision: number): Uint8Array {
  return encodeRevision(revision, 0);
}

/**
 * The revision a server takes as compacted when it opens the store: the finished one, or a scheduled one beyond it,
 * which it then goes on with. −1 when never compacted.
 */
export function compactRevisionOf({ scheduled, finished }: CompactionMarks): number {
  return Math.max(scheduled ?? -1, finished ?? -1);
}
