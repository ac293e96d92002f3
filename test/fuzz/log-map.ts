/** A map of a healthy segment: what each of its bytes is. Made by a walker of its own; it trusts what it reads. */
import type { Run } from '../support/mutate.ts';

/** `head`: type, crc, and the tags and length around them, none of which a checksum covers. */
export type LogKind = 'frame word' | 'head' | 'data' | 'padding' | 'preallocated';

export interface LogRegion extends Run {
  kind: LogKind;
  /** Index into `frames`. */
  frame: number;
}

export interface LogMap {
  /** Where each frame begins, and at last where the log ends. */
  frames: number[];
  regions: LogRegion[];
  end: number;
}

const WORD_SIZE = 8;
const DATA_TAG = 0x1a;

export function mapSegment(bytes: Uint8Array): LogMap {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames: number[] = [];
  const regions: LogRegion[] = [];
  let at = 0;
  while (at + WORD_SIZE <= bytes.length && view.getBigUint64(at, true) !== 0n) {
    const frame = frames.push(at) - 1;
    const length = view.getUint32(at, true);
    const padding = bytes[at + 7]! & 7;
    const start = at + WORD_SIZE;
    const end = start + length;
    const dataStart = dataOf(bytes, start, end);
    const add = (from: number, to: number, kind: LogKind): void => {
      if (to > from) regions.push({ start: from, end: to, kind, frame });
    };
    add(at, start, 'frame word');
    add(start, dataStart, 'head');
    add(dataStart, end, 'data');
    add(end, end + padding, 'padding');
    at = end + padding;
  }
  if (at < bytes.length)
    regions.push({ start: at, end: bytes.length, kind: 'preallocated', frame: frames.length });
  frames.push(at);
  return { frames, regions, end: at };
}

/** Where the content of field 3 begins; the end when there is none. */
function dataOf(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  const skipVarint = (): void => {
    while (bytes[at++]! >= 0x80);
  };
  while (at < end) {
    const tag = bytes[at++]!;
    skipVarint();
    if (tag === DATA_TAG) return at;
  }
  return end;
}

export function logRegionAt(map: LogMap, offset: number): LogRegion {
  return map.regions.find(({ start, end }) => offset >= start && offset < end)!;
}
