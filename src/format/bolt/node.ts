/**
 * A page taken apart, for as long as a transaction changes it. Its elements point into the page or into the bytes
 * that were put, so nothing is copied until the node is written.
 */
import { compareRuns } from '../../bytes/order.ts';
import { CorruptError } from '../../errors.ts';
import {
  BRANCH_ELEMENT,
  ELEMENT_SIZE,
  HEADER_SIZE,
  LEAF_ELEMENT,
  PAGE_BRANCH,
  PAGE_HEADER,
  PAGE_LEAF,
  pageTypeName,
} from './layout.ts';
import type { Page } from './page.ts';
import { Slab } from './slab.ts';

/** A page may grow beyond its size while it has no more elements than this. */
const UNSPLIT_COUNT_MAX = 4;
/** Fewest elements of a part that a split makes. */
const PART_COUNT_MIN = 2;
const NO_RUN: Run = { bytes: new Uint8Array(0), start: 0, end: 0, at: 0 };

/** Bytes that go to one place of a page. */
interface Run {
  bytes: Uint8Array;
  start: number;
  end: number;
  at: number;
}

/** A key with what belongs to it: a value in a leaf, a child in a branch. */
export interface Element {
  /** Holds the key at `start`, and right behind it the value. */
  bytes: Uint8Array;
  start: number;
  keySize: number;
  /** 0 in a branch. */
  valueSize: number;
  /** Leaf: `ELEMENT_BUCKET` or 0. */
  flags: number;
  /** Branch: page of the child; of no meaning while `node` is dirty. */
  child: number;
  /** Branch: the child, once it was taken apart. */
  node: Node | undefined;
}

export class Node {
  readonly isLeaf: boolean;
  elements: Element[] = [];
  /** Bytes of the page it would fill, up to the end of the last value. */
  size = HEADER_SIZE;
  /** Page it was read from; 0 when there is none, or it was given back. */
  pageId = 0;
  /** Pages it has there, with overflow. */
  pageCount = 0;
  /** Whether it has to be written; then all nodes above it are dirty too. */
  isDirty = false;
  /** Whether it lost elements, and so may be too small to stay. */
  isShrunk = false;

  constructor(isLeaf: boolean, elements: Element[] = []) {
    this.isLeaf = isLeaf;
    this.setElements(elements);
  }

  /** What `page` of `file` holds; it keeps the page's memory. Throws `CorruptError` when elements point outside it. */
  static ofPage(page: Page, file: string): Node {
    const { isLeaf, id } = page;
    const where = { file, offset: page.offset, unit: `page ${id}` };
    if (!isLeaf && !page.isBranch) {
      const message = `page ${id} is a ${pageTypeName(page.flags)} page, expected branch or leaf`;
      throw new CorruptError('bolt.page.flags', message, { where });
    }
    if (HEADER_SIZE + ELEMENT_SIZE * page.count > page.size || (page.count === 0 && !isLeaf)) {
      throw new CorruptError('bolt.page.element', `page ${id} counts ${page.count} elements`, { where });
    }
    const node = new Node(isLeaf);
    const end = page.start + page.size;
    for (let i = 0; i < page.count; i++) {
      const element = isLeaf ? leafElement(page, i) : branchElement(page, i);
      if (element.start + element.keySize + element.valueSize > end) {
        throw new CorruptError('bolt.page.element', `element ${i} of page ${id} points outside it`, {
          where,
        });
      }
      node.elements.push(element);
      node.size += sizeOf(element);
    }
    if (!page.isInline) {
      node.pageId = id;
      node.pageCount = page.overflow + 1;
    }
    return node;
  }

  get count(): number {
    return this.elements.length;
  }

  /** Gives it these elements in place of those it has. */
  setElements(elements: Element[]): void {
    this.elements = elements;
    this.size = HEADER_SIZE;
    for (const element of elements) this.size += sizeOf(element);
  }

