/**
 * Memory for many small byte strings, cut from large pieces: one that has a piece of its own costs the garbage
 * collector many times what it costs to fill. A piece lives as long as anything cut from it.
 */

const PIECE_SIZE = 1 << 14;
/** What is larger gets memory of its own, so that little is left over at the end of a piece. */
const SHARED_MAX = PIECE_SIZE / 8;

export class Slab {
  #piece = new ArrayBuffer(0);
  #used = 0;

  /** Zeros, which are the caller's. */
  take(size: number): Uint8Array {
    if (size > SHARED_MAX) return new Uint8Array(size);
    if (this.#used + size > this.#piece.byteLength) {
      this.#piece = new ArrayBuffer(PIECE_SIZE);
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += size;
    return new Uint8Array(this.#piece, at, size);
  }
}
