/**
 * One page, or one run of a page with its overflow, as it lies in a buffer: header, elements, data.
 * A `Page` is filled again and again by its reader; its bytes are valid only until the next load.
 */
import { endianness } from 'node:os';
import { compareRuns } from '../../bytes/order.ts';
import { UnsupportedError } from '../../errors.ts';
import { ELEMENT_SIZE, HEADER_SIZE, PAGE_BRANCH, PAGE_LEAF } from './layout.ts';

const TWO_32 = 2 ** 32;
/** Of a page that nothing was loaded into; making them costs more than all else about a page. */
const NO_BYTES = new Uint8Array(0);
const NO_WORDS = new Uint32Array(0);

if (endianness() !== 'LE') {
  throw new UnsupportedError('bolt.big-endian', 'etcdkit runs on little-endian machines only');
}

export class Page {
  /** The buffer that holds the page, 8-aligned at its start. */
  bytes: Uint8Array = NO_BYTES;
  /** The same memory in 32-bit words. */
  words: Uint32Array = NO_WORDS;
  /** Index into `bytes` where the page starts; a multiple of 8. */
  start = 0;
  /** Bytes from `start` that belong to the page and its overflow. */
  size = 0;
  /** The number under which it was loaded; for an inline page, that of the page it lies in. */
  id = 0;
  /** Byte offset in the file. */
  offset = 0;
  isInline = false;
  /** Set by whoever checked it: its elements cannot be trusted. */
  isDamaged = false;
  /** Set by whoever checked it: bytes in use, up to the end of the last value. */
  usedSize = 0;
  /** Set by whoever keeps it in memory: it was wanted lately. */
  isRecent = false;

  place(bytes: Uint8Array, words: Uint32Array, start: number, size: number): void {
    this.bytes = bytes;
    this.words = words;
    this.start = start;
    this.size = size;
    this.isDamaged = false;
    this.isInline = false;
    this.usedSize = 0;
  }

  /** The number it calls itself; above 2^53 it loses precision, and equals no real page. */
  get selfId(): number {
    const word = this.start >>> 2;
    return this.words[word]! + this.words[word + 1]! * TWO_32;
  }

  get flags(): number {
    return this.words[(this.start >>> 2) + 2]! & 0xffff;
  }

  get count(): number {
    return this.words[(this.start >>> 2) + 2]! >>> 16;
  }

  get overflow(): number {
    return this.words[(this.start >>> 2) + 3]!;
  }

  get isLeaf(): boolean {
    return this.flags === PAGE_LEAF;
  }

  get isBranch(): boolean {
    return this.flags === PAGE_BRANCH;
  }

  #word(index: number): number {
    return (this.start + HEADER_SIZE + ELEMENT_SIZE * index) >>> 2;
  }

  /** Leaf: the element's flags. */
  elementFlags(index: number): number {
    return this.words[this.#word(index)]!;
  }

  /** Leaf: index into `bytes` of the key; the value follows it. */
  keyStart(index: number): number {
    return this.start + HEADER_SIZE + ELEMENT_SIZE * index + this.words[this.#word(index) + 1]!;
  }

  keySize(index: number): number {
    return this.words[this.#word(index) + 2]!;
  }

  valueSize(index: number): number {
    return this.words[this.#word(index) + 3]!;
  }

  /** Leaf: a view of the key. */
  key(index: number): Uint8Array {
    const start = this.keyStart(index);
    return this.bytes.subarray(start, start + this.keySize(index));
  }

  /** Leaf: a view of the value. */
  value(index: number): Uint8Array {
    const start = this.keyStart(index) + this.keySize(index);
    return this.bytes.subarray(start, start + this.valueSize(index));
  }

  /** Branch: index into `bytes` of the key. */
  branchKeyStart(index: number): number {
    return this.start + HEADER_SIZE + ELEMENT_SIZE * index + this.words[this.#word(index)]!;
  }

  branchKeySize(index: number): number {
    return this.words[this.#word(index) + 1]!;
  }

  /** Branch: the child's number; above 2^53 it loses precision, and lies beyond any file. */
  childId(index: number): number {
    const word = this.#word(index);
    return this.words[word + 2]! + this.words[word + 3]! * TWO_32;
  }

  /** Negative, zero or positive as the key of element `index` sorts before, equal to or after `key`. */
  compareKey(index: number, key: Uint8Array): number {
    const isLeaf = this.isLeaf;
    const start = isLeaf ? this.keyStart(index) : this.branchKeyStart(index);
    const size = isLeaf ? this.keySize(index) : this.branchKeySize(index);
    return compareRuns(this.bytes, start, start + size, key, 0, key.length);
  }

  /** Index of the first element whose key is not below `key`; `count` when there is none. */
  lowerBound(key: Uint8Array): number {
    // As `compareKey` does, but what is the same for all elements is looked up once.
    const { bytes, words, start } = this;
    const firstWord = this.#word(0);
    const positionAt = this.isLeaf ? 1 : 0;
    let low = 0;
    for (let high = this.count; low < high;) {
      const middle = (low + high) >>> 1;
      const word = firstWord + (ELEMENT_SIZE >>> 2) * middle;
      const keyStart = start + HEADER_SIZE + ELEMENT_SIZE * middle + words[word + positionAt]!;
      const keyEnd = keyStart + words[word + positionAt + 1]!;
      if (compareRuns(bytes, keyStart, keyEnd, key, 0, key.length) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Index of the element that has `key`; -1 when there is none. */
  find(key: Uint8Array): number {
    const index = this.lowerBound(key);
    return index < this.count && this.compareKey(index, key) === 0 ? index : -1;
  }

  /** Branch: index of the child under which `key` lies. */
  childIndex(key: Uint8Array): number {
    const index = this.lowerBound(key);
    if (index < this.count && this.compareKey(index, key) === 0) return index;
    return Math.max(0, index - 1);
  }

  /** Branch: a view of the key. */
  branchKey(index: number): Uint8Array {
    const start = this.branchKeyStart(index);
    return this.bytes.subarray(start, start + this.branchKeySize(index));
  }

  /** Offset in the file of an index into `bytes`. */
  fileOffset(index: number): number {
    return this.offset + index - this.start;
  }

  /** A copy with memory of its own, or with that of an earlier copy, which is lost then. */
  detach(copy = new Page()): Page {
    const size = Math.ceil(this.size / 8) * 8;
    const isRoomy = copy.bytes.length >= size;
    const bytes = isRoomy ? copy.bytes : new Uint8Array(size);
    const words = isRoomy ? copy.words : new Uint32Array(bytes.buffer);
    bytes.set(this.bytes.subarray(this.start, this.start + this.size));
    copy.place(bytes, words, 0, this.size);
    copy.id = this.id;
    copy.offset = this.offset;
    copy.isInline = this.isInline;
    copy.isDamaged = this.isDamaged;
    copy.usedSize = this.usedSize;
    return copy;
  }
}
