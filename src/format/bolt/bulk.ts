/**
 * Builds a new file from buckets and keys that come in order: leaves are packed as they come, branches grow above
 * them, nothing is kept but one page for each level. Pages are numbered as they are written, so the output is
 * written once, from front to back; the metas come last.
 *
 * Differs from bbolt: pages are filled to the end, and an element that spills into overflow pages shares the rest
 * of them with those that follow. Both are layouts that every bbolt reads.
 */
import { compareRuns, showBytes } from '../../bytes/order.ts';
import { ToolError } from '../../errors.ts';
import {
  BRANCH_ELEMENT,
  BUCKET_HEADER,
  ELEMENT_BUCKET,
  ELEMENT_SIZE,
  FIRST_DATA_PAGE,
  HEADER_SIZE,
  INLINE_DIVISOR,
  LEAF_ELEMENT,
  PAGE_BRANCH,
  PAGE_HEADER,
  PAGE_LEAF,
} from './layout.ts';
import { encodeMetaPage } from './meta.ts';

const OUTPUT_SIZE = 4 << 20;
/** With fewer children a branch of very long keys would not make the tree narrower. */
const BRANCH_COUNT_MIN = 2;

/** Where the file goes. */
export interface BulkOutput {
  write(bytes: Uint8Array, position: number): void;
}

/** Collects the elements of one page until they are placed. */
class PageBuilder {
  count = 0;
  /** Bytes of the page if it were closed now. */
  size = HEADER_SIZE;
  /** Keys and values, one after another. */
  data = new Uint8Array(8192);
  dataSize = 0;
  /** Where the key added last lies in `data`, also when its page was placed; its size is 0 before the first one. */
  #lastKeyStart = 0;
  #lastKeySize = 0;
  flags = new Uint32Array(512);
  keySizes = new Uint32Array(512);
  valueSizes = new Uint32Array(512);
  /** Child pages, in a branch. */
  children = new Float64Array(512);

  /** Whether an element of this many bytes goes into the pages that the content fills so far; the first ones always do. */
  fits(size: number, pageSize: number, countMin = 1): boolean {
    if (this.count < countMin) return true;
    if (this.count >= 0xfffe) return false;
    const room = Math.max(1, Math.ceil(this.size / pageSize)) * pageSize;
    return this.size + ELEMENT_SIZE + size <= room;
  }

  add(
    bytes: Uint8Array,
    start: number,
    keySize: number,
    valueSize: number,
    flags: number,
    child: number,
  ): void {
    const { count } = this;
    this.#assertAscending(bytes, start, keySize);
    if (count === this.flags.length) this.#growElements();
    const end = this.dataSize + keySize + valueSize;
    if (end > this.data.length) {
      const data = new Uint8Array(Math.max(end, this.data.length * 2));
      data.set(this.data.subarray(0, this.dataSize));
      this.data = data;
    }
    copyRun(bytes, start, this.data, this.dataSize, keySize + valueSize);
    this.#lastKeyStart = this.dataSize;
    this.#lastKeySize = keySize;
    this.flags[count] = flags;
    this.keySizes[count] = keySize;
    this.valueSizes[count] = valueSize;
    this.children[count] = child;
    this.dataSize = end;
    this.size += ELEMENT_SIZE + keySize + valueSize;
    this.count = count + 1;
  }

  #assertAscending(bytes: Uint8Array, start: number, keySize: number): void {
    const last = this.#lastKeyStart;
    if (compareRuns(this.data, last, last + this.#lastKeySize, bytes, start, start + keySize) < 0) return;
    const key = showBytes(bytes.subarray(start, start + keySize));
    throw new ToolError('unexpected', `bulk writer: key ${key} is not above the one before it`);
  }

  #growElements(): void {
    const grow = <A extends Uint32Array | Float64Array>(old: A): A => {
      const grown = new (old.constructor as new (length: number) => A)(old.length * 2);
      grown.set(old);
      return grown;
    };
    this.flags = grow(this.flags);
    this.keySizes = grow(this.keySizes);
    this.valueSizes = grow(this.valueSizes);
    this.children = grow(this.children);
  }

  firstKey(): Uint8Array {
    return this.data.subarray(0, this.keySizes[0] ?? 0);
  }

