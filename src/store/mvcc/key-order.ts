/** Sorts many keys at once: quicksort over six bytes of a key at a time, held as numbers, so that memory is read little. */

const BYTES_A_TIME = 6;
const SHORT = 12;

/** Keys by their ids. */
export interface KeysToSort {
  /** Up to six bytes of a key from `depth` on, and how many there are, as a number that sorts as they do. */
  partOf(id: number, depth: number): number;
  compareIds(a: number, b: number): number;
}

/** Puts `ids` into the byte order of their keys, which must differ. */
export function sortKeys(ids: Uint32Array, keys: KeysToSort): void {
  new Sort(ids, keys).run();
}

class Sort {
  readonly #ids: Uint32Array;
  readonly #keys: KeysToSort;
  /** Of each id the bytes that count now. */
  readonly #parts: Float64Array;

  constructor(ids: Uint32Array, keys: KeysToSort) {
    this.#ids = ids;
    this.#keys = keys;
    this.#parts = new Float64Array(ids.length);
  }

  run(): void {
    const waiting: Array<[from: number, to: number, depth: number]> = [];
    this.#load(0, this.#ids.length, 0);
    waiting.push([0, this.#ids.length, 0]);
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const [from, to, depth] = next;
      if (to - from <= SHORT) {
        this.#insert(from, to);
        continue;
      }
      const [low, high] = this.#split(from, to);
      waiting.push([from, low, depth], [high, to, depth]);
      if (high - low <= 1) continue;
      this.#load(low, high, depth + BYTES_A_TIME);
      waiting.push([low, high, depth + BYTES_A_TIME]);
    }
  }

  #load(from: number, to: number, depth: number): void {
    for (let i = from; i < to; i++) this.#parts[i] = this.#keys.partOf(this.#ids[i]!, depth);
  }

  /** Smaller ones first, larger ones last; gives where those equal to the middle one begin and end. */
  #split(from: number, to: number): [low: number, high: number] {
    const parts = this.#parts;
    const any = (): number => parts[from + Math.floor(Math.random() * (to - from))]!;
    // By chance, so that nobody can choose keys that take forever.
    const pivot = middleOf(any(), any(), any());
    let low = from;
    let high = to;
    for (let i = from; i < high;) {
      const part = parts[i]!;
      if (part < pivot) this.#swap(low++, i++);
      else if (part > pivot) this.#swap(i, --high);
      else i++;
    }
    return [low, high];
  }

  #swap(a: number, b: number): void {
    const [ids, parts] = [this.#ids, this.#parts];
    const id = ids[a]!;
    ids[a] = ids[b]!;
    ids[b] = id;
    const part = parts[a]!;
    parts[a] = parts[b]!;
    parts[b] = part;
  }

  #insert(from: number, to: number): void {
    for (let i = from + 1; i < to; i++) {
      for (let at = i; at > from && this.#isBefore(at, at - 1); at--) this.#swap(at, at - 1);
    }
  }

  #isBefore(a: number, b: number): boolean {
    const difference = this.#parts[a]! - this.#parts[b]!;
    return difference < 0 || (difference === 0 && this.#keys.compareIds(this.#ids[a]!, this.#ids[b]!) < 0);
  }
}

function middleOf(a: number, b: number, c: number): number {
  if (a < b) return b < c ? b : Math.max(a, c);
  return a < c ? a : Math.max(b, c);
}
