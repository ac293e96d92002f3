/** Messages that came over a stream and wait to be received: the stream pauses while there are enough of them. */
import type { Http2Stream } from 'node:http2';
import { FrameReader } from './framing.ts';
import { RpcError, STATUS } from './status.ts';

interface Receiver {
  resolve(message: Uint8Array | undefined): void;
  reject(error: unknown): void;
}

interface InboxOptions {
  messageSizeMax: number;
  /** Bytes of whole messages that may wait. */
  unreadBytesMax: number;
  encoding?: string | undefined;
}

export class Inbox {
  readonly #stream: Http2Stream;
  readonly #options: InboxOptions;
  #reader: FrameReader;
  #receiver: Receiver | undefined;
  #received = 0;
  /** Since when a message is known to be incomplete, and how many came before it. */
  #incomplete: { sinceMs: number; received: number } | undefined;
  /** Set once no more comes; an error is thrown when all messages before it are received. */
  #end: { error: RpcError | undefined } | undefined;

  constructor(stream: Http2Stream, options: InboxOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#reader = new FrameReader(options);
  }

  push(chunk: Uint8Array): void {
    this.#reader.push(chunk);
    if (this.#receiver) this.#settle();
    if (this.#isFull) this.#stream.pause();
  }

  get #isFull(): boolean {
    return this.#reader.size >= this.#options.unreadBytesMax && this.#reader.hasNext;
  }

  /** Bytes that are held. */
  get size(): number {
    return this.#reader.size;
  }

  /** Whether the message that comes has been coming for longer than `timeoutMs`; to be asked now and then. */
  isLate(nowMs: number, timeoutMs: number): boolean {
    if (this.#reader.size === 0 || this.#reader.hasNext) this.#incomplete = undefined;
    else if (this.#incomplete?.received !== this.#received)
      this.#incomplete = { sinceMs: nowMs, received: this.#received };
    return this.#incomplete !== undefined && nowMs - this.#incomplete.sinceMs > timeoutMs;
  }

  /** No more comes: `receive` gives undefined, or throws, once it has given what is there. */
  end(error?: RpcError): void {
    if (this.#end) return;
    this.#end = { error };
    if (this.#receiver) this.#settle();
  }

  /** As `end`, but what was not received is dropped. */
  fail(error: RpcError): void {
    this.#reader = new FrameReader(this.#options);
    this.#end = { error };
    if (this.#receiver) this.#settle();
  }

  /** For one caller at a time. */
  receive(): Promise<Uint8Array | undefined> {
    if (this.#receiver) {
      return Promise.reject(new RpcError(STATUS.internal, 'receive was called while it was waiting'));
    }
    return new Promise((resolve, reject) => {
      this.#receiver = { resolve, reject };
      this.#settle();
    });
  }

  #settle(): void {
    const receiver = this.#receiver!;
    try {
      const message = this.#reader.next();
      if (!message && !this.#end) {
        this.#stream.resume();
        return;
      }
      this.#receiver = undefined;
      if (message) this.#received++;
      else this.#assertGoodEnd();
      receiver.resolve(message);
    } catch (error) {
      this.#receiver = undefined;
      receiver.reject(error);
    }
    if (!this.#isFull) this.#stream.resume();
  }

  #assertGoodEnd(): void {
    const error = this.#end?.error;
    if (error) throw error;
    if (this.#reader.size > 0) throw new RpcError(STATUS.internal, 'unexpected EOF');
  }
}
