/**
 * The open calls of one connection, and what they make the server hold: requests that are not complete, replies that
 * the client does not take. A client that holds too many replies has its further requests wait; they cost less.
 */
import type { Limits } from './limits.ts';
import type { ServerCall } from './server-call.ts';
import type { ServerStats } from './stats.ts';
import { RpcError, STATUS } from './status.ts';

/** Of what all clients may make the server hold, what one connection may: one part in so many. */
const SHARES = 4;
/** Calls that began so long ago and still hold something have a client that is slow. */
export const SLOW_MS = 10_000;

/** A call whose request came and has not begun. */
export interface Postponed {
  resume(): void;
}

export class OpenCalls {
  readonly #limits: Limits;
  readonly #stats: ServerStats;
  readonly #calls = new Set<ServerCall>();
  #postponed: Postponed[] = [];
  /** Of replies to unary calls. */
  #replyBytes = 0;
  /** What the last look found. */
  requestBytes = 0;
  queuedBytes = 0;
  slowBytes = 0;
  stalledStreams = 0;

  constructor(limits: Limits, stats: ServerStats) {
    this.#limits = limits;
    this.#stats = stats;
  }

  add(call: ServerCall): void {
    this.#calls.add(call);
  }

  delete(call: ServerCall): void {
    this.#calls.delete(call);
    this.#replyBytes -= call.replyBytes;
    this.#stats.replyBytes -= call.replyBytes;
    if (this.#postponed.length > 0) this.#resume();
  }

  /** A reply goes out; it is held until its call is closed. */
  replied(sizeBytes: number): void {
    this.#replyBytes += sizeBytes;
    this.#stats.replyBytes += sizeBytes;
  }

  /** Whether the client has to take replies before it gets more. One at a time it gets in any case. */
  get isFull(): boolean {
    const { heldBytesMax } = this.#limits;
    if (this.#replyBytes >= heldBytesMax / SHARES) return true;
    return this.#replyBytes > 0 && this.#stats.heldBytes >= heldBytesMax;
  }

  /** Whether the client sends requests beyond its share without completing them. */
  get isFlooded(): boolean {
    return this.requestBytes > this.#limits.heldBytesMax / SHARES;
  }

  postpone(call: Postponed): void {
    this.#postponed.push(call);
    this.#stats.postponed++;
  }

  #resume(): void {
    while (this.#postponed.length > 0 && !this.isFull) {
      this.#stats.postponed--;
      this.#postponed.shift()!.resume();
    }
  }

  /** Forgets who waits, since the connection is gone. */
  end(): void {
    this.#stats.postponed -= this.#postponed.length;
    this.#postponed = [];
  }

  dismiss(reason: RpcError): void {
    for (const call of this.#calls) call.dismiss(reason);
  }

  /** To be called every second or so: adds up what is held, and ends calls whose request does not come. */
  look(nowMs: number): void {
    const { requestTimeoutMs, queuedBytesMax } = this.#limits;
    this.requestBytes = 0;
    this.queuedBytes = 0;
    this.slowBytes = 0;
    this.stalledStreams = 0;
    for (const call of this.#calls) {
      const { requestBytes, queuedBytes } = call;
      this.requestBytes += requestBytes;
      this.queuedBytes += queuedBytes;
      if (queuedBytes > queuedBytesMax) this.stalledStreams++;
      if (nowMs - call.beganMs > SLOW_MS) this.slowBytes += requestBytes + queuedBytes + call.replyBytes;
      if (!call.isLate(nowMs, requestTimeoutMs)) continue;
      this.#stats.refused.request_timeout++;
      const text = `the request did not come within ${requestTimeoutMs / 1000} s`;
      call.expire(new RpcError(STATUS.deadlineExceeded, text));
    }
    this.#resume();
  }
}