  /** Lays the page out at `into[at]`; its overflow follows from `into`'s page size. */
  encode(
    into: Uint8Array,
    view: DataView,
    at: number,
    id: number,
    isBranch: boolean,
    overflow: number,
  ): void {
    view.setBigUint64(at, BigInt(id), true);
    view.setUint16(at + PAGE_HEADER.fields.flags.offset, isBranch ? PAGE_BRANCH : PAGE_LEAF, true);
    view.setUint16(at + PAGE_HEADER.fields.count.offset, this.count, true);
    view.setUint32(at + PAGE_HEADER.fields.overflow.offset, overflow, true);
    let element = at + HEADER_SIZE;
    let dataAt = element + ELEMENT_SIZE * this.count;
    into.set(this.data.subarray(0, this.dataSize), dataAt);
    for (let i = 0; i < this.count; i++, element += ELEMENT_SIZE) {
      if (isBranch) {
        view.setUint32(element + BRANCH_ELEMENT.fields.position.offset, dataAt - element, true);
        view.setUint32(element + BRANCH_ELEMENT.fields.keySize.offset, this.keySizes[i]!, true);
        view.setBigUint64(element + BRANCH_ELEMENT.fields.page.offset, BigInt(this.children[i]!), true);
      } else {
        view.setUint32(element + LEAF_ELEMENT.fields.flags.offset, this.flags[i]!, true);
        view.setUint32(element + LEAF_ELEMENT.fields.position.offset, dataAt - element, true);
        view.setUint32(element + LEAF_ELEMENT.fields.keySize.offset, this.keySizes[i]!, true);
        view.setUint32(element + LEAF_ELEMENT.fields.valueSize.offset, this.valueSizes[i]!, true);
      }
      dataAt += this.keySizes[i]! + this.valueSizes[i]!;
    }
  }

  /** Ready for the next page, whose keys lie above those of the last one. */
  clear(): void {
    this.count = 0;
    this.size = HEADER_SIZE;
    this.dataSize = 0;
  }

  /** Ready for another tree. */
  restart(): void {
    this.clear();
    this.#lastKeySize = 0;
  }
}

/** A short run is copied faster byte by byte than by a call. */
function copyRun(from: Uint8Array, start: number, to: Uint8Array, at: number, size: number): void {
  if (size > 64) {
    to.set(from.subarray(start, start + size), at);
    return;
  }
  for (let i = 0; i < size; i++) to[at + i] = from[start + i]!;
}

export interface BulkResult {
  pageSize: number;
  /** High-water mark, in pages. */
  pageLimit: number;
  sizeBytes: number;
}

export class BulkWriter {
  readonly #output: BulkOutput;
  readonly #pageSize: number;
  #buffer = new Uint8Array(OUTPUT_SIZE);
  #view = new DataView(this.#buffer.buffer);
  #buffered = 0;
  /** File offset of the buffer's first byte. */
  #written: number;
  #nextPage = FIRST_DATA_PAGE;

  readonly #leaf = new PageBuilder();
  readonly #root = new PageBuilder();
  #branches: PageBuilder[] = [];
  #name: Uint8Array | undefined;
  #sequence = 0n;
  #isFlushed = false;

  constructor(output: BulkOutput, options: { pageSize: number }) {
    this.#output = output;
    this.#pageSize = options.pageSize;
    this.#written = FIRST_DATA_PAGE * options.pageSize;
  }

  /** Buckets come in name order. */
  beginBucket(name: Uint8Array, sequence = 0n): void {
    this.#name = new Uint8Array(name);
    this.#sequence = sequence;
    this.#isFlushed = false;
    this.#leaf.restart();
    this.#branches = [];
  }

