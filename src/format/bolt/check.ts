/**
 * What must hold of one page, by itself and under its parent. Stricter than bbolt's check: bbolt writes keys and
 * values without a gap, a parent's key equal to its child's first, and just as many pages as are needed, so any
 * other byte there is damage.
 */
import { compareRuns, showBytes } from '../../bytes/order.ts';
import { CorruptError, type ErrorCode, type FindingSink, findingOf, type Severity } from '../../errors.ts';
import { CLAIM, type PageClaims } from './claims.ts';
import {
  ELEMENT_BUCKET,
  ELEMENT_SIZE,
  HEADER_SIZE,
  KEY_SIZE_MAX,
  PAGE_BRANCH,
  PAGE_LEAF,
  pageTypeName,
  VALUE_SIZE_MAX,
} from './layout.ts';
import type { Page } from './page.ts';

/** Keys of a page must lie in [low, high); `low` is exact. Undefined: no bound on that side. */
export interface KeyRange {
  low: Uint8Array | undefined;
  high: Uint8Array | undefined;
}

/** Reports findings, or throws the first one when nobody takes them. */
export class PageChecker {
  readonly #report: FindingSink | undefined;
  readonly #file: string;
  readonly #claims: PageClaims | undefined;
  /** Bucket that is being walked, for messages. */
  bucket = '';

  /** Without `claims`, pages may be used more than once. */
  constructor(options: { file: string; claims: PageClaims | undefined; report?: FindingSink | undefined }) {
    this.#file = options.file;
    this.#claims = options.claims;
    this.#report = options.report;
  }

  /** Passes on what a strict reader threw. */
  failed(error: unknown): void {
    if (!(error instanceof CorruptError)) throw error;
    if (!this.#report) throw error;
    this.#report(findingOf(error));
  }

  found(code: ErrorCode, page: Page, message: string, at = 0, severity: Severity = 'lossy'): void {
    const where = {
      file: this.#file,
      offset: page.offset + at,
      unit: `page ${page.id}`,
      ...(this.bucket ? { field: `bucket ${this.bucket}` } : {}),
    };
    if (!this.#report) throw new CorruptError(code, message, { where });
    this.#report({ code, severity, where, message });
  }

  /** Header, claim and elements of a node page. Gives whether its elements can be used. */
  checkNode(page: Page, range: KeyRange): boolean {
    page.isDamaged = !(this.#checkHeader(page) && this.#checkElements(page));
    if (page.isDamaged) return false;
    this.#checkOrder(page, range);
    // bbolt drops a page that runs empty, and keeps an empty bucket inline; only a file without buckets has one.
    if (page.count === 0 && (range.low || this.bucket)) {
      this.found(
        'bolt.page.element',
        page,
        `page ${page.id} counts no elements, but empty pages are never kept`,
        10,
      );
      return false;
    }
    return true;
  }

  #checkHeader(page: Page): boolean {
    const { flags, id } = page;
    if (page.selfId !== id) {
      this.found('bolt.page.id', page, `page ${id} calls itself ${page.selfId}`);
      return false;
    }
    if (flags !== PAGE_BRANCH && flags !== PAGE_LEAF) {
      this.found(
        'bolt.page.flags',
        page,
        `page ${id} is a ${pageTypeName(flags)} page, expected branch or leaf`,
        8,
      );
      return false;
    }
    const taken = this.#claims?.claim(id, page.overflow, flags === PAGE_LEAF ? CLAIM.leaf : CLAIM.branch);
    if (taken !== undefined) {
      this.found(
        'bolt.page.double-use',
        page,
        `page ${taken} is used twice: multiple references, here from page ${id}`,
      );
      return taken !== id;
    }
    return true;
  }

  /** An inline page: a leaf inside a bucket's value. */
  checkInline(page: Page): boolean {
    if (page.selfId !== 0 || page.flags !== PAGE_LEAF || page.overflow !== 0) {
      this.found('bolt.bucket', page, `the inline page of the bucket has a malformed header`);
      page.isDamaged = true;
      return false;
    }
    page.isDamaged = !this.#checkElements(page);
    if (!page.isDamaged) this.#checkOrder(page, { low: undefined, high: undefined });
    return !page.isDamaged;
  }

  #checkElements(page: Page): boolean {
    const { count, isBranch } = page;
    let cursor = HEADER_SIZE + ELEMENT_SIZE * count;
    if (cursor > page.size || (isBranch && count === 0)) {
      this.found('bolt.page.element', page, `page ${page.id} counts ${count} elements`, 10);
      return false;
    }
    for (let i = 0; i < count; i++) {
      const start = (isBranch ? page.branchKeyStart(i) : page.keyStart(i)) - page.start;
      const keySize = isBranch ? page.branchKeySize(i) : page.keySize(i);
      const valueSize = isBranch ? 0 : page.valueSize(i);
      const elementAt = HEADER_SIZE + ELEMENT_SIZE * i;
      if (start !== cursor || start + keySize + valueSize > page.size) {
        const message = `element ${i} of page ${page.id} has ${keySize}+${valueSize} bytes at ${start}, expected at ${cursor} of ${page.size}`;
        this.found('bolt.page.element', page, message, elementAt);
        return false;
      }
      if (keySize === 0 || keySize > KEY_SIZE_MAX || valueSize > VALUE_SIZE_MAX) {
        this.found(
          'bolt.key',
          page,
          `element ${i} of page ${page.id} has a key of ${keySize} bytes`,
          elementAt,
        );
        return false;
      }
      if (!isBranch && (page.elementFlags(i) | ELEMENT_BUCKET) !== ELEMENT_BUCKET) {
        this.found(
          'bolt.page.element',
          page,
          `element ${i} of page ${page.id} has flags ${page.elementFlags(i)}`,
          elementAt,
        );
        return false;
      }
      cursor = start + keySize + valueSize;
    }
    page.usedSize = cursor;
    // What bbolt writes behind the content is zero, so the next byte tells whether a last value lost its end.
    if (cursor < page.size && page.bytes[page.start + cursor] !== 0) {
      this.found(
        'bolt.page.element',
        page,
        `the elements of page ${page.id} end at ${cursor}, but more bytes follow`,
        cursor,
      );
    }
    return page.isInline ? this.#checkInlineEnd(page) : this.#checkOverflow(page);
  }

  #checkInlineEnd(page: Page): boolean {
    if (page.usedSize === page.size) return true;
    const message = `the inline page of the bucket has ${page.size} bytes, but its elements end at ${page.usedSize}`;
    this.found('bolt.page.element', page, message, 10);
    return false;
  }

