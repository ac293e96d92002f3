/**
 * All keys that have a record, alive or deleted, and all revisions of theirs that are not compacted. Each key's newest
 * revision lies with it in a record of 48 bytes, older ones in chains of 16 bytes each; keys are found by a hash table
 * of ids. No object stands for a key or a revision. The order of keys is only kept once it was asked for.
 *
 * A method that says `at` leaves its answer in fields, which are valid until the next call.
 */
import { randomBytes } from 'node:crypto';
import { KeyArena } from './key-arena.ts';
import { joinLease } from './key-value.ts';
import { type KeysToSort, sortKeys } from './key-order.ts';
import { type DroppedSink, OlderRevisions, TOMBSTONE } from './older-revisions.ts';
import { type CompareKey, SortedKeys } from './sorted-keys.ts';

/** What a record says of its key; `RecordView` does. */
export interface Indexed {
  main: number;
  sub: number;
  isTombstone: boolean;
  createRevision: number;
  version: number;
  leaseLow: number;
  leaseHigh: number;
}

const FIRST_SLOTS = 1 << 12;
export const CHUNK_SHIFT = 12;
const CHUNK_KEYS = 1 << CHUNK_SHIFT;

/** Words of a key's record; those of numbers above 2^32 are two. */
const RECORD_WORDS = 12;
const HASH = 0;
const ADDRESS = 1;
const SIZE = 2;
const SUB = 3;
const MAIN_FLOAT = 2;
const CREATE_FLOAT = 3;
const LEASE_LOW = 8;
const LEASE_HIGH = 9;
const VERSION = 10;
const OLDER = 11;

/** Above it a sub revision is not told from a tombstone's. */
export const SUB_MAX = TOMBSTONE - 1;
/** In the place of a key's size: the id stands for no key. */
const UNUSED = 0xffffffff;

interface Factors {
  first: number;
  second: number;
}

interface Chunk {
  words: Uint32Array;
  /** The same memory. */
  floats: Float64Array;
}

export class KeyIndex implements KeysToSort {
  /** Keys that have a record. */
  size = 0;
  /** Of them, those whose newest record is a tombstone. */
  deadCount = 0;
  /** Ids are below it. */
  idCount = 0;

  /** Revision found by {@link seek}. */
  main = 0;
  sub = 0;
  isNewest = false;

  readonly #arena = new KeyArena();
  readonly #older = new OlderRevisions();
  readonly #chunks: Chunk[] = [];
  readonly #unused: number[] = [];
  readonly #factors: Factors = { first: oddNumber(), second: oddNumber() };
  #slots = new Uint32Array(FIRST_SLOTS); // id + 1; 0 is empty
  #sorted: SortedKeys | undefined;
  /** Those that are not alive, from when there is an order. */
  #dead: SortedKeys | undefined;

  /** Record of the id last selected, and where it begins. */
  #words: Uint32Array = new Uint32Array(0);
  #floats: Float64Array = new Float64Array(0);
  #at = 0;

  /** How many revisions it holds. */
  get revisionCount(): number {
    return this.size + this.#older.count;
  }

