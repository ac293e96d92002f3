/**
 * Pages by number. Whoever knows which pages come next has them read in one run; otherwise each is read alone. Memory
 * is constant: the buffer of the run, and one for the longest page with overflow.
 */
import type { Source } from '../../bytes/source.ts';
import { CorruptError } from '../../errors.ts';
import { FIRST_DATA_PAGE, HEADER_SIZE } from './layout.ts';
import { Page } from './page.ts';

/** Stays in the cache of one core, and what a read costs beside copying is lost in it. */
const RUN_SIZE = 128 * 1024;

/** Longer than any page with overflow that etcd can be brought to write; it bounds what a damaged count allocates. */
const PAGE_SIZE_MAX = 256 << 20;

/** So many runs are timed. */
const TIMED_RUNS = 64;
/** 0.7 GB/s: small reads from the page cache are several times as fast, those from a disk slower. */
const CACHED_BYTES_PER_MS = 700_000;

interface Buffer {
  bytes: Uint8Array;
  words: Uint32Array;
}

function bufferOf(size: number): Buffer {
  const bytes = new Uint8Array(size);
  return { bytes, words: new Uint32Array(bytes.buffer) };
}

export class PageFile {
  readonly source: Source;
  readonly pageSize: number;
  /** High-water mark, in pages. */
  pageLimit: number;
  /** How many pages {@link loadRun} takes at most. */
  readonly runLimit: number;
  readonly #run: Buffer;
  /** Pages that `#run` holds. */
  #runFirst = 0;
  #runCount = 0;
  #timedRuns = 0;
  #timedMs = 0;
  #timedBytes = 0;
  #long = bufferOf(0);

  constructor(source: Source, pageSize: number, pageLimit: number) {
    this.source = source;
    this.pageSize = pageSize;
    this.pageLimit = pageLimit;
    this.runLimit = Math.max(1, Math.floor(RUN_SIZE / pageSize));
    this.#run = bufferOf(this.runLimit * pageSize);
  }

  /** The file has other content now, and so many pages. */
  renew(pageLimit: number): void {
    this.#runCount = 0;
    this.pageLimit = pageLimit;
  }

  /** Whether `load` would find page `id` without reading. */
  holds(id: number): boolean {
    return id >= this.#runFirst && id < this.#runFirst + this.#runCount;
  }

  /**
   * Reads pages `first` to `last`, which will be loaded next. Never throws: what cannot be read as a run is read page
   * by page when it is loaded, and fails there.
   */
  loadRun(first: number, last: number): void {
    const end = Math.min(last + 1, first + this.runLimit, this.pageLimit, this.#pagesInFile());
    if (!(first >= FIRST_DATA_PAGE && end > first)) return;
    const began = performance.now();
    try {
      this.#read(first, end - first);
    } catch {
      this.#runCount = 0;
    }
    if (this.#timedRuns < TIMED_RUNS) this.#time(performance.now() - began, end - first);
  }

  /**
   * Loads page `id` with its overflow into `page`. Throws `CorruptError` when it is not below the high-water
   * mark, not in the file, or owns pages that are not.
   */
  load(id: number, page: Page): void {
    const { pageSize } = this;
    const offset = id * pageSize;
    this.#assertInside(id);
    if (!this.holds(id)) this.#read(id, 1);
    const start = offset - this.#runFirst * pageSize;
    page.place(this.#run.bytes, this.#run.words, start, pageSize);
    page.id = id;
    page.offset = offset;

    const { overflow } = page;
    if (overflow === 0) return;
    this.#assertOverflow(id, overflow);
    const size = (overflow + 1) * pageSize;
    if (this.#extendRun(id + overflow)) page.size = size;
    else this.#loadLong(page, offset, size);
  }

  /** Brings the run to end with page `last` if it ends before. Gives whether there was room. */
  #extendRun(last: number): boolean {
    if (this.holds(last)) return true;
    if (last >= this.#runFirst + this.runLimit) return false;
    const { pageSize } = this;
    const end = this.#runFirst + this.#runCount;
    const into = this.#run.bytes.subarray(this.#runCount * pageSize, (last + 1 - this.#runFirst) * pageSize);
    this.source.readInto(end * pageSize, into);
    this.#runCount = last + 1 - this.#runFirst;
    return true;
  }

  /** Page `id` with its overflow, in memory of its own and past the run. Throws as `load` does. */
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
    if (isInFile && (overflow + 1) * this.pageSize <= PAGE_SIZE_MAX) return;
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
    if (this.#long.bytes.length < size) this.#long = bufferOf(size);
    this.source.readInto(offset, this.#long.bytes.subarray(0, size));
    page.place(this.#long.bytes, this.#long.words, 0, size);
  }

  /** After the first runs it is known whether they come from memory, or from a disk that had better hurry. */
  #time(tookMs: number, pages: number): void {
    this.#timedRuns++;
    this.#timedMs += tookMs;
    this.#timedBytes += pages * this.pageSize;
    if (this.#timedRuns === TIMED_RUNS && this.#timedBytes < this.#timedMs * CACHED_BYTES_PER_MS)
      this.source.readAhead?.();
  }

  #pagesInFile(): number {
    return Math.floor(this.source.size / this.pageSize);
  }

  /** Fills the run. */
  #read(first: number, count: number): void {
    this.#runCount = 0;
    const size = count * this.pageSize;
    const { bytes } = this.#run;
    this.source.readInto(first * this.pageSize, size < bytes.length ? bytes.subarray(0, size) : bytes);
    this.#runFirst = first;
    this.#runCount = count;
  }
}
