/**
 * Writes on other threads while the caller prepares the next bytes. A few buffers are on their way at a time; when
 * all of them are, the write is done at once, so memory is bounded and nobody has to wait.
 */
import type { Disk } from './disk.ts';

const BUFFER_SIZE = 4 << 20;
const BUFFER_COUNT = 6;

export class WriteBehind {
  readonly #disk: Disk;
  readonly #fd: number;
  readonly #free: Uint8Array[] = [];
  #made = 0;
  #pending = new Set<Promise<void>>();
  #failure: { error: unknown } | undefined;

  /** Does not own `fd`: call `settle` before it is closed. */
  constructor(disk: Disk, fd: number) {
    this.#disk = disk;
    this.#fd = fd;
  }

  /** Takes a copy of `bytes`. Throws what an earlier write failed with. */
  write(bytes: Uint8Array, position: number): void {
    if (this.#failure) throw this.#failure.error;
    const buffer = bytes.length <= BUFFER_SIZE ? this.#takeBuffer() : undefined;
    if (!buffer) {
      this.#disk.write(this.#fd, bytes, position);
      return;
    }
    buffer.set(bytes);
    const written = this.#disk
      .startWrite(this.#fd, buffer.subarray(0, bytes.length), position)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#free.push(buffer);
        this.#pending.delete(written);
      });
    this.#pending.add(written);
  }

  #takeBuffer(): Uint8Array | undefined {
    const free = this.#free.pop();
    if (free || this.#made === BUFFER_COUNT) return free;
    this.#made++;
    return new Uint8Array(BUFFER_SIZE);
  }

  /** Waits until everything is written. Throws what a write failed with. */
  async drain(): Promise<void> {
    await this.settle();
    if (this.#failure) throw this.#failure.error;
  }

  /** Waits until nothing is on its way any more, whether it failed or not. */
  async settle(): Promise<void> {
    await Promise.all(this.#pending);
  }
}
