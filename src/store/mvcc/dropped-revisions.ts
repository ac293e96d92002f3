/** Revisions that a compaction drops: taken as they are found, given in their order, by which pages are written once. */
import { encodeRevision } from './record.ts';

const FIRST_CAPACITY = 1024;

export class DroppedRevisions {
  /** How many are waiting. */
  count = 0;
  #mains = new Float64Array(FIRST_CAPACITY);
  /** Twice the sub revision, and one for a tombstone. */
  #subs = new Float64Array(FIRST_CAPACITY);
  #order: Float64Array | Uint32Array | undefined;
  #next = 0;
  /** Where {@link #order} holds revisions: the first main one, and by what those after it are multiplied. */
  #base = 0;
  #scale = 0;

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
    this.#order ??= this.#sort();
    const at = this.#order[this.#next++]!;
    const isPacked = this.#scale !== 0;
    const main = isPacked ? this.#base + Math.floor(at / this.#scale) : this.#mains[at]!;
    const sub = isPacked ? at % this.#scale : this.#subs[at]!;
    if (--this.count === 0) {
      this.#order = undefined;
      this.#next = 0;
    }
    return encodeRevision(main, Math.floor(sub / 2), sub % 2 === 1);
  }

  /** Numbers are sorted many times faster than places of numbers; nearly always a revision fits one. */
  #sort(): Float64Array | Uint32Array {
    const mains = this.#mains.subarray(0, this.count);
    const subs = this.#subs.subarray(0, this.count);
    let [low, high, subMax] = [Infinity, 0, 0];
    for (let i = 0; i < this.count; i++) {
      low = Math.min(low, mains[i]!);
      high = Math.max(high, mains[i]!);
      subMax = Math.max(subMax, subs[i]!);
    }
    this.#base = low;
    this.#scale = subMax + 1;
    if ((high - low + 1) * this.#scale <= Number.MAX_SAFE_INTEGER)
      return mains.map((main, i) => (main - low) * this.#scale + subs[i]!).sort();
    this.#scale = 0;
    const places = Uint32Array.from(mains, (_, i) => i);
    return places.sort((a, b) => mains[a]! - mains[b]! || subs[a]! - subs[b]!);
  }
}
