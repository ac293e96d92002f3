/**
 * Memory for many small runs of bytes, in pieces that several of them share. An array of its own for each costs several
 * times what copying does, since the collector has to follow each. A piece stays until none of its runs is wanted.
 */

const PIECE_SIZE = 64 << 10;
/** A run longer than this part of a piece has memory of its own. */
const LONG_DIVISOR = 4;

export class Slab {
  readonly #pieceSize: number;
  #bytes = new Uint8Array(0);
  #used = 0;

  constructor(pieceSize = PIECE_SIZE) {
    this.#pieceSize = pieceSize;
  }

  /** Room for `size` bytes, from `start` on; nobody else is given it. */
  take(size: number): { bytes: Uint8Array; start: number } {
    if (size > this.#pieceSize / LONG_DIVISOR) return { bytes: new Uint8Array(size), start: 0 };
    if (this.#used + size > this.#bytes.length) {
      this.#bytes = new Uint8Array(this.#pieceSize);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += size;
    return { bytes: this.#bytes, start };
  }

  /** A copy of `run`. */
  copy(run: Uint8Array): Uint8Array {
    const { bytes, start } = this.take(run.length);
    bytes.set(run, start);
    return bytes.subarray(start, start + run.length);
  }
}
