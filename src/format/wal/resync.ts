/**
 * Finding the next frame when a length cannot be trusted, so that a check can go on behind the damage. What is
 * found is plausible, not proven: two records whose CRCs follow each other, or one that ends the segment.
 */
import { readAt, type Source } from '../../bytes/source.ts';
import { decodeFrame, FRAME_WORD_SIZE, RECORD_TYPE } from './layout.ts';
import { SegmentReader } from './segment.ts';

const CHUNK_SIZE = 1 << 20;
/** The frame word and the first three bytes of a record. */
const PROBE_SIZE = FRAME_WORD_SIZE + 3;
/** Enough for real damage; a hostile file must not make us hash the same bytes without end. */
const ATTEMPTS_MAX = 1000;
const CANDIDATE_WINDOW = 4096;

/** File offset of a frame at or after `from`; undefined when there is none. */
export function findFrame(source: Source, from: number): number | undefined {
  let attempts = 0;
  for (let at = Math.ceil(from / 8) * 8; at + PROBE_SIZE <= source.size; at += CHUNK_SIZE) {
    const chunk = readAt(source, at, Math.min(CHUNK_SIZE + PROBE_SIZE, source.size - at));
    const view = new DataView(chunk.buffer);
    for (let i = 0; i < CHUNK_SIZE && i + PROBE_SIZE <= chunk.length; i += 8) {
      if (!looksLikeFrame(view, i, source.size - at - i)) continue;
      if (isFrame(source, at + i)) return at + i;
      if (++attempts === ATTEMPTS_MAX) return undefined;
    }
  }
  return undefined;
}

/** A possible length, then a record's type in its only form. Cheap: asked of every eighth byte. */
function looksLikeFrame(view: DataView, at: number, rest: number): boolean {
  if (view.getUint8(at + 8) !== 0x08 || view.getUint8(at + 10) !== 0x10) return false;
  const type = view.getUint8(at + 9);
  if (type < RECORD_TYPE.metadata || type > RECORD_TYPE.snapshot) return false;
  const frame = decodeFrame(view.getUint32(at, true), view.getUint32(at + 4, true));
  return frame !== undefined && FRAME_WORD_SIZE + frame.length + frame.padding <= rest;
}

function isFrame(source: Source, offset: number): boolean {
  const reader = new SegmentReader(source, { offset, windowBytes: CANDIDATE_WINDOW });
  const first = reader.next();
  if (!first || first.fault || !first.isPaddingClean) return false;
  const second = reader.next();
  if (second) return second.fault === undefined;
  return reader.end!.verdict === 'end' || reader.end!.verdict === 'preallocated';
}
