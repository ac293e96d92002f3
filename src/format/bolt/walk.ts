/**
 * Walks the tree of one bucket in key order, or against it, and checks every page on its way. A damaged page costs its
 * subtree, not the walk. Leaves that lie together are read together. Memory: one copy of a branch page for each level.
 */
import { compareBytes } from '../../bytes/order.ts';
import { CorruptError } from '../../errors.ts';
import type { KeyRange, PageChecker } from './check.ts';
import { DEPTH_MAX } from './layout.ts';
import type { PageFile } from './page-file.ts';
import { Page } from './page.ts';

/** Pages between two neighbours that are read along: mostly the overflow of the first. */
const GAP_MAX = 4;

export interface WalkOptions {
  /** `forward`, the default, is from the first key to the last. */
  direction?: 'forward' | 'backward';
  /** Forward: leaves that end below this key are passed over, as far as branches tell. */
  from?: Uint8Array | undefined;
}

interface Level {
  branch: Page;
  /** How many children were visited. */
  done: number;
  range: KeyRange;
}

export class LeafWalk {
  readonly #pages: PageFile;
  readonly #checker: PageChecker;
  readonly #levels: Level[] = [];
  readonly #isBackward: boolean;
  readonly #from: Uint8Array | undefined;
  readonly #leaf = new Page();
  #root: number | undefined;
  /** Pages whose content was lost to damage so far. */
  lostPageCount = 0;
  /** Depth of the leaves, counted from 1, once one was seen. */
  depth = 0;

  constructor(pages: PageFile, root: number, checker: PageChecker, options: WalkOptions = {}) {
    this.#pages = pages;
    this.#root = root;
    this.#isBackward = options.direction === 'backward';
    this.#from = options.from;
    this.#checker = checker;
  }

  /** The next leaf, valid until the next call; undefined at the end. Damaged ones are passed over. */
  next(): Page | undefined {
    if (this.#root !== undefined) {
      const root = this.#root;
      this.#root = undefined;
      const page = this.#visit(root, { low: undefined, high: undefined });
      if (page) return page;
    }
    for (let level = this.#levels.at(-1); level; level = this.#levels.at(-1)) {
      const { branch, range } = level;
      if (level.done >= branch.count) {
        this.#levels.pop();
        continue;
      }
      const turn = level.done++;
      const index = this.#isBackward ? branch.count - 1 - turn : turn;
      if (this.#levels.length + 1 === this.depth && !this.#pages.holds(branch.childId(index)))
        this.#loadRun(branch, index);
      const page = this.#visit(branch.childId(index), {
        low: branch.branchKey(index),
        high: index + 1 < branch.count ? branch.branchKey(index + 1) : range.high,
      });
      if (page) return page;
    }
    return undefined;
  }

  /** The first child to visit. */
  #firstOf(branch: Page): number {
    if (!this.#from) return 0;
    let first = 0;
    for (let i = 1; i < branch.count && compareBytes(branch.branchKey(i), this.#from) <= 0; i++) first = i;
    return first;
  }

  /** Reads leaf `index` of `branch` and those to be visited after it, as far as they lie together. */
  #loadRun(branch: Page, index: number): void {
    const start = branch.childId(index);
    let [first, last] = [start, start];
    if (this.#isBackward) {
      for (let i = index - 1; i >= 0; i--) {
        const id = branch.childId(i);
        if (id >= first || id < first - 1 - GAP_MAX || last - id >= this.#pages.runLimit) break;
        first = id;
      }
    } else {
      for (let i = index + 1; i < branch.count; i++) {
        const id = branch.childId(i);
        if (id <= last || id > last + 1 + GAP_MAX || id - first >= this.#pages.runLimit) break;
        last = id;
      }
    }
    this.#pages.loadRun(first, last);
  }

  /** Gives a leaf to deliver; pushes a branch; passes over what is damaged. */
  #visit(id: number, range: KeyRange): Page | undefined {
    const page = this.#leaf;
    try {
      this.#pages.load(id, page);
    } catch (error) {
      this.lostPageCount++;
      this.#checker.failed(error);
      return undefined;
    }
    if (!this.#checker.checkNode(page, range)) {
      this.lostPageCount++;
      return undefined;
    }
    if (page.isLeaf) {
      this.#checkDepth(page);
      return page;
    }
    if (this.#levels.length >= DEPTH_MAX) {
      this.#checker.failed(
        new CorruptError('bolt.page.depth', `the tree is deeper than ${DEPTH_MAX} levels at page ${id}`, {
          where: { file: this.#pages.source.name, offset: page.offset, unit: `page ${id}` },
        }),
      );
      return undefined;
    }
    const branch = page.detach();
    this.#levels.push({ branch, done: this.#firstOf(branch), range });
    return undefined;
  }

  #checkDepth(page: Page): void {
    const depth = this.#levels.length + 1;
    if (this.depth === 0) this.depth = depth;
    else if (this.depth !== depth) {
      this.#checker.found(
        'bolt.page.depth',
        page,
        `leaf page ${page.id} is ${depth} levels deep, others ${this.depth}`,
      );
    }
  }
}
