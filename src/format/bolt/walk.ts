/**
 * Walks the tree of one bucket in key order and checks every page on its way. A damaged page costs its subtree,
 * not the walk. Memory: one copy of a branch page for each level.
 */
import { CorruptError } from '../../errors.ts';
import type { KeyRange, PageChecker } from './check.ts';
import { DEPTH_MAX } from './layout.ts';
import type { PageFile } from './page-file.ts';
import { Page } from './page.ts';

interface Level {
  branch: Page;
  next: number;
  range: KeyRange;
}

export class LeafWalk {
  readonly #pages: PageFile;
  readonly #checker: PageChecker;
  readonly #levels: Level[] = [];
  readonly #leaf = new Page();
  #root: number | undefined;
  /** Pages whose content was lost to damage so far. */
  lostPageCount = 0;
  /** Depth of the leaves, counted from 1, once one was seen. */
  depth = 0;

  constructor(pages: PageFile, root: number, checker: PageChecker) {
    this.#pages = pages;
    this.#root = root;
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
      if (level.next >= level.branch.count) {
        this.#levels.pop();
        continue;
      }
      const index = level.next++;
      const { branch, range } = level;
      const page = this.#visit(branch.childId(index), {
        low: branchKey(branch, index),
        high: index + 1 < branch.count ? branchKey(branch, index + 1) : range.high,
      });
      if (page) return page;
    }
    return undefined;
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
    this.#levels.push({ branch: page.detach(), next: 0, range });
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

function branchKey(branch: Page, index: number): Uint8Array {
  const start = branch.branchKeyStart(index);
  return branch.bytes.subarray(start, start + branch.branchKeySize(index));
}
