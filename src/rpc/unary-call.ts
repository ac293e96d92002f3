/** A call of one message each way. */
import { FrameReader, frames, framedSize, wholeMessage } from './framing.ts';
import type { Postponed } from './open-calls.ts';
import type { UnaryHandler } from './seam.ts';
import { type Arrival, type CallHost, RESPONSE_HEADERS, ServerCall, WITH_TRAILERS } from './server-call.ts';
import { RpcError, STATUS } from './status.ts';

export class UnaryCall extends ServerCall implements Postponed {
  readonly #handler: UnaryHandler;
  readonly #encoding: string | undefined;
  #reader: FrameReader | undefined;
  #hasRequest = false;
  /** The request, while it waits. */
  #postponed: Uint8Array | undefined;

  constructor(host: CallHost, arrival: Arrival, handler: UnaryHandler) {
    super(host, arrival);
    this.#handler = handler;
    this.#encoding = arrival.encoding;
  }

  protected override received(chunk: Uint8Array): void {
    if (this.#hasRequest) return;
    const { messageSizeMax } = this.host.limits;
    if (!this.#reader) {
      const message = wholeMessage(chunk, messageSizeMax);
      if (message) return this.#take(message);
      this.#reader = new FrameReader({ messageSizeMax, encoding: this.#encoding });
      this.watchDeadline();
    }
    try {
      this.#reader.push(chunk);
      const message = this.#reader.next();
      if (message) this.#take(message);
    } catch (error) {
      this.fail(error);
    }
  }

  protected override halfClosed(): void {
    if (this.#hasRequest) return;
    const text = this.#reader ? 'unexpected EOF' : 'the call ended without a request message';
    this.end(STATUS.internal, text);
  }

  protected override abandoned(): void {
    this.#reader = undefined;
    this.#postponed = undefined;
  }

  protected override hasQueued(): boolean {
    return false;
  }

  override get queuedBytes(): number {
    return 0;
  }

  protected override get unfinishedBytes(): number {
    return (this.#reader?.size ?? 0) + (this.#postponed?.length ?? 0);
  }

  override isLate(nowMs: number, timeoutMs: number): boolean {
    return !this.#hasRequest && !this.isOver && nowMs - this.beganMs > timeoutMs;
  }

  /** Without a request nothing was done for it, so that it may be tried elsewhere. */
  protected override canDismiss(): boolean {
    return super.canDismiss() || !this.#hasRequest || this.#postponed !== undefined;
  }

  #take(request: Uint8Array): void {
    this.#hasRequest = true;
    this.#reader = undefined;
    if (!this.host.isFull) return this.#run(request);
    this.#postponed = request;
    this.host.postpone(this);
    this.watchDeadline();
  }

  /** The client has taken enough of other replies. */
  resume(): void {
    const request = this.#postponed;
    this.#postponed = undefined;
    if (request && !this.isOver) this.#run(request);
  }

  #run(request: Uint8Array): void {
    try {
      const reply = this.#handler(request, this);
      if (reply instanceof Uint8Array) this.#reply(reply);
      else void this.#replyLater(reply);
    } catch (error) {
      this.fail(error);
    }
  }

  async #replyLater(reply: Promise<Uint8Array>): Promise<void> {
    this.watchDeadline();
    try {
      this.#reply(await reply);
    } catch (error) {
      this.fail(error);
    }
  }

  #reply(message: Uint8Array): void {
    if (!(message instanceof Uint8Array)) {
      throw new RpcError(STATUS.internal, `${this.path} gave no message`);
    }
    if (!this.conclude() || this.isStreamGone) return;
    const { stream } = this;
    this.replyBytes = framedSize(message);
    this.host.replied(this.replyBytes);
    stream.respond(RESPONSE_HEADERS, WITH_TRAILERS);
    const pieces = frames([message]);
    if (pieces.length === 1) stream.end(pieces[0]);
    else {
      stream.cork();
      for (const piece of pieces) stream.write(piece);
      stream.end();
    }
  }
}