  #select(id: number): void {
    const chunk = this.#chunks[id >>> CHUNK_SHIFT]!;
    this.#words = chunk.words;
    this.#floats = chunk.floats;
    this.#at = (id & (CHUNK_KEYS - 1)) * RECORD_WORDS;
  }

  /** The id of the key `bytes[start, end)`; −1 when it has no record. */
  find(bytes: Uint8Array, start = 0, end = bytes.length): number {
    const slot = this.#slotOf(hashOf(bytes, start, end, this.#factors), bytes, start, end);
    return this.#slots[slot]! - 1;
  }

  /** The slot that holds the key's id, or the empty one where it would be. Selects the record it finds. */
  #slotOf(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (let next = slots[slot]!; next !== 0; next = slots[slot]!) {
      this.#select(next - 1);
      const at = this.#at;
      if (
        this.#words[at + HASH] === hash &&
        this.#words[at + SIZE] === end - start &&
        this.#arena.isSame(this.#words[at + ADDRESS]!, bytes, start, end)
      )
        return slot;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  /** Takes the next record, whose key is `bytes[start, end)`; revisions come in order. */
  add(record: Indexed, bytes: Uint8Array, start = 0, end = bytes.length): void {
    const hash = hashOf(bytes, start, end, this.#factors);
    const slot = this.#slotOf(hash, bytes, start, end);
    let id = this.#slots[slot]! - 1;
    if (id === -1) id = this.#addKey(hash, slot, bytes, start, end);
    else this.#keepOlder();
    this.#write(record, id);
  }

  /** Takes the next record of a key that has one. */
  append(record: Indexed, id: number): void {
    this.#select(id);
    this.#keepOlder();
    this.#write(record, id);
  }

  /** What is newest of the selected record no longer is. */
  #keepOlder(): void {
    const [words, at] = [this.#words, this.#at];
    const sub = words[at + SUB]!;
    words[at + OLDER] = this.#older.add(this.#floats[(at >>> 1) + MAIN_FLOAT]!, sub, words[at + OLDER]!);
  }

  /** Into the selected record. */
  #write(record: Indexed, id: number): void {
    const [words, floats, at] = [this.#words, this.#floats, this.#at];
    const wasDead = words[at + SUB]! >= TOMBSTONE;
    words[at + SUB] = record.isTombstone ? record.sub + TOMBSTONE : record.sub;
    floats[(at >>> 1) + MAIN_FLOAT] = record.main;
    floats[(at >>> 1) + CREATE_FLOAT] = record.createRevision;
    words[at + LEASE_LOW] = record.leaseLow;
    words[at + LEASE_HIGH] = record.leaseHigh;
    words[at + VERSION] = record.version;
    if (wasDead !== record.isTombstone) this.#turned(id, record.isTombstone);
  }

  /** The selected key came to life, or died. */
  #turned(id: number, isDead: boolean): void {
    this.deadCount += isDead ? 1 : -1;
    if (!this.#dead) return;
    const key = this.#selectedKey();
    if (isDead) this.#dead.add(id, key);
    else this.#dead.delete(key);
  }

  /** Selects the new record, in which nothing but the key is set. */
  #addKey(hash: number, slot: number, bytes: Uint8Array, start: number, end: number): number {
    const id = this.#unused.pop() ?? this.idCount++;
    if (id >>> CHUNK_SHIFT === this.#chunks.length) {
      const words = new Uint32Array(CHUNK_KEYS * RECORD_WORDS);
      this.#chunks.push({ words, floats: new Float64Array(words.buffer) });
    }
    this.#select(id);
    const [words, at] = [this.#words, this.#at];
    words[at + HASH] = hash;
    words[at + ADDRESS] = this.#arena.add(bytes, start, end);
    words[at + SIZE] = end - start;
    words[at + SUB] = 0;
    words[at + OLDER] = 0;
    this.#slots[slot] = id + 1;
    if (++this.size * 4 > this.#slots.length * 3) this.#rehash();
    this.#sorted?.add(id, bytes.subarray(start, end));
    this.#select(id);
    return id;
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let id = 0; id < this.idCount; id++) {
      this.#select(id);
      if (this.#words[this.#at + SIZE] === UNUSED) continue;
      let slot = this.#words[this.#at + HASH]! & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = id + 1;
    }
    this.#slots = slots;
  }

  /** Whether the key has a record that is not a tombstone. */
  isLive(id: number): boolean {
    this.#select(id);
    return this.#words[this.#at + SUB]! < TOMBSTONE;
  }

  /**
   * Looks `at` what the key was at a revision, or is now. Gives whether it was alive; then `main` and `sub` are those
   * of its record, and `isNewest` says whether the other columns are of that record too.
   */
  seek(id: number, revision = Infinity): boolean {
    this.#select(id);
    const [words, at] = [this.#words, this.#at];
    this.main = this.#floats[(at >>> 1) + MAIN_FLOAT]!;
    this.sub = words[at + SUB]!;
    this.isNewest = this.main <= revision;
    if (this.isNewest) return this.sub < TOMBSTONE;
    const older = this.#older;
    if (!older.seek(words[at + OLDER]!, revision)) return false;
    this.main = older.main;
    this.sub = older.sub;
    return this.sub < TOMBSTONE;
  }

  /** Of the newest record. */
  createRevisionOf(id: number): number {
    this.#select(id);
    return this.#floats[(this.#at >>> 1) + CREATE_FLOAT]!;
  }

  /** Of the newest record. */
  versionOf(id: number): number {
    this.#select(id);
    return this.#words[this.#at + VERSION]!;
  }

  /** Of the newest record; 0 when it has none. */
  leaseOf(id: number): bigint {
    this.#select(id);
    return joinLease(this.#words[this.#at + LEASE_LOW]!, this.#words[this.#at + LEASE_HIGH]!);
  }

  /** The key as `latin1`. */
  nameOf(id: number): string {
    this.#select(id);
    return this.#arena.text(this.#words[this.#at + ADDRESS]!, this.#words[this.#at + SIZE]!);
  }

  /** A copy of the key. */
  keyOf(id: number): Uint8Array {
    this.#select(id);
    return new Uint8Array(this.#selectedKey());
  }

  #selectedKey(): Uint8Array {
    return this.#arena.view(this.#words[this.#at + ADDRESS]!, this.#words[this.#at + SIZE]!);
  }

  partOf(id: number, depth: number): number {
    this.#select(id);
    return this.#arena.partOf(this.#words[this.#at + ADDRESS]!, this.#words[this.#at + SIZE]!, depth);
  }

  compareIds(a: number, b: number): number {
    this.#select(b);
    return this.#compare(a, this.#selectedKey());
  }

  #compare(id: number, key: Uint8Array): number {
    this.#select(id);
    return this.#arena.compare(this.#words[this.#at + ADDRESS]!, this.#words[this.#at + SIZE]!, key);
  }

  /** Ids of keys from `from` on, below `to` if it is given, in byte order, until `take` gives false. */
  visit(from: Uint8Array, to: Uint8Array | undefined, take: (id: number) => boolean): void {
    this.sort();
    this.#sorted!.visit(from, to, take);
  }

  /** How many keys are alive from `from` on, below `to` if it is given; they are not looked at. */
  liveCountIn(from: Uint8Array, to: Uint8Array | undefined): number {
    this.sort();
    return this.#sorted!.count(from, to) - this.#dead!.count(from, to);
  }

  /** Puts keys in order, which is kept from then on. */
  sort(): void {
    if (this.#sorted) return;
    const ids = new Uint32Array(this.size);
    let count = 0;
    for (let id = 0; id < this.idCount; id++) {
      this.#select(id);
      if (this.#words[this.#at + SIZE] !== UNUSED) ids[count++] = id;
    }
    sortKeys(ids, this);
    const compare: CompareKey = (id, key) => this.#compare(id, key);
    this.#sorted = new SortedKeys(compare, ids);
    this.#dead = new SortedKeys(
      compare,
      ids.filter((id) => !this.isLive(id)),
    );
  }

  /** Each live key that has a lease. */
  *leased(): Generator<[key: string, lease: bigint], void> {
    for (let id = 0; id < this.idCount; id++) {
      this.#select(id);
      const [words, at] = [this.#words, this.#at];
      if (words[at + SIZE] === UNUSED || words[at + SUB]! >= TOMBSTONE) continue;
      if (words[at + LEASE_LOW] !== 0 || words[at + LEASE_HIGH] !== 0)
        yield [this.nameOf(id), this.leaseOf(id)];
    }
  }

  /** Drops what a compaction at `revision` does of one key: all but the newest up to there, and that too when it is a tombstone of before. */
  compact(id: number, revision: number, dropped: DroppedSink): void {
    this.#select(id);
    const [words, at] = [this.#words, this.#at];
    if (words[at + SIZE] === UNUSED) return;
    const main = this.#floats[(at >>> 1) + MAIN_FLOAT]!;
    const sub = words[at + SUB]!;
    if (main > revision) {
      words[at + OLDER] = this.#older.compact(words[at + OLDER]!, revision, dropped);
      return;
    }
    this.#older.drop(words[at + OLDER]!, dropped);
    words[at + OLDER] = 0;
    if (sub < TOMBSTONE || main === revision) return;
    dropped.add(main, sub - TOMBSTONE, true);
    this.#removeKey(id);
  }

  /** Of a key without older revisions, which is not alive. */
  #removeKey(id: number): void {
    this.#select(id);
    const [words, at] = [this.#words, this.#at];
    const [address, size] = [words[at + ADDRESS]!, words[at + SIZE]!];
    const key = this.#selectedKey();
    this.deadCount--;
    this.#dead?.delete(key);
    this.#sorted?.delete(key);
    this.#clearSlot(id, words[at + HASH]!);
    this.#arena.remove(address, size);
    words[at + SIZE] = UNUSED;
    this.#unused.push(id);
    this.size--;
  }

  /** Moves back those behind it that it kept from their places, so that no search ends too early. */
  #clearSlot(id: number, hash: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = hash & mask;
    while (slots[hole] !== id + 1) hole = (hole + 1) & mask;
    for (let slot = (hole + 1) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      this.#select(slots[slot]! - 1);
      const home = this.#words[this.#at + HASH]! & mask;
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      slots[hole] = slots[slot]!;
      hole = slot;
    }
    slots[hole] = 0;
  }
}

const oddNumber = (): number => randomBytes(4).readInt32LE() | 1;

/** Both factors are secret: nobody can choose keys that collide. */
function hashOf(bytes: Uint8Array, start: number, end: number, { first, second }: Factors): number {
  let hash = end - start;
  let i = start;
  for (; i + 4 <= end; i += 4) {
    hash ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    hash = Math.imul(hash, first) ^ Math.imul((hash >>> 16) | (hash << 16), second);
  }
  for (; i < end; i++) {
    hash ^= bytes[i]!;
    hash = Math.imul(hash, first) ^ Math.imul((hash >>> 16) | (hash << 16), second);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