  /** Older bbolt took one page more than needed when the content ended on a page's edge. */
  #checkOverflow(page: Page): boolean {
    const pageSize = page.size / (page.overflow + 1);
    const needed = Math.ceil(page.usedSize / pageSize) - 1;
    const isSpare = page.usedSize % pageSize === 0 && page.overflow === needed + 1;
    if (page.overflow === needed || isSpare) return true;
    this.found(
      'bolt.page.overflow',
      page,
      `page ${page.id} has ${page.overflow} overflow pages, but needs ${needed}`,
      12,
    );
    return true;
  }

  #checkOrder(page: Page, { low, high }: KeyRange): void {
    const { bytes, count, isBranch } = page;
    let previousStart = 0;
    let previousEnd = 0;
    for (let i = 0; i < count; i++) {
      const start = isBranch ? page.branchKeyStart(i) : page.keyStart(i);
      const end = start + (isBranch ? page.branchKeySize(i) : page.keySize(i));
      if (i > 0 && compareRuns(bytes, previousStart, previousEnd, bytes, start, end) >= 0) {
        const shown = showBytes(bytes.subarray(start, end));
        const message = `key ${i} of page ${page.id}, ${shown}, is not above the one before it`;
        this.found('bolt.page.order', page, message, start - page.start);
      }
      previousStart = start;
      previousEnd = end;
    }
    if (count === 0) return;
    const first = isBranch ? page.branchKeyStart(0) : page.keyStart(0);
    const firstEnd = first + (isBranch ? page.branchKeySize(0) : page.keySize(0));
    if (low && compareRuns(bytes, first, firstEnd, low, 0, low.length) !== 0) {
      const message = `the first key of page ${page.id}, ${showBytes(bytes.subarray(first, firstEnd))}, is not the one its parent gives, ${showBytes(low)}`;
      this.found('bolt.page.ancestor', page, message, first - page.start);
    }
    if (high && compareRuns(bytes, previousStart, previousEnd, high, 0, high.length) >= 0) {
      const message = `the last key of page ${page.id}, ${showBytes(bytes.subarray(previousStart, previousEnd))}, is not below the next key of its parent, ${showBytes(high)}`;
      this.found('bolt.page.ancestor', page, message, previousStart - page.start);
    }
  }
}
