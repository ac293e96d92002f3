/**
 * The bytes of keys, packed into chunks; a 32-bit address stands for a key. Space of a key that is removed is used
 * again for one of about its size. Keys lie at multiples of 8 bytes, and never across two chunks.
 */
const CHUNK_SIZE = 1 << 16;
const ALIGNMENT = 8;
/** An address counts in units of the alignment. */
const CHUNK_SHIFT = 13;
const OFFSET_MASK = (1 << CHUNK_SHIFT) - 1;

const roomFor = (size: number): number => Math.max(ALIGNMENT, Math.ceil(size / ALIGNMENT) * ALIGNMENT);

export class KeyArena {
  readonly #chunks: Buffer[] = [];
  /** Of the chunk that is being filled. */
  #current = -1;
  #used = CHUNK_SIZE;
  /** Addresses whose keys are gone, by the room they have. */
  readonly #freed = new Map<number, number[]>();

  /** Copies `bytes[start, end)`. */
  add(bytes: Uint8Array, start: number, end: number): number {
    const room = roomFor(end - start);
    const address = this.#freed.get(room)?.pop() ?? this.#take(room);
    const chunk = this.chunkOf(address);
    let at = this.offsetOf(address);
    for (let i = start; i < end; i++) chunk[at++] = bytes[i]!;
    return address;
  }

  #take(room: number): number {
    if (room > CHUNK_SIZE) return this.#chunks.push(Buffer.allocUnsafeSlow(room)) * 2 ** CHUNK_SHIFT - 2 ** CHUNK_SHIFT;
    if (this.#used + room > CHUNK_SIZE) {
      this.#current = this.#chunks.push(Buffer.allocUnsafeSlow(CHUNK_SIZE)) - 1;
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

  /** The memory in which a key lies, from {@link offsetOf} on. */
  chunkOf(address: number): Buffer {
    return this.#chunks[address >>> CHUNK_SHIFT]!;
  }

  offsetOf(address: number): number {
    return (address & OFFSET_MASK) * ALIGNMENT;
  }

  text(address: number, size: number): string {
    const at = this.offsetOf(address);
    return this.chunkOf(address).toString('latin1', at, at + size);
  }
}
