/**
 * Pages of a file that were checked once and stay in memory, up to a limit. Branches stay longer than leaves: each
 * look-up needs them. Which pages go is decided by a clock, so that finding one costs a single look into a map.
 */
import type { KeyRange, PageChecker } from './check.ts';
import type { PageFile } from './page-file.ts';
import type { Page } from './page.ts';

/** What a page costs beside its bytes. */
const ENTRY_SIZE = 512;
/** A page longer than this part of the limit is not kept. */
const LONG_DIVISOR = 8;
/** Branches go too when they take more than this part of the limit. */
const BRANCH_DIVISOR = 2;

/** Enough for the branches of several gigabytes. */
export const CACHE_SIZE = 32 << 20;

export class PageCache {
  readonly #pages: PageFile;
  readonly #checker: PageChecker;
  readonly #limitBytes: number;
  readonly #branches = new Map<number, Page>();
  readonly #leaves = new Map<number, Page>();
  #branchBytes = 0;
  #leafBytes = 0;

  constructor(pages: PageFile, checker: PageChecker, limitBytes: number) {
    this.#pages = pages;
    this.#checker = checker;
    this.#limitBytes = limitBytes;
  }

  get sizeBytes(): number {
    return this.#branchBytes + this.#leafBytes;
  }

  /** Page `id` if it is in memory; nobody may change it. */
  peek(id: number): Page | undefined {
    return this.#branches.get(id) ?? this.#leaves.get(id);
  }

  /** Page `id`, whose keys must lie in `range`; nobody may change it. Its memory is never used again. */
  page(id: number, range: KeyRange): Page {
    const known = this.peek(id);
    if (known) {
      known.isRecent = true;
      return known;
    }
    const page = this.#pages.read(id);
    if (this.#checker.checkNode(page, range)) this.#keep(page);
    return page;
  }

  #keep(page: Page): void {
    const cost = costOf(page);
    if (cost > this.#limitBytes / LONG_DIVISOR) return;
    if (page.isBranch) {
      this.#branches.set(page.id, page);
      this.#branchBytes += cost;
    } else {
      this.#leaves.set(page.id, page);
      this.#leafBytes += cost;
    }
    while (this.sizeBytes > this.#limitBytes) {
      const isBranch = this.#leaves.size === 0 || this.#branchBytes > this.#limitBytes / BRANCH_DIVISOR;
      this.forget(leastWanted(isBranch ? this.#branches : this.#leaves));
    }
  }

  /** Page `id` has, or will have, another content. */
  forget(id: number): void {
    const page = this.peek(id);
    if (!page) return;
    if (this.#branches.delete(id)) this.#branchBytes -= costOf(page);
    else if (this.#leaves.delete(id)) this.#leafBytes -= costOf(page);
  }
}

const costOf = (page: Page): number => page.size + ENTRY_SIZE;

/** The first that was not wanted since it was last looked at; those before it go to the end. */
function leastWanted(pages: Map<number, Page>): number {
  for (const [id, page] of pages) {
    if (!page.isRecent) return id;
    page.isRecent = false;
    pages.delete(id);
    pages.set(id, page);
  }
  return pages.keys().next().value!;
}
