/**
 * Revisions that are not their key's newest, as chains from newer to older: 16 bytes each, in chunks. A link is the
 * number of a revision's place; 0 ends a chain.
 */
const CHUNK_SHIFT = 12;
const CHUNK_PLACES = 1 << CHUNK_SHIFT;
const PLACE_WORDS = 4;
const SUB = 2;
const OLDER = 3;

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

  /** Ends a chain behind `link`. What followed is the caller's to {@link free}. */
  cut(link: number): void {
    this.#setOlder(link, 0);
  }

  /** Gives up the place of one revision. */
  free(link: number): void {
    this.#setOlder(link, this.#free);
    this.#free = link;
    this.count--;
  }

  #setOlder(link: number, older: number): void {
    this.#chunks[(link - 1) >>> CHUNK_SHIFT]!.words[((link - 1) & (CHUNK_PLACES - 1)) * PLACE_WORDS + OLDER] = older;
  }
}
