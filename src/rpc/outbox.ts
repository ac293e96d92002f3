/**
 * Messages on their way out of a stream. What is sent within one turn of the event loop goes out together, and whoever
 * sends is told when more waits than should.
 */
import type { Http2Stream } from 'node:http2';
import { framedSize, frames } from './framing.ts';

interface OutboxOptions {
  queuedBytesMax: number;
  /** Called before bytes are written. */
  opening?(): void;
}

export class Outbox {
  readonly #stream: Http2Stream;
  readonly #options: OutboxOptions;
  #unflushed: Uint8Array[] = [];
  #unflushedBytes = 0;
  #waiters: (() => void)[] = [];
  #isClosed = false;
  readonly #written = (): void => this.#release();

  constructor(stream: Http2Stream, options: OutboxOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  /** Whether more may be sent right away. */
  send(message: Uint8Array): boolean {
    if (this.#isClosed) return true;
    if (this.#unflushed.push(message) === 1) process.nextTick(flush, this);
    this.#unflushedBytes += framedSize(message);
    return this.queuedBytes <= this.#options.queuedBytesMax;
  }

  /** Bytes that HTTP/2 has not taken. */
  get queuedBytes(): number {
    return this.#isClosed ? 0 : this.#unflushedBytes + this.#stream.writableLength;
  }

  /** Resolves when more may be sent, or nothing will be any more. */
  drained(): Promise<void> {
    if (this.queuedBytes <= this.#options.queuedBytesMax) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
    });
  }

  #release(): void {
    if (this.#waiters.length === 0 || this.queuedBytes > this.#options.queuedBytesMax) return;
    for (const release of this.#waiters.splice(0)) release();
  }

  /** Hands over to HTTP/2 what was sent since the last time. */
  flush(): void {
    const messages = this.#unflushed;
    if (messages.length === 0) return;
    this.#unflushed = [];
    this.#unflushedBytes = 0;
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return this.close();
    this.#options.opening?.();
    const pieces = frames(messages);
    if (pieces.length > 1) stream.cork();
    for (const piece of pieces) stream.write(piece, this.#written);
    if (pieces.length > 1) stream.uncork();
  }

  /** Sends nothing more; what was not flushed is dropped. */
  close(): void {
    this.#isClosed = true;
    this.#unflushed = [];
    this.#unflushedBytes = 0;
    this.#release();
  }
}

function flush(outbox: Outbox): void {
  outbox.flush();
}
