/**
 * The open calls of one connection, and what they make the server hold: requests that are not complete, replies that
 * the client does not take. A client that holds too many replies has its further requests wait; they cost less.
 */
import type { Limits } from './limits.ts';
import type { ServerStats } from './stats.ts';
import { RpcError, STATUS } from './status.ts';

/** Of what all clients may make the server hold, what one connection may: one part in so many. */
const SHARES = 4;
/** Calls that began so long ago and still hold something have a client that is slow. */
export const SLOW_MS = 10_000;

/** Who holds less neither has to wait nor to go: it would make little room. */
export const HARMLESS_BYTES = 64 * 1024;

/** A call, whatever it speaks, as far as it costs something. */
export interface OpenCall {
  readonly beganMs: number;
  /** Of what the client sent, its headers included; of a reply that is being made. Both are asked for now and then. */
  readonly requestBytes: number;
  readonly queuedBytes: number;
  /** Of a whole reply that goes out. */
  readonly replyBytes: number;
  /** Of a body over HTTP that is being read; only {@link OpenCalls.holdBody} changes it. */
  bodyBytes?: number;
  /** Whether its request has been coming for too long. */
  isLate(nowMs: number, timeoutMs: number): boolean;
  expire(reason: RpcError): void;
  dismiss(reason: RpcError): void;
  /** There is room again for its body. */
  proceed?(): void;
  /** Nothing of it counts any more. */
  left?(): void;
}

/** A call whose request came and has not begun. */
export interface Postponed {
  resume(): void;
}

export class OpenCalls {
  readonly #limits: Limits;
  readonly #stats: ServerStats;
  readonly #calls = new Set<OpenCall>();
  #postponed: Postponed[] = [];
  /** Of replies to unary calls. */
  #replyBytes = 0;
  /** Of bodies over HTTP. */
  #bodyBytes = 0;
  /** What the last look found. */
  requestBytes = 0;
  queuedBytes = 0;
  /** Of calls that are slow, and what of it is of their requests. */
  slowBytes = 0;
  slowRequestBytes = 0;
  stalledStreams = 0;

  constructor(limits: Limits, stats: ServerStats) {
    this.#limits = limits;
    this.#stats = stats;
  }

  add(call: OpenCall): void {
    this.#calls.add(call);
  }

  delete(call: OpenCall): void {
    if (!this.#calls.has(call)) return;
    call.left?.();
    this.holdBody(call, 0);
    this.#calls.delete(call);
    this.#replyBytes -= call.replyBytes;
    this.#stats.replyBytes -= call.replyBytes;
    if (this.#postponed.length > 0) this.#resume();
  }

  /** A reply goes out; it is held until its call is closed. Gives whether the call is still open. */
  replied(sizeBytes: number, call?: OpenCall): boolean {
    if (call && !this.#calls.has(call)) return false;
    this.#replyBytes += sizeBytes;
    this.#stats.replyBytes += sizeBytes;
    return true;
  }

  /** So much of the body of an open call is held now. */
  holdBody(call: OpenCall, sizeBytes: number): void {
    if (!this.#calls.has(call)) return;
    const more = sizeBytes - (call.bodyBytes ?? 0);
    if (more === 0) return;
    call.bodyBytes = sizeBytes;
    this.#bodyBytes += more;
    this.#stats.bodyBytes += more;
  }

  /** One body more, or less, waits for room. */
  heldUp(change: 1 | -1): void {
    this.#stats.bodiesHeldUp += change;
  }

  noteTooLong(): void {
    this.#stats.refused.message_size++;
  }

  /** Whether all clients together hold what they may. */
  get isServerFull(): boolean {
    return this.#stats.heldBytes >= this.#limits.heldBytesMax;
  }

  /** Whether the client has to take replies before it gets more. One at a time it gets in any case. */
  get isFull(): boolean {
    if (this.#replyBytes >= this.#limits.heldBytesMax / SHARES) return true;
    return this.#replyBytes > 0 && this.isServerFull;
  }

  /** Whether the client sends requests beyond its share without completing them. */
  get isFlooded(): boolean {
    return this.requestBytes + this.#bodyBytes > this.#limits.heldBytesMax / SHARES;
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
    this.slowRequestBytes = 0;
    this.stalledStreams = 0;
    for (const call of this.#calls) {
      if (!this.isServerFull) call.proceed?.();
      const { requestBytes, queuedBytes, bodyBytes = 0 } = call;
      this.requestBytes += requestBytes;
      this.queuedBytes += queuedBytes;
      if (queuedBytes > queuedBytesMax) this.stalledStreams++;
      if (nowMs - call.beganMs > SLOW_MS) {
        this.slowRequestBytes += requestBytes + bodyBytes;
        this.slowBytes += requestBytes + bodyBytes + queuedBytes + call.replyBytes;
      }
      if (!call.isLate(nowMs, requestTimeoutMs)) continue;
      this.#stats.refused.request_timeout++;
      const text = `the request did not come within ${requestTimeoutMs / 1000} s`;
      call.expire(new RpcError(STATUS.deadlineExceeded, text));
    }
    this.#resume();
  }
}
