/**
 * Revisions that are not their key's newest, as chains from newer to older: 16 bytes each, in chunks. A link is the
 * number of a revision's place; 0 ends a chain.
 */
const CHUNK_SHIFT = 12;
const CHUNK_PLACES = 1 << CHUNK_SHIFT;
const PLACE_WORDS = 4;
const SUB = 2;
const OLDER = 3;

/** Set in a sub revision when its record is a tombstone. */
export const TOMBSTONE = 0x80000000;

/** Takes revisions that a compaction drops. */
export interface DroppedSink {
  add(main: number, sub: number, isTombstone: boolean): void;
}

interface Chunk {
  words: Uint32Array;
  /** The same memory. */
  floats: Float64Array;
}

export class OlderRevisions {
  /** How many there are. */
  count = 0;
  /** Of the revision last gone to. */
  main = 0;
  /** With its mark of a tombstone. */
  sub = 0;
  /** Link to the one before it. */
  older = 0;

  readonly #chunks: Chunk[] = [];
  #placeCount = 0;
  /** Chain of places that are free. */
  #free = 0;

  /** Puts a revision before the chain that begins at `older`; gives the link to it. */
  add(main: number, sub: number, older: number): number {
    this.count++;
    const link = this.#place();
    const { words, floats } = this.#chunks[(link - 1) >>> CHUNK_SHIFT]!;
    const at = ((link - 1) & (CHUNK_PLACES - 1)) * PLACE_WORDS;
    floats[at >>> 1] = main;
    words[at + SUB] = sub;
    words[at + OLDER] = older;
    return link;
  }

  #place(): number {
    const link = this.#free;
    if (link !== 0) {
      this.go(link);
      this.#free = this.older;
      return link;
    }
    if (this.#placeCount >>> CHUNK_SHIFT === this.#chunks.length) {
      const words = new Uint32Array(CHUNK_PLACES * PLACE_WORDS);
      this.#chunks.push({ words, floats: new Float64Array(words.buffer) });
    }
    return ++this.#placeCount;
  }

  /** Brings `main`, `sub` and `older` to a revision. */
  go(link: number): void {
    const { words, floats } = this.#chunks[(link - 1) >>> CHUNK_SHIFT]!;
    const at = ((link - 1) & (CHUNK_PLACES - 1)) * PLACE_WORDS;
    this.main = floats[at >>> 1]!;
    this.sub = words[at + SUB]!;
    this.older = words[at + OLDER]!;
  }

  /** Goes to the newest that is not above `revision`; gives whether there is one. */
  seek(first: number, revision: number): boolean {
    for (let link = first; link !== 0; link = this.older) {
      this.go(link);
      if (this.main <= revision) return true;
    }
    return false;
  }

  /** Drops what a compaction at `revision` does of a chain; gives the link to what is left. */
  compact(first: number, revision: number, dropped: DroppedSink): number {
    let last = 0;
    for (let link = first; link !== 0; link = this.older) {
      this.go(link);
      if (this.main > revision) {
        last = link;
        continue;
      }
      const isKept = this.sub < TOMBSTONE || this.main === revision;
      const [keep, drop] = isKept ? [link, this.older] : [last, link];
      if (keep !== 0) this.#setOlder(keep, 0);
      this.drop(drop, dropped);
      return keep === 0 ? 0 : first;
    }
    return first;
  }

  /** Drops a whole chain. */
  drop(first: number, dropped: DroppedSink): void {
    for (let link = first; link !== 0;) {
      this.go(link);
      const isTombstone = this.sub >= TOMBSTONE;
      dropped.add(this.main, isTombstone ? this.sub - TOMBSTONE : this.sub, isTombstone);
      const next = this.older;
      this.#setOlder(link, this.#free);
      this.#free = link;
      this.count--;
      link = next;
    }
  }

  #setOlder(link: number, older: number): void {
    const { words } = this.#chunks[(link - 1) >>> CHUNK_SHIFT]!;
    words[((link - 1) & (CHUNK_PLACES - 1)) * PLACE_WORDS + OLDER] = older;
  }
}