  #compareAt(index: number, key: Uint8Array): number {
    const { bytes, start, keySize } = this.elements[index]!;
    return compareRuns(bytes, start, start + keySize, key, 0, key.length);
  }

  /** Index of the first element whose key is not below `key`; `count` when there is none. */
  lowerBound(key: Uint8Array): number {
    const { count } = this;
    // Revisions come in ascending order: nearly all of them belong behind the last one.
    if (count > 0 && this.#compareAt(count - 1, key) < 0) return count;
    let low = 0;
    for (let high = count; low < high;) {
      const middle = (low + high) >>> 1;
      if (this.#compareAt(middle, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Whether element `index` has `key`. */
  hasKey(index: number, key: Uint8Array): boolean {
    return index < this.count && this.#compareAt(index, key) === 0;
  }

  /** Branch: index of the child under which `key` lies. */
  childIndex(key: Uint8Array): number {
    const index = this.lowerBound(key);
    return this.hasKey(index, key) ? index : Math.max(0, index - 1);
  }

  /** Puts `element` at `index`, over the one that is there when `isReplacing`. */
  place(index: number, element: Element, isReplacing: boolean): void {
    if (isReplacing) this.size -= sizeOf(this.elements[index]!);
    if (isReplacing) this.elements[index] = element;
    else if (index === this.count) this.elements.push(element);
    else this.elements.splice(index, 0, element);
    this.size += sizeOf(element);
  }

  remove(index: number): void {
    this.size -= sizeOf(this.elements[index]!);
    this.elements.splice(index, 1);
    this.isShrunk = true;
  }

  /** Takes over the elements of the node right of it. */
  absorb(right: Node): void {
    for (const element of right.elements) this.elements.push(element);
    this.size += right.size - HEADER_SIZE;
    this.isDirty = true;
  }

  /**
   * Parts that fit a page each, of which it becomes the first. As in bbolt, a node that fits or that has few elements
   * stays whole, and parts are filled up to `fill` pages.
   */
  split(pageSize: number, fill: number): Node[] {
    const cuts = this.#cuts(pageSize, pageSize * fill);
    const { elements } = this;
    const parts = cuts.map((from, i) => new Node(this.isLeaf, elements.slice(from, cuts[i + 1])));
    if (cuts.length > 0) this.setElements(elements.slice(0, cuts[0]));
    for (const part of parts) part.isDirty = true;
    return [this, ...parts];
  }

  /** Indexes at which parts behind the first begin. */
  #cuts(pageSize: number, partSize: number): number[] {
    const { elements } = this;
    const cuts: number[] = [];
    let from = 0;
    let left = this.size;
    while (elements.length - from > UNSPLIT_COUNT_MAX && left >= pageSize) {
      let size = HEADER_SIZE;
      let to = from;
      for (; to < elements.length - PART_COUNT_MIN; to++) {
        const next = sizeOf(elements[to]!);
        if (to - from >= PART_COUNT_MIN && size + next > partSize) break;
        size += next;
      }
      cuts.push(to);
      left -= size - HEADER_SIZE;
      from = to;
    }
    return cuts;
  }

  /** Lays the page out at `into[at]`. */
  encode(into: Uint8Array, at: number, id: number, overflow: number): void {
    const flags = this.isLeaf ? PAGE_LEAF : PAGE_BRANCH;
    PAGE_HEADER.encode({ id: BigInt(id), flags, count: this.count, overflow }, into, at);
    const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
    let elementAt = at + HEADER_SIZE;
    let dataAt = elementAt + ELEMENT_SIZE * this.count;
    // Neighbours often lie behind each other already, in an older page or as they were put: one copy for all of them.
    let run: Run = NO_RUN;
    for (const element of this.elements) {
      const { bytes, start, keySize, valueSize } = element;
      const position = dataAt - elementAt;
      if (this.isLeaf) {
        view.setUint32(elementAt + LEAF_ELEMENT.fields.flags.offset, element.flags, true);
        view.setUint32(elementAt + LEAF_ELEMENT.fields.position.offset, position, true);
        view.setUint32(elementAt + LEAF_ELEMENT.fields.keySize.offset, keySize, true);
        view.setUint32(elementAt + LEAF_ELEMENT.fields.valueSize.offset, valueSize, true);
      } else {
        view.setUint32(elementAt + BRANCH_ELEMENT.fields.position.offset, position, true);
        view.setUint32(elementAt + BRANCH_ELEMENT.fields.keySize.offset, keySize, true);
        view.setBigUint64(elementAt + BRANCH_ELEMENT.fields.page.offset, BigInt(element.child), true);
      }
      if (run.bytes !== bytes || run.end !== start) {
        into.set(run.bytes.subarray(run.start, run.end), run.at);
        run = { bytes, start, end: start, at: dataAt };
      }
      run.end += keySize + valueSize;
      elementAt += ELEMENT_SIZE;
      dataAt += keySize + valueSize;
    }
    into.set(run.bytes.subarray(run.start, run.end), run.at);
  }
}

/** The element of `page` that has `key`, or in a branch the one under which it lies; undefined when there is none. */
export function elementFor(page: Page, key: Uint8Array): Element | undefined {
  if (!page.isLeaf) return branchElement(page, page.childIndex(key));
  const index = page.find(key);
  return index < 0 ? undefined : leafElement(page, index);
}

const sizeOf = (element: Element): number => ELEMENT_SIZE + element.keySize + element.valueSize;

function leafElement(page: Page, index: number): Element {
  return {
    bytes: page.bytes,
    start: page.keyStart(index),
    keySize: page.keySize(index),
    valueSize: page.valueSize(index),
    flags: page.elementFlags(index),
    child: 0,
    node: undefined,
  };
}

function branchElement(page: Page, index: number): Element {
  return {
    bytes: page.bytes,
    start: page.branchKeyStart(index),
    keySize: page.branchKeySize(index),
    valueSize: 0,
    flags: 0,
    child: page.childId(index),
    node: undefined,
  };
}

/** A leaf's element, copied to memory that is its own, or `slab`'s. */
export function pairElement(key: Uint8Array, value: Uint8Array, flags: number, slab = new Slab(0)): Element {
  const keySize = key.length;
  const { bytes, start } = slab.take(keySize + value.length);
  bytes.set(key, start);
  bytes.set(value, start + keySize);
  return { bytes, start, keySize, valueSize: value.length, flags, child: 0, node: undefined };
}

/** A branch's element for a node that is not empty. */
export function childElement(node: Node): Element {
  const { bytes, start, keySize } = node.elements[0]!;
  return { bytes, start, keySize, valueSize: 0, flags: 0, child: node.pageId, node };
}

/** A view of a leaf element's value. */
export function valueOf({ bytes, start, keySize, valueSize }: Element): Uint8Array {
  return bytes.subarray(start + keySize, start + keySize + valueSize);
}
