/**
 * Which pages of a file may be overwritten, and the high-water mark. One byte a page.
 */
import { CLAIM, type PageClaims } from './claims.ts';

export class FreePages {
  /** 1 for a free page, by page id; what lies beyond it is not free. */
  #isFree: Uint8Array;
  /** High-water mark: the first page id never allocated. */
  pageLimit: number;
  /** For a run of so many pages: no free one starts below. */
  readonly #floors = new Map<number, number>();

  private constructor(isFree: Uint8Array, pageLimit: number) {
    this.#isFree = isFree;
    this.pageLimit = pageLimit;
  }

  /** What a complete walk did not claim, or claimed as free, is free. */
  static unclaimed(claims: PageClaims, pageLimit: number): FreePages {
    const isFree = new Uint8Array(Math.min(claims.pageLimit, pageLimit));
    for (let id = 0; id < isFree.length; id++) {
      const claim = claims.of(id);
      if (claim === CLAIM.none || claim === CLAIM.free) isFree[id] = 1;
    }
    return new FreePages(isFree, pageLimit);
  }

  /** Every page below the high-water mark is in use. */
  static none(pageLimit: number): FreePages {
    return new FreePages(new Uint8Array(0), pageLimit);
  }

  /** The first page of a run of `count`: the lowest free one, or else a new one at the high-water mark. */
  take(count: number): number {
    const free = this.#isFree;
    let run = 0;
    for (let id = this.#floors.get(count) ?? 0; id < free.length; id++) {
      run = free[id] === 1 ? run + 1 : 0;
      if (run < count) continue;
      const first = id + 1 - count;
      free.fill(0, first, id + 1);
      this.#floors.set(count, id + 1);
      return first;
    }
    this.#floors.set(count, free.length);
    const first = this.pageLimit;
    this.pageLimit += count;
    return first;
  }

  /** Pages that nothing refers to any more. */
  give(id: number, count: number): void {
    if (id + count > this.#isFree.length) {
      const grown = new Uint8Array(Math.max(this.pageLimit, id + count));
      grown.set(this.#isFree);
      this.#isFree = grown;
    }
    this.#isFree.fill(1, id, id + count);
    this.#floors.clear();
  }
}
