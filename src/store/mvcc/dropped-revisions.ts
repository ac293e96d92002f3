/**
 * Revisions that a compaction drops: taken as they are found, given in their order, by which pages are written once.
 * They are put in order only as far as they are taken, so that no single step takes long.
 */
import { encodeRevision } from './record.ts';

const FIRST_CAPACITY = 1024;
const SORTED_AT_ONCE = 4096;

export class DroppedRevisions {
  /** How many are waiting. */
  count = 0;
  #mains = new Float64Array(FIRST_CAPACITY);
  /** Twice the sub revision, and one for a tombstone. */
  #subs = new Float64Array(FIRST_CAPACITY);
  #queue: LazySort | undefined;
  /** How a revision becomes a number and back: from the first main one on, each times this. 0: it is a place instead. */
  #scale = 0;
  #base = 0;

  add(main: number, sub: number, isTombstone: boolean): void {
    if (this.count === this.#mains.length) this.#grow();
    this.#mains[this.count] = main;
    this.#subs[this.count++] = sub * 2 + Number(isTombstone);
  }

  #grow(): void {
    const mains = new Float64Array(this.count * 2);
    mains.set(this.#mains);
    this.#mains = mains;
    const subs = new Float64Array(this.count * 2);
    subs.set(this.#subs);
    this.#subs = subs;
  }

  /** The key of the next one; none may be added until all are taken. */
  take(): Uint8Array {
    this.#queue ??= this.#sorted();
    const at = this.#queue.take();
    const isNumber = this.#scale !== 0;
    const main = isNumber ? this.#base + Math.floor(at / this.#scale) : this.#mains[at]!;
    const sub = isNumber ? at % this.#scale : this.#subs[at]!;
    if (--this.count === 0) this.#queue = undefined;
    return encodeRevision(main, Math.floor(sub / 2), sub % 2 === 1);
  }

  /** Numbers are sorted many times faster than places of numbers; nearly always a revision fits one. */
  #sorted(): LazySort {
    const mains = this.#mains.subarray(0, this.count);
    const subs = this.#subs;
    let [low, high, subMax] = [Infinity, 0, 0];
    for (let i = 0; i < mains.length; i++) {
      low = Math.min(low, mains[i]!);
      high = Math.max(high, mains[i]!);
      subMax = Math.max(subMax, subs[i]!);
    }
    const scale = subMax + 1;
    const fits = (high - low + 1) * scale <= Number.MAX_SAFE_INTEGER;
    this.#base = low;
    this.#scale = fits ? scale : 0;
    const numbers = new Float64Array(mains.length);
    for (let i = 0; i < mains.length; i++) numbers[i] = fits ? (mains[i]! - low) * scale + subs[i]! : i;
    if (fits) return new LazySort(numbers);
    return new LazySort(
      numbers.sort((a, b) => mains[a]! - mains[b]! || subs[a]! - subs[b]!),
      true,
    );
  }
}

/** Numbers that differ, given in ascending order. */
class LazySort {
  readonly #numbers: Float64Array;
  /** Ends of stretches, each above all that is before it; the last one ends first. */
  readonly #ends: number[];
  #next = 0;
  #sortedTo: number;

  constructor(numbers: Float64Array, isSorted = false) {
    this.#numbers = numbers;
    this.#ends = [numbers.length];
    this.#sortedTo = isSorted ? numbers.length : 0;
  }

  take(): number {
    if (this.#next === this.#sortedTo) this.#sortMore();
    return this.#numbers[this.#next++]!;
  }

  #sortMore(): void {
    let end = this.#ends.pop()!;
    while (end - this.#next > SORTED_AT_ONCE) {
      this.#ends.push(end);
      end = this.#split(this.#next, end);
    }
    this.#numbers.subarray(this.#next, end).sort();
    this.#sortedTo = end;
  }

  /** Smaller ones first; gives where the larger ones begin. Neither part is empty. */
  #split(from: number, to: number): number {
    const numbers = this.#numbers;
    const picked = [numbers[from]!, numbers[(from + to) >>> 1]!, numbers[to - 1]!].sort((a, b) => a - b);
    const pivot = picked[1]!;
    let low = from;
    for (let high = to - 1; ; low++, high--) {
      while (numbers[low]! < pivot) low++;
      while (numbers[high]! > pivot) high--;
      if (low >= high) return low;
      const swapped = numbers[low]!;
      numbers[low] = numbers[high]!;
      numbers[high] = swapped;
    }
  }
}
