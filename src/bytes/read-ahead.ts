/**
 * Brings a file into the page cache from front to back, beside somebody who reads it in another order: a disk gives
 * all of it sooner than its parts one by one. Nothing is kept, and nothing fails: it is only for speed.
 */
import { close, open, read } from 'node:fs';

const CHUNK_SIZE = 4 << 20;
/** They are only started anew when the event loop turns, so that some have to be on their way. */
const READS_AT_A_TIME = 4;

export class ReadAhead {
  readonly #sizeBytes: number;
  /** What is read goes nowhere, so all reads share it. */
  readonly #chunk = new Uint8Array(CHUNK_SIZE);
  #offset = 0;
  #running = 0;
  #isStopped = false;
  #settle: () => void = () => {};
  /** Settles once it is through or stopped, and its descriptor closed. */
  readonly done: Promise<void>;

  constructor(path: string, sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
    this.done = new Promise((resolve) => {
      this.#settle = resolve;
    });
    open(path, 'r', (error, fd) => {
      if (error) this.#settle();
      else this.#fill(fd);
    });
  }

  /** Starts as many reads as there may be; when none is left, it is over. */
  #fill(fd: number): void {
    while (!this.#isStopped && this.#running < READS_AT_A_TIME && this.#offset < this.#sizeBytes) {
      this.#running++;
      read(fd, this.#chunk, 0, CHUNK_SIZE, this.#offset, (error) => {
        this.#running--;
        if (error) this.#isStopped = true;
        this.#fill(fd);
      });
      this.#offset += CHUNK_SIZE;
    }
    if (this.#running === 0) close(fd, () => this.#settle());
  }

  stop(): void {
    this.#isStopped = true;
  }
}
