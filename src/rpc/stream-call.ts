/** A call whose messages come and go as they please, with bounded queues on both ways. */
import { Inbox } from './inbox.ts';
import { Outbox } from './outbox.ts';
import type { Stream, StreamHandler } from './seam.ts';
import { type Arrival, type CallHost, RESPONSE_HEADERS, ServerCall, WITH_TRAILERS } from './server-call.ts';
import { RpcError, STATUS } from './status.ts';

export class StreamCall extends ServerCall implements Stream {
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;

  constructor(host: CallHost, arrival: Arrival) {
    super(host, arrival);
    const { stream, encoding } = arrival;
    const { messageSizeMax, unreadBytesMax, queuedBytesMax } = host.limits;
    this.#inbox = new Inbox(stream, {
      messageSizeMax,
      unreadBytesMax,
      encoding,
    });
    this.#outbox = new Outbox(stream, {
      queuedBytesMax,
      opening: () => {
        if (!stream.headersSent) stream.respond(RESPONSE_HEADERS, WITH_TRAILERS);
      },
    });
  }

  /** Runs the handler to its end, and the call with it. */
  async run(handler: StreamHandler): Promise<void> {
    this.attach();
    this.watchDeadline();
    try {
      await handler(this);
      this.end(STATUS.ok, '');
    } catch (error) {
      this.fail(error);
    }
  }

  receive(): Promise<Uint8Array | undefined> {
    return this.#inbox.receive();
  }

  send(message: Uint8Array): boolean {
    if (this.isOver || this.isStreamGone) return true;
    return this.#outbox.send(message);
  }

  override get queuedBytes(): number {
    return this.isStreamGone ? 0 : this.#outbox.queuedBytes;
  }

  drained(): Promise<void> {
    return this.#outbox.drained();
  }

  protected override get unfinishedBytes(): number {
    return this.#inbox.size;
  }

  override isLate(nowMs: number, timeoutMs: number): boolean {
    return !this.isOver && this.#inbox.isLate(nowMs, timeoutMs);
  }

  protected override received(chunk: Uint8Array): void {
    this.#inbox.push(chunk);
  }

  protected override halfClosed(): void {
    this.#inbox.end();
  }

  protected override abandoned(reason: RpcError): void {
    this.#inbox.fail(reason);
    this.#outbox.close();
  }

  protected override hasQueued(): boolean {
    return this.queuedBytes > 0;
  }

  protected override end(...[status, text]: Parameters<ServerCall['end']>): void {
    if (this.isOver) return;
    this.#outbox.flush();
    super.end(status, text);
    this.#outbox.close();
    this.#inbox.fail(new RpcError(STATUS.cancelled, 'the call is over'));
  }
}
