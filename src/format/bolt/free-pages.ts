/**
 * Which pages of a file may be overwritten, and the high-water mark. One byte a page. A page that the live state needs
 * goes through these states: given back by the next one, it is held while an older state is still read, then free;
 * taken by a transaction, it is not free any more, but nothing needs it until that one is durable.
 */
import { CLAIM, type PageClaims } from './claims.ts';

const NEEDED = 0;
const FREE = 1;
const TAKEN = 2;
const HELD = 3;

/** Pages that lie behind each other. */
export interface PageRun {
  id: number;
  count: number;
}

export class FreePages {
  /** By page id; what lies beyond is needed. */
  #states: Uint8Array;
  /** High-water mark: the first page id never allocated. */
  pageLimit: number;
  /** Pages below the high-water mark that are not needed. */
  #unneededCount = 0;
  /** For a run of so many pages: no free one starts below. */
  readonly #floors = new Map<number, number>();

  private constructor(states: Uint8Array, pageLimit: number) {
    this.#states = states;
    this.pageLimit = pageLimit;
    for (const state of states) if (state !== NEEDED) this.#unneededCount++;
  }

  /** What a complete walk did not claim, or claimed as free, is free. */
  static unclaimed(claims: PageClaims, pageLimit: number): FreePages {
    const states = new Uint8Array(Math.min(claims.pageLimit, pageLimit));
    for (let id = 0; id < states.length; id++) {
      const claim = claims.of(id);
      if (claim === CLAIM.none || claim === CLAIM.free) states[id] = FREE;
    }
    return new FreePages(states, pageLimit);
  }

  /** Every page below the high-water mark is in use. */
  static none(pageLimit: number): FreePages {
    return new FreePages(new Uint8Array(0), pageLimit);
  }

  /** Pages that the live state needs, while no transaction has taken any. */
  get neededCount(): number {
    return this.pageLimit - this.#unneededCount;
  }

  /** For the first `count` pages, in a copy: 0 where the live state needs the page. */
  unneeded(count: number): Uint8Array {
    const copy = new Uint8Array(count);
    copy.set(this.#states.subarray(0, count));
    return copy;
  }

  /** The first page of a run of `count`: the lowest free one, or else a new one at the high-water mark. */
  take(count: number): number {
    const states = this.#states;
    let run = 0;
    for (let id = this.#floors.get(count) ?? 0; id < states.length; id++) {
      if (run === 0) {
        id = states.indexOf(FREE, id);
        if (id < 0) break;
      }
      run = states[id] === FREE ? run + 1 : 0;
      if (run < count) continue;
      const first = id + 1 - count;
      states.fill(TAKEN, first, id + 1);
      this.#floors.set(count, id + 1);
      return first;
    }
    this.#floors.set(count, states.length);
    const first = this.pageLimit;
    this.pageLimit += count;
    return first;
  }

  /** Gives back what was taken, as if the high-water mark had stayed at `pageLimit`. */
  untake(pageLimit: number): void {
    const states = this.#states;
    for (let id = states.indexOf(TAKEN); id >= 0; id = states.indexOf(TAKEN, id + 1)) states[id] = FREE;
    this.#floors.clear();
    this.pageLimit = pageLimit;
  }

  /** Pages that were taken are needed from now on. */
  keep(run: PageRun): void {
    this.#set(run, NEEDED);
  }

  /** Pages that the live state does not need any more, but one that is still read does. */
  hold(run: PageRun): void {
    this.#set(run, HELD);
  }

  /** Pages that nothing needs any more. */
  give(run: PageRun): void {
    this.#set(run, FREE);
    for (const [count, floor] of this.#floors)
      if (run.id < floor) this.#floors.set(count, Math.max(0, run.id - count + 1));
  }

  #set({ id, count }: PageRun, state: number): void {
    const end = id + count;
    if (end > this.#states.length && state !== NEEDED) {
      const grown = new Uint8Array(Math.max(this.pageLimit, end));
      grown.set(this.#states);
      this.#states = grown;
    }
    const states = this.#states;
    for (let at = id; at < Math.min(end, states.length); at++) {
      this.#unneededCount += Number(state !== NEEDED) - Number(states[at] !== NEEDED);
      states[at] = state;
    }
  }
}
