/**
 * Pages by number, through a small cache of windows. Memory is constant: the windows, and one buffer for
 * the longest page with overflow.
 */
import type { Source } from '../../bytes/source.ts';
import { CorruptError } from '../../errors.ts';
import { FIRST_DATA_PAGE, HEADER_SIZE } from './layout.ts';
import { Page } from './page.ts';

/** A read of this size costs little more than one of a page, and neighbours in the tree often lie together. */
const WINDOW_SIZE = 16 * 1024;
/** Windows are kept by their number modulo this. */
const WINDOW_COUNT = 1024;

/** Longer than any run of pages that etcd can be brought to write; it bounds what a damaged count allocates. */
const RUN_SIZE_MAX = 256 << 20;

interface Window {
  bytes: Uint8Array;
  words: Uint32Array;
  /** Which window of the file it holds, or −1. */
  index: number;
  /** Bytes of it that the file has. */
  size: number;
}

export class PageFile {
  readonly source: Source;
  readonly pageSize: number;
  /** High-water mark, in pages. */
  readonly pageLimit: number;
  readonly #windowSize: number;
  readonly #windows: Array<Window | undefined> = Array.from({ length: WINDOW_COUNT });
  #long: { bytes: Uint8Array; words: Uint32Array } = { bytes: new Uint8Array(0), words: new Uint32Array(0) };

  constructor(source: Source, pageSize: number, pageLimit: number) {
    this.source = source;
    this.pageSize = pageSize;
    this.pageLimit = pageLimit;
    this.#windowSize = Math.max(WINDOW_SIZE, pageSize);
  }

  /**
   * Loads page `id` with its overflow into `page`. Throws `CorruptError` when it is not below the high-water
   * mark, not in the file, or owns pages that are not.
   */
  load(id: number, page: Page): void {
    const { pageSize } = this;
    const offset = id * pageSize;
    this.#assertInside(id);
    const window = this.#window(Math.floor(offset / this.#windowSize));
    const start = offset % this.#windowSize;
    page.place(window.bytes, window.words, start, pageSize);
    page.id = id;
    page.offset = offset;

    const { overflow } = page;
    if (overflow === 0) return;
    this.#assertOverflow(id, overflow);
    const size = (overflow + 1) * pageSize;
    if (start + size <= window.size) page.size = size;
    else this.#loadLong(page, offset, size);
  }

  /** Page `id` with its overflow, in memory of its own and past the windows. Throws as `load` does. */
  read(id: number): Page {
    this.#assertInside(id);
    const page = this.#readPages(id, 1);
    if (page.overflow === 0) return page;
    this.#assertOverflow(id, page.overflow);
    return this.#readPages(id, page.overflow + 1);
  }

  #readPages(id: number, count: number): Page {
    const bytes = new Uint8Array(count * this.pageSize);
    const page = new Page();
    page.id = id;
    page.offset = id * this.pageSize;
    this.source.readInto(page.offset, bytes);
    page.place(bytes, new Uint32Array(bytes.buffer), 0, bytes.length);
    return page;
  }

  #assertInside(id: number): void {
    if (!(id >= FIRST_DATA_PAGE && id < this.pageLimit)) {
      throw this.#outside(id, `page ${id} lies outside the ${this.pageLimit} pages of the database`);
    }
    if ((id + 1) * this.pageSize > this.source.size) {
      throw this.#outside(
        id,
        `page ${id} lies beyond the end of the file, which has ${this.source.size} bytes`,
      );
    }
  }

  #assertOverflow(id: number, overflow: number): void {
    const isInFile =
      id + overflow < this.pageLimit && (id + overflow + 1) * this.pageSize <= this.source.size;
    if (isInFile && (overflow + 1) * this.pageSize <= RUN_SIZE_MAX) return;
    throw this.#outside(
      id,
      `page ${id} claims ${overflow} overflow pages, more than the database has room for`,
      HEADER_SIZE - 4,
    );
  }

  #outside(id: number, message: string, at = 0): CorruptError {
    const offset = id * this.pageSize + at;
    return new CorruptError('bolt.page.bounds', message, {
      where: {
        file: this.source.name,
        unit: `page ${id}`,
        ...(Number.isSafeInteger(offset) ? { offset } : {}),
      },
    });
  }

  #loadLong(page: Page, offset: number, size: number): void {
    if (this.#long.bytes.length < size) {
      const bytes = new Uint8Array(size);
      this.#long = { bytes, words: new Uint32Array(bytes.buffer) };
    }
    this.source.readInto(offset, this.#long.bytes.subarray(0, size));
    page.place(this.#long.bytes, this.#long.words, 0, size);
  }

  #window(index: number): Window {
    const slot = index % WINDOW_COUNT;
    let window = this.#windows[slot];
    if (window?.index === index) return window;
    if (!window) {
      const bytes = new Uint8Array(this.#windowSize);
      window = { bytes, words: new Uint32Array(bytes.buffer), index, size: 0 };
      this.#windows[slot] = window;
    }
    const offset = index * this.#windowSize;
    window.index = -1;
    window.size = Math.min(this.#windowSize, this.source.size - offset);
    this.source.readInto(
      offset,
      window.size < this.#windowSize ? window.bytes.subarray(0, window.size) : window.bytes,
    );
    window.index = index;
    return window;
  }
}
