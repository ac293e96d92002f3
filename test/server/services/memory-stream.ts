/** A stream between a client and a service in one process, whose client takes messages when it is told to. */
import type { Stream } from '../../../src/rpc/seam.ts';

export class MemoryStream implements Stream {
  readonly path: string;
  readonly metadata = new Map<string, string>();
  readonly peer = 'memory';
  readonly commonName = undefined;
  /** Messages that were sent and not taken. */
  readonly queued: Uint8Array[] = [];
  queuedBytes = 0;
  queuedBytesHighest = 0;
  /** Bytes that may be queued before `send` says no. */
  windowBytes = Infinity;
  readonly #controller = new AbortController();
  readonly #requests: Uint8Array[] = [];
  #isEnded = false;
  #received: (() => void) | undefined;
  #drained: Array<() => void> = [];

  constructor(path: string) {
    this.path = path;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async receive(): Promise<Uint8Array | undefined> {
    while (this.#requests.length === 0 && !this.#isEnded) {
      this.signal.throwIfAborted();
      await new Promise<void>((resolve) => (this.#received = resolve));
    }
    this.signal.throwIfAborted();
    return this.#requests.shift();
  }

  send(message: Uint8Array): boolean {
    if (this.signal.aborted) return false;
    this.queued.push(message);
    this.queuedBytes += message.length;
    this.queuedBytesHighest = Math.max(this.queuedBytesHighest, this.queuedBytes);
    return this.queuedBytes < this.windowBytes;
  }

  drained(): Promise<void> {
    if (this.queuedBytes < this.windowBytes || this.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  /** The client's side: a message to the service. */
  request(message: Uint8Array): void {
    this.#requests.push(message);
    this.#received?.();
  }

  /** The client has no more to say. */
  end(): void {
    this.#isEnded = true;
    this.#received?.();
  }

  abort(): void {
    this.#controller.abort();
    this.#received?.();
    this.#wake();
  }

  /** Takes all that is queued. */
  take(): Uint8Array[] {
    const messages = this.queued.splice(0);
    this.queuedBytes = 0;
    this.#wake();
    return messages;
  }

  #wake(): void {
    for (const resolve of this.#drained.splice(0)) resolve();
  }
}
