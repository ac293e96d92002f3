/**
 * One record of a few machine words for every distinct user key, without keeping the keys: two seeded 32-bit hashes
 * stand for one. Records lie in chunks, so that the table grows without being copied; a record of 64 bytes is one
 * line of the processor's cache.
 *
 * Two of a million keys share both hashes once in 37 million runs; who draws a conclusion from a record must be able
 * to re-read the key (see `check/history.ts`).
 */
import { randomBytes } from 'node:crypto';

const FIRST_SLOTS = 1 << 12;
const CHUNK_SHIFT = 14;
const CHUNK_RECORDS = 1 << CHUNK_SHIFT;
const HASH_WORDS = 2;
const LANE_1 = 0x9e3779b1;
const LANE_2 = 0x85ebca77;

interface Chunk {
  words: Uint32Array;
  /** The same memory; word 2n and 2n + 1 are float n. */
  floats: Float64Array;
}

export class KeyTable {
  /** Number of keys. */
  size = 0;
  /** Whether the last `find` met its key for the first time; its record is all zeros then. */
  isNew = false;
  /** Memory of the record last found, and where its words begin; the first two are not the caller's. */
  words: Uint32Array = new Uint32Array(0);
  floats: Float64Array = new Float64Array(0);
  at = 0;

  readonly #stride: number;
  readonly #chunks: Chunk[] = [];
  #slots = new Uint32Array(FIRST_SLOTS); // number of the record + 1; 0 is empty
  readonly #seed1: number;
  readonly #seed2: number;

  /** `recordWords` counts all words of a record, the two of its hash included; it must be even. */
  constructor(recordWords: number) {
    this.#stride = recordWords;
    const seeds = randomBytes(8);
    this.#seed1 = seeds.readUInt32LE(0);
    this.#seed2 = seeds.readUInt32LE(4);
  }

  /** Brings `words`, `floats` and `at` to the record of the key `bytes[start, end)`, which it makes if need be. */
  find(bytes: Uint8Array, start: number, end: number): void {
    let hash1 = this.#seed1;
    let hash2 = this.#seed2;
    let i = start;
    for (; i + 4 <= end; i += 4) {
      const word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
      hash1 = Math.imul(hash1 ^ word, LANE_1);
      hash1 ^= hash1 >>> 15;
      hash2 = Math.imul(hash2 + word, LANE_2);
      hash2 ^= hash2 >>> 13;
    }
    for (; i < end; i++) {
      hash1 = Math.imul(hash1 ^ bytes[i]!, LANE_1);
      hash2 = Math.imul(hash2 + bytes[i]!, LANE_2);
    }
    hash1 = mix(hash1 ^ (end - start));
    hash2 = mix(hash2 + (end - start));

    const mask = this.#slots.length - 1;
    let slot = hash1 & mask;
    for (let number = this.#slots[slot]!; number !== 0; number = this.#slots[slot]!) {
      this.#select(number - 1);
      if (this.words[this.at] === hash1 && this.words[this.at + 1] === hash2) {
        this.isNew = false;
        return;
      }
      slot = (slot + 1) & mask;
    }
    this.#add(hash1, hash2, slot);
  }

  #select(id: number): void {
    const chunk = this.#chunks[id >>> CHUNK_SHIFT]!;
    this.words = chunk.words;
    this.floats = chunk.floats;
    this.at = (id & (CHUNK_RECORDS - 1)) * this.#stride;
  }

  #add(hash1: number, hash2: number, slot: number): void {
    const id = this.size++;
    if (id >>> CHUNK_SHIFT === this.#chunks.length) {
      const words = new Uint32Array(CHUNK_RECORDS * this.#stride);
      this.#chunks.push({ words, floats: new Float64Array(words.buffer) });
    }
    this.#slots[slot] = id + 1;
    if (this.size * 4 > this.#slots.length * 3) this.#rehash(hash1);
    this.#select(id);
    this.words[this.at] = hash1;
    this.words[this.at + 1] = hash2;
    this.isNew = true;
  }

  /** Twice the slots; the newest record, whose hash is not written yet, has `newestHash`. */
  #rehash(newestHash: number): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let id = 0; id < this.size; id++) {
      this.#select(id);
      let slot = (id === this.size - 1 ? newestHash : this.words[this.at]!) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = id + 1;
    }
    this.#slots = slots;
  }

  /** Brings `words`, `floats` and `at` to each record in turn, in the order in which the keys came. */
  forEach(visit: () => void): void {
    for (let id = 0; id < this.size; id++) {
      this.#select(id);
      visit();
    }
  }
}

/** First word of a record that is its caller's. */
export const RECORD_START = HASH_WORDS;

function mix(hash: number): number {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
