/** Names of segments, and which of them a reader needs. etcd v3.6 server/storage/wal/util.go. */
import { CorruptError } from '../../errors.ts';

/** A segment's place in the log. */
export interface SegmentName {
  /** Counts from 0 without gaps. */
  sequence: number;
  /** Where its first entry stands; 0 in the first segment. */
  index: number;
}

const NAME = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/;

export function formatSegmentName({ sequence, index }: SegmentName): string {
  return `${hex16(sequence)}-${hex16(index)}.wal`;
}

/** undefined when `name` is not a segment's. */
export function parseSegmentName(name: string): SegmentName | undefined {
  const found = NAME.exec(name);
  if (!found) return undefined;
  const sequence = Number.parseInt(found[1]!, 16);
  const index = Number.parseInt(found[2]!, 16);
  return Number.isSafeInteger(sequence) && Number.isSafeInteger(index) ? { sequence, index } : undefined;
}

function hex16(value: number): string {
  return value.toString(16).padStart(16, '0');
}

/**
 * Of `segments` in order, those that hold what comes after `index`: the last one that begins at or before it,
 * and all that follow. Throws `wal.sequence`.
 */
export function chooseSegments<S extends SegmentName>(
  segments: readonly S[],
  index: number,
  directory: string,
): S[] {
  const first = segments.findLastIndex((segment) => segment.index <= index);
  if (first < 0) {
    const oldest = segments[0];
    const found = oldest ? `the oldest segment begins at ${oldest.index}` : 'there are no segments';
    throw new CorruptError('wal.sequence', `no segment reaches back to index ${index}: ${found}`, {
      where: { file: directory },
      upstream: `wal: file not found which matches the snapshot index '${index}'`,
    });
  }
  const chosen = segments.slice(first);
  const gap = sequenceGap(chosen);
  if (gap) throw gapError(gap, directory, chosen[0]!.sequence);
  return chosen;
}

/** The first two neighbours whose sequence numbers do not follow each other. */
export function sequenceGap(
  segments: readonly SegmentName[],
): { before: SegmentName; after: SegmentName } | undefined {
  for (let i = 1; i < segments.length; i++) {
    const before = segments[i - 1]!;
    const after = segments[i]!;
    if (after.sequence !== before.sequence + 1) return { before, after };
  }
  return undefined;
}

/** What a strict reader throws for {@link sequenceGap}. */
export function gapError(
  { before, after }: { before: SegmentName; after: SegmentName },
  directory: string,
  startSequence: number,
): CorruptError {
  return new CorruptError('wal.sequence', `segment ${before.sequence} is followed by ${after.sequence}`, {
    where: { file: directory },
    upstream: `wal: file sequence numbers (starting from ${startSequence}) do not increase continuously`,
  });
}
