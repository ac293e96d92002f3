/**
 * Reads rows of a file's buckets: one row, or a few, through pages kept in memory; long runs with reading ahead and
 * past that memory. Every page is checked when it is read; damage is thrown when it is met.
 */
import { CorruptError } from '../../errors.ts';
import type { PageChecker } from './check.ts';
import type { Bucket } from './file.ts';
import { DEPTH_MAX } from './layout.ts';
import { CACHE_SIZE, PageCache } from './page-cache.ts';
import type { PageFile } from './page-file.ts';
import { Page } from './page.ts';
import { Slab } from './slab.ts';
import { LeafWalk } from './walk.ts';

/** After so many leaves it pays to read ahead. */
const CACHED_LEAVES = 8;
const VALUES_SIZE = 4096;
const FIRST_KEY = new Uint8Array(0);

export interface Row {
  key: Uint8Array;
  value: Uint8Array;
}

interface Place {
  leaf: Page;
  /** First key of the leaf behind it; undefined at the end. */
  next: Uint8Array | undefined;
}

export class TreeReader {
  readonly cache: PageCache;
  readonly #pages: PageFile;
  readonly #checker: PageChecker;
  /** A value that is kept keeps no more memory than a page would be. */
  readonly #values = new Slab(VALUES_SIZE);

  /** `checker` must not claim pages: they are read as often as they are needed. */
  constructor(pages: PageFile, checker: PageChecker, cacheBytes = CACHE_SIZE) {
    this.#pages = pages;
    this.#checker = checker;
    this.cache = new PageCache(pages, checker, cacheBytes);
  }

  /** A copy of the value of `key`; undefined when there is none. */
  get(bucket: Bucket, key: Uint8Array): Uint8Array | undefined {
    const leaf = this.#keptLeafOf(bucket, key) ?? this.#leafOf(bucket, key).leaf;
    const index = leaf.find(key);
    return index < 0 ? undefined : this.#values.copy(leaf.value(index));
  }

  /**
   * Rows from key `from` up to, without, `to`. Their memory is not used again; nobody may change it. The tree must
   * not change before the last one was taken.
   */
  *rows(bucket: Bucket, from?: Uint8Array, to?: Uint8Array): Generator<Row, void> {
    yield* rowsOf(this.#leaves(bucket, from), from, to);
  }

  /** The same, but a row is gone with the next one: of long runs most of the time goes into getting memory. */
  *passingRows(bucket: Bucket, from?: Uint8Array, to?: Uint8Array): Generator<Row, void> {
    yield* rowsOf(this.#leaves(bucket, from, new Page()), from, to);
  }

  /** Those of a long run are put into `kept`, one after the other, where it is given. */
  *#leaves(bucket: Bucket, from: Uint8Array | undefined, kept?: Page): Generator<Page, void> {
    let place = this.#leafOf(bucket, from ?? FIRST_KEY);
    yield place.leaf;
    for (let count = 1; count < CACHED_LEAVES && place.next; count++) {
      place = this.#leafOf(bucket, place.next);
      yield place.leaf;
    }
    if (!place.next) return;
    const walk = new LeafWalk(this.#pages, bucket.root, this.#checker, { from: place.next });
    for (let leaf = this.#nextOf(walk, bucket); leaf; leaf = this.#nextOf(walk, bucket))
      yield leaf.detach(kept);
  }

  #nextOf(walk: LeafWalk, { label }: Bucket): Page | undefined {
    this.#checker.bucket = label;
    return walk.next();
  }

  /** The leaf where `key` lies or would lie, if all pages on the way are in memory. */
  #keptLeafOf({ root }: Bucket, key: Uint8Array): Page | undefined {
    for (let id = root, depth = 0; depth <= DEPTH_MAX; depth++) {
      const page = this.cache.peek(id);
      if (!page) return undefined;
      page.isRecent = true;
      if (page.isLeaf) return page;
      id = page.childId(page.childIndex(key));
    }
    return undefined;
  }

  /** The leaf where `key` lies or would lie. */
  #leafOf({ inline, root, label }: Bucket, key: Uint8Array): Place {
    this.#checker.bucket = label;
    if (inline) {
      // It is checked as often as it is read, since it may be damaged.
      if (inline.usedSize === 0) this.#checker.checkInline(inline);
      return { leaf: inline, next: undefined };
    }
    let low: Uint8Array | undefined;
    let next: Uint8Array | undefined;
    let id = root;
    for (let depth = 0; depth <= DEPTH_MAX; depth++) {
      const page = this.cache.page(id, { low, high: next });
      if (page.isLeaf) return { leaf: page, next };
      const index = page.childIndex(key);
      low = page.branchKey(index);
      if (index + 1 < page.count) next = page.branchKey(index + 1);
      id = page.childId(index);
    }
    const file = this.#pages.source.name;
    throw new CorruptError('bolt.page.depth', `the tree is deeper than ${DEPTH_MAX} levels at page ${id}`, {
      where: { file, unit: `page ${id}` },
    });
  }
}

function* rowsOf(leaves: Iterable<Page>, from?: Uint8Array, to?: Uint8Array): Generator<Row, void> {
  let isFirst = true;
  for (const leaf of leaves) {
    const start = isFirst && from ? leaf.lowerBound(from) : 0;
    const isLast = to !== undefined && leaf.count > 0 && leaf.compareKey(leaf.count - 1, to) >= 0;
    const end = isLast ? leaf.lowerBound(to) : leaf.count;
    for (let i = start; i < end; i++) yield { key: leaf.key(i), value: leaf.value(i) };
    if (isLast) return;
    isFirst = false;
  }
}