  /** A key with its value right behind it, `bytes[start, start + keySize + valueSize)`, above the one before. */
  add(bytes: Uint8Array, start: number, keySize: number, valueSize: number): void {
    if (!this.#leaf.fits(keySize + valueSize, this.#pageSize)) this.#closePage(0, this.#leaf, false);
    this.#leaf.add(bytes, start, keySize, valueSize, 0, 0);
  }

  /** A key and a value that lie apart. */
  addPair(key: Uint8Array, value: Uint8Array): void {
    const pair = new Uint8Array(key.length + value.length);
    pair.set(key);
    pair.set(value, key.length);
    this.add(pair, 0, key.length, value.length);
  }

  endBucket(): void {
    const leaf = this.#leaf;
    const isInline = !this.#isFlushed && leaf.size <= this.#pageSize / INLINE_DIVISOR;
    const value = new Uint8Array(BUCKET_HEADER.size + (isInline ? leaf.size : 0));
    const root = isInline ? 0 : this.#closeTree(leaf);
    BUCKET_HEADER.encode({ root: BigInt(root), sequence: this.#sequence }, value);
    if (isInline) leaf.encode(value, new DataView(value.buffer), BUCKET_HEADER.size, 0, false, 0);

    const name = this.#name!;
    const element = new Uint8Array(name.length + value.length);
    element.set(name);
    element.set(value, name.length);
    this.#root.add(element, 0, name.length, value.length, ELEMENT_BUCKET, 0);
    this.#name = undefined;
  }

  /** Writes the root bucket and both metas; the file is then whole. */
  finish(options: { txid: bigint }): BulkResult {
    const pageSize = this.#pageSize;
    const rows = this.#root;
    const page = new PageBuilder();
    this.#branches = [];
    this.#isFlushed = false;
    for (let i = 0, at = 0; i < rows.count; i++) {
      const keySize = rows.keySizes[i]!;
      const valueSize = rows.valueSizes[i]!;
      if (!page.fits(keySize + valueSize, pageSize)) this.#closePage(0, page, false);
      page.add(rows.data, at, keySize, valueSize, ELEMENT_BUCKET, 0);
      at += keySize + valueSize;
    }
    const root = this.#closeTree(page);
    this.#flush();
    const pageLimit = this.#nextPage;
    const meta = { pageSize, root, sequence: 0n, freelist: undefined, pageLimit };
    const metas = new Uint8Array(2 * pageSize);
    metas.set(encodeMetaPage({ ...meta, page: 0, txid: options.txid }));
    metas.set(encodeMetaPage({ ...meta, page: 1, txid: options.txid - 1n }), pageSize);
    this.#output.write(metas, 0);
    return { pageSize, pageLimit, sizeBytes: pageLimit * pageSize };
  }

  /** Closes the pages that are still open, bottom up. Gives the page of the tree's root. */
  #closeTree(leaf: PageBuilder): number {
    if (!this.#isFlushed) return this.#place(leaf, false);
    if (leaf.count > 0) this.#closePage(0, leaf, false);
    for (let level = 0; ; level++) {
      const branch = this.#branches[level]!;
      const isTop = level === this.#branches.length - 1;
      if (isTop && branch.count === 1) return branch.children[0]!;
      if (isTop) return this.#place(branch, true);
      if (branch.count > 0) this.#closePage(level + 1, branch, true);
    }
  }

  /** Writes a page and names it in the branch at `level` above it. */
  #closePage(level: number, page: PageBuilder, isBranch: boolean): void {
    this.#isFlushed = true;
    const key = page.firstKey().slice();
    const id = this.#place(page, isBranch);
    this.#branches[level] ??= new PageBuilder();
    const parent = this.#branches[level];
    if (!parent.fits(key.length, this.#pageSize, BRANCH_COUNT_MIN)) this.#closePage(level + 1, parent, true);
    parent.add(key, 0, key.length, 0, 0, id);
  }

  /** Writes a page under the next number, and empties the builder. */
  #place(page: PageBuilder, isBranch: boolean): number {
    const id = this.#nextPage;
    const pages = Math.max(1, Math.ceil(page.size / this.#pageSize));
    const size = pages * this.#pageSize;
    if (this.#buffered + size > this.#buffer.length) this.#flush();
    if (size > this.#buffer.length) {
      this.#buffer = new Uint8Array(size);
      this.#view = new DataView(this.#buffer.buffer);
    }
    this.#buffer.fill(0, this.#buffered + page.size, this.#buffered + size);
    page.encode(this.#buffer, this.#view, this.#buffered, id, isBranch, pages - 1);
    this.#buffered += size;
    this.#nextPage += pages;
    page.clear();
    return id;
  }

  #flush(): void {
    if (this.#buffered === 0) return;
    this.#output.write(this.#buffer.subarray(0, this.#buffered), this.#written);
    this.#written += this.#buffered;
    this.#buffered = 0;
  }
}
