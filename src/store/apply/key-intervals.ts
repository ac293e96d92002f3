/**
 * Sets of keys as unions of intervals, and whether a request stays within one. What is odd about requests whose end
 * comes before their beginning is as etcd has it. etcd v3.6 pkg/adt/interval_tree.go.
 */
import { ascending, latin1 } from '../../bytes/order.ts';

/** Keys in `latin1`, from `begin` to before `end`; an empty end lies beyond all keys. */
export interface KeyInterval {
  begin: string;
  end: string;
}

const TO_THE_END = '\0';

/** As requests and permissions name it: no range end is one key, a single zero byte is the end of all keys. */
export function intervalOf(key: Uint8Array, rangeEnd: Uint8Array | undefined): KeyInterval {
  const begin = latin1(key);
  if (rangeEnd === undefined || rangeEnd.length === 0) return pointOf(begin);
  const end = latin1(rangeEnd);
  return { begin, end: end === TO_THE_END ? '' : end };
}

/** One key, in `latin1`. */
export function pointOf(key: string): KeyInterval {
  return { begin: key, end: `${key}\0` };
}

/** Nothing comes before what is empty; it comes after everything else. */
function isBefore(a: string, b: string): boolean {
  return a !== '' && (b === '' || a < b);
}

function meets(asked: KeyInterval, held: KeyInterval): boolean {
  const isLeft = isBefore(asked.begin, held.begin) && !isBefore(held.begin, asked.end);
  return !isLeft && isBefore(asked.begin, held.end);
}

export class KeyIntervals {
  /** By where they begin. */
  readonly #held: readonly KeyInterval[];

  constructor(intervals: readonly KeyInterval[]) {
    this.#held = intervals.toSorted((a, b) => ascending(a.begin, b.begin));
  }

  /** Whether one of them has the key, in `latin1`. */
  has(key: string): boolean {
    const point = pointOf(key);
    return this.#held.some((held) => meets(point, held));
  }

  /** Whether together they leave nothing of it out. */
  covers(asked: KeyInterval): boolean {
    let begin: string | undefined;
    let end = '';
    for (const held of this.#held) {
      if (!meets(asked, held)) continue;
      if (begin === undefined) ({ begin, end } = held);
      else if (isBefore(end, held.begin)) return false;
      else if (isBefore(end, held.end)) ({ end } = held);
    }
    return begin !== undefined && !isBefore(asked.begin, begin) && !isBefore(end, asked.end);
  }
}
