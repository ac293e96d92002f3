/**
 * Records that were read lately, by the id of their key: what many clients ask for is asked for again. An entry counts
 * only for the revision it was read at. Two generations: when the young one is full, what is only in the old one goes.
 */
import type { Stored } from './key-values.ts';

/** Of an entry besides its record. */
const ENTRY_SIZE = 256;

interface Entry {
  sub: number;
  stored: Stored;
}

export class StoredCache {
  readonly #generationBytes: number;
  #young = new Map<number, Entry>();
  #old = new Map<number, Entry>();
  #youngBytes = 0;

  constructor(sizeBytes: number) {
    this.#generationBytes = sizeBytes / 2;
  }

  /** The record of key `id` at a revision, if it is here. */
  get(id: number, main: number, sub: number): Stored | undefined {
    const young = this.#young.get(id);
    const entry = young ?? this.#old.get(id);
    if (!entry || entry.stored.modRevision !== main || entry.sub !== sub) return undefined;
    if (!young) this.#add(id, entry);
    return entry.stored;
  }

  set(id: number, sub: number, stored: Stored): void {
    this.#add(id, { sub, stored });
  }

  #add(id: number, entry: Entry): void {
    const size = entry.stored.bytes.length + ENTRY_SIZE;
    if (size > this.#generationBytes) return;
    if (this.#youngBytes + size > this.#generationBytes) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(id, entry);
    this.#youngBytes += size;
  }
}
