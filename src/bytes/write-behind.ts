/**
 * Writes on another thread while the caller prepares the next bytes. One write is on its way at a time: those that
 * run beside each other on one file wait for each other in the kernel, and burn a core meanwhile.
 */
import type { Disk } from './disk.ts';

const BUFFER_SIZE = 4 << 20;

interface Waiting {
  buffer: Uint8Array;
  length: number;
  position: number;
}

export class WriteBehind {
  readonly #disk: Disk;
  readonly #fd: number;
  readonly #free: Uint8Array[] = [];
  readonly #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  #failure: { error: unknown } | undefined;

  /** Does not own `fd`: call `settle` before it is closed. */
  constructor(disk: Disk, fd: number) {
    this.#disk = disk;
    this.#fd = fd;
  }

  /** Takes a copy of `bytes`. Throws what an earlier write failed with. */
  write(bytes: Uint8Array, position: number): void {
    if (this.#failure) throw this.#failure.error;
    if (bytes.length > BUFFER_SIZE) {
      this.#disk.write(this.#fd, bytes, position);
      return;
    }
    const buffer = this.#free.pop() ?? new Uint8Array(BUFFER_SIZE);
    buffer.set(bytes);
    this.#waiting.push({ buffer, length: bytes.length, position });
    this.#start();
  }

  /** Given while something could not be started yet; wait for it before you write on, or memory grows. */
  get backlog(): Promise<void> | undefined {
    return this.#waiting.length > 0 ? this.#running : undefined;
  }

  #start(): void {
    const next = this.#running ? undefined : this.#waiting.shift();
    if (!next) return;
    const { buffer, length, position } = next;
    this.#running = this.#disk
      .startWrite(this.#fd, buffer.subarray(0, length), position)
      .catch((error: unknown) => {
        this.#failure ??= { error };
        this.#waiting.length = 0;
      })
      .then(() => {
        this.#free.push(buffer);
        this.#running = undefined;
        this.#start();
      });
  }

  /** Waits until everything is written. Throws what a write failed with. */
  async drain(): Promise<void> {
    await this.settle();
    if (this.#failure) throw this.#failure.error;
  }

  /** Waits until nothing is on its way any more, whether it failed or not. */
  async settle(): Promise<void> {
    while (this.#running) await this.#running;
  }
}
