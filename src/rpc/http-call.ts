/**
 * A request over HTTP that is no gRPC, in the account of its connection, as calls are: what is held of its body while
 * that is not complete, and what of its answer the client has not taken.
 */
import type { OpenCall, OpenCalls } from './open-calls.ts';
import { HARMLESS_BYTES } from './open-calls.ts';

/** Where whoever reads a body says what it keeps of it. */
export interface BodyAccount {
  /** So much is held now. When all clients together hold too much, a body of some size waits: it is paused. */
  hold(sizeBytes: number): void;
  /** Whether it waits. It goes on by itself; nobody else may let it. */
  readonly isHeldUp: boolean;
  /** A message is longer than it may be. */
  noteTooLong(): void;
}

/** What is used of a request: of its stream too, where that keeps bytes of its own. */
interface Body {
  readonly readableLength: number;
  pause(): unknown;
  resume(): unknown;
  stream?: { readonly readableLength: number };
}

export interface HttpCallOptions {
  calls: OpenCalls;
  request: Body;
  response: { readonly writableLength: number };
  rawHeaders: readonly string[];
}

export class HttpCall implements OpenCall, BodyAccount {
  readonly beganMs = performance.now();
  bodyBytes = 0;
  replyBytes = 0;
  isHeldUp = false;
  readonly #options: HttpCallOptions;
  readonly #headerBytes: number;

  constructor(options: HttpCallOptions) {
    this.#options = options;
    this.#headerBytes = options.rawHeaders.reduce((sum, text) => sum + text.length, 0);
  }

  /** What HTTP keeps of it, and whoever reads the body has not seen. */
  get requestBytes(): number {
    const { request } = this.#options;
    return this.#headerBytes + request.readableLength + (request.stream?.readableLength ?? 0);
  }

  /** Of an answer that is still being made; a whole one counts as a reply. */
  get queuedBytes(): number {
    return this.replyBytes > 0 ? 0 : this.#options.response.writableLength;
  }

  hold(sizeBytes: number): void {
    const { calls, request } = this.#options;
    calls.holdBody(this, sizeBytes);
    if (sizeBytes < HARMLESS_BYTES) this.proceed();
    else if (!this.isHeldUp && calls.isServerFull) {
      this.isHeldUp = true;
      calls.heldUp(1);
      request.pause();
    }
  }

  proceed(): void {
    if (!this.isHeldUp) return;
    this.left();
    this.#options.request.resume();
  }

  left(): void {
    if (!this.isHeldUp) return;
    this.isHeldUp = false;
    this.#options.calls.heldUp(-1);
  }

  noteTooLong(): void {
    this.#options.calls.noteTooLong();
  }

  /** All of its answer is there, and `lastBytes` of it are about to be written. */
  replied(lastBytes: number): void {
    if (this.replyBytes > 0) return;
    const sizeBytes = this.#options.response.writableLength + lastBytes;
    if (this.#options.calls.replied(sizeBytes, this)) this.replyBytes = sizeBytes;
  }

  /** Whoever reads the body watches how long it takes, and ends what waits when the server closes. */
  isLate(): boolean {
    return false;
  }

  expire(): void {}

  dismiss(): void {}
}
