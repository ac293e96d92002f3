/**
 * The bytes of keys, packed into chunks; a 32-bit address stands for a key. Space of a key that is removed is used
 * again for one of about its size. Keys lie at multiples of 8 bytes, and never across two chunks.
 */
import { latin1 } from '../../bytes/order.ts';

const CHUNK_SIZE = 1 << 16;
const ALIGNMENT = 8;
/** An address counts in units of the alignment. */
const CHUNK_SHIFT = 13;
const OFFSET_MASK = (1 << CHUNK_SHIFT) - 1;

const roomFor = (size: number): number => Math.max(ALIGNMENT, Math.ceil(size / ALIGNMENT) * ALIGNMENT);

export class KeyArena {
  readonly #chunks: Uint8Array[] = [];
  /** Of the chunk that is being filled. */
  #current = -1;
  #used = CHUNK_SIZE;
  /** Addresses whose keys are gone, by the room they have. */
  readonly #freed = new Map<number, number[]>();

  /** Copies `bytes[start, end)`. */
  add(bytes: Uint8Array, start: number, end: number): number {
    const room = roomFor(end - start);
    const address = this.#freed.get(room)?.pop() ?? this.#take(room);
    const chunk = this.#chunkOf(address);
    let at = offsetOf(address);
    for (let i = start; i < end; i++) chunk[at++] = bytes[i]!;
    return address;
  }

  #take(room: number): number {
    if (room > CHUNK_SIZE)
      return this.#chunks.push(new Uint8Array(room)) * 2 ** CHUNK_SHIFT - 2 ** CHUNK_SHIFT;
    if (this.#used + room > CHUNK_SIZE) {
      this.#current = this.#chunks.push(new Uint8Array(CHUNK_SIZE)) - 1;
      this.#used = 0;
    }
    const address = this.#current * 2 ** CHUNK_SHIFT + this.#used / ALIGNMENT;
    this.#used += room;
    return address;
  }

  /** `size` is that of the key. */
  remove(address: number, size: number): void {
    const room = roomFor(size);
    const freed = this.#freed.get(room);
    if (freed) freed.push(address);
    else this.#freed.set(room, [address]);
  }

  /** Whether a key that is as long is `bytes[start, end)`. */
  isSame(address: number, bytes: Uint8Array, start: number, end: number): boolean {
    const chunk = this.#chunkOf(address);
    // Keys differ towards their ends.
    for (let i = end - 1, at = offsetOf(address) + end - start - 1; i >= start; i--, at--)
      if (bytes[i] !== chunk[at]) return false;
    return true;
  }

  /** A key of `size` bytes against another: negative, zero or positive. */
  compare(address: number, size: number, key: Uint8Array): number {
    const chunk = this.#chunkOf(address);
    const shared = Math.min(size, key.length);
    for (let i = 0, at = offsetOf(address); i < shared; i++, at++) {
      const difference = chunk[at]! - key[i]!;
      if (difference !== 0) return difference;
    }
    return size - key.length;
  }

  /** Up to six bytes of a key from `depth` on, and how many there are, as a number that sorts as they do. */
  partOf(address: number, size: number, depth: number): number {
    const left = size - depth;
    const chunk = this.#chunkOf(address);
    const from = offsetOf(address) + depth;
    let [high, low] = [0, 0];
    for (let i = 0; i < 3; i++) {
      high = (high << 8) | (i < left ? chunk[from + i]! : 0);
      low = (low << 8) | (i + 3 < left ? chunk[from + i + 3]! : 0);
    }
    return (high * 2 ** 24 + low) * 8 + Math.max(0, Math.min(left, 7));
  }

  text(address: number, size: number): string {
    const at = offsetOf(address);
    return latin1(this.#chunkOf(address), at, at + size);
  }

  /** The key itself: it changes when its room is used again. */
  view(address: number, size: number): Uint8Array {
    const at = offsetOf(address);
    return this.#chunkOf(address).subarray(at, at + size);
  }

  #chunkOf(address: number): Uint8Array {
    return this.#chunks[address >>> CHUNK_SHIFT]!;
  }
}

const offsetOf = (address: number): number => (address & OFFSET_MASK) * ALIGNMENT;
