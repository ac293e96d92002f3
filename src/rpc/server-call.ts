/**
 * One call on the server's side of an HTTP/2 stream: what unary and streaming calls share. Timers, abort signals and
 * metadata are made when they are asked for, since most calls need none of them.
 *
 * A call is over once its status is decided or its client is gone, whichever comes first; what comes later is ignored.
 */
import { constants, type ServerHttp2Stream } from 'node:http2';
import { ToolError } from '../errors.ts';
import { encodeGrpcMessage } from './grpc-message.ts';
import { MessageSizeError } from './framing.ts';
import type { Limits } from './limits.ts';
import type { Postponed } from './open-calls.ts';
import type { Call } from './seam.ts';
import type { ServerStats } from './stats.ts';
import { RpcError, STATUS, type Status } from './status.ts';
import { parseTimeout } from './timeout.ts';

/** Takes what operators should know. */
export interface RpcLog {
  warn(fields: Record<string, unknown>, message: string): void;
}

/** The connection of a call, as the call sees it. */
export interface CallHost {
  readonly peer: string;
  readonly commonName: string | undefined;
  readonly limits: Limits;
  readonly stats: ServerStats;
  readonly log: RpcLog | undefined;
  /** When time was last looked at, a second ago or less. */
  readonly nowMs: number;
  /** Whether further requests have to wait, with `postpone`. */
  readonly isFull: boolean;
  postpone(call: Postponed): void;
  /** A reply of so many bytes goes out. */
  replied(sizeBytes: number): void;
  /** The stream of `call` is closed; `isReset` when the client cut it off. */
  callClosed(isReset: boolean, call: ServerCall): void;
}

/** A call as HTTP/2 brings it. */
export interface Arrival {
  stream: ServerHttp2Stream;
  path: string;
  /** Names and values in turn, pseudo-headers included. */
  rawHeaders: readonly string[];
  timeout: string | undefined;
  encoding: string | undefined;
  /** Whether it waits for something to happen. */
  isWaiting: boolean;
}

const CALL = Symbol('call');
interface Carrier extends ServerHttp2Stream {
  [CALL]: ServerCall;
}

export const RESPONSE_HEADERS = { ':status': 200, 'content-type': 'application/grpc' };
/** Node adds a date to every response unless it is told not to. */
export const WITH_TRAILERS = { waitForTrailers: true, sendDate: false };
const WITHOUT_BODY = { endStream: true, sendDate: false };
const OK_TRAILERS = { 'grpc-status': '0' };
const TIMER_MS_MAX = 2 ** 31 - 1;

export abstract class ServerCall implements Call {
  readonly path: string;
  /** To a second. */
  readonly beganMs: number;
  /** Of a reply that went out. */
  replyBytes = 0;
  protected readonly host: CallHost;
  protected readonly stream: ServerHttp2Stream;
  protected isOver = false;
  /** The client has sent all it wants to send. */
  protected isHalfClosed = false;
  protected readonly isWaiting: boolean;
  readonly #rawHeaders: readonly string[];
  readonly #timeout: string | undefined;
  readonly #began: number;
  #metadata: ReadonlyMap<string, string> | undefined;
  #abort: AbortController | undefined;
  #abortReason: RpcError | undefined;
  #timer: NodeJS.Timeout | undefined;
  #trailers: Record<string, string> = OK_TRAILERS;
  #hasReset = false;
  #headerBytes = 0;

  constructor(host: CallHost, { stream, path, rawHeaders, timeout, isWaiting }: Arrival) {
    this.path = path;
    this.host = host;
    this.beganMs = host.nowMs;
    this.stream = stream;
    this.isWaiting = isWaiting;
    this.#rawHeaders = rawHeaders;
    this.#timeout = timeout;
    this.#began = timeout === undefined ? 0 : performance.now();
  }

  /** Begins to listen to the client. */
  attach(): void {
    const { stream } = this;
    (stream as Carrier)[CALL] = this;
    // Functions that all calls share: closures for each would cost more than the rest of this class.
    stream.on('data', onData);
    stream.on('end', onEnd);
    stream.on('error', onError);
    stream.on('close', onClose);
    stream.on('wantTrailers', onWantTrailers);
  }

  get peer(): string {
    return this.host.peer;
  }

  get commonName(): string | undefined {
    return this.host.commonName;
  }

  get metadata(): ReadonlyMap<string, string> {
    this.#metadata ??= metadataOf(this.#rawHeaders);
    return this.#metadata;
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#abortReason) this.#abort.abort(this.#abortReason);
      else this.watchDeadline();
    }
    return this.#abort.signal;
  }

  /** Bytes that are held of what the client sent, its headers included. */
  get requestBytes(): number {
    // Few calls are open for so long that anybody asks.
    this.#headerBytes ||= this.#rawHeaders.reduce((sum, text) => sum + text.length, 0);
    return this.#headerBytes + this.unfinishedBytes;
  }

  /** Bytes of messages that the client did not take. */
  abstract get queuedBytes(): number;
  protected abstract get unfinishedBytes(): number;
  /** Whether a message has begun to come so long ago that it will not be waited for. */
  abstract isLate(nowMs: number, timeoutMs: number): boolean;
  /** Bytes of messages came. */
  protected abstract received(chunk: Uint8Array): void;
  /** No more will come. */
  protected abstract halfClosed(): void;
  /** The call is over before its handler is; `reason` is what it gets thrown. */
  protected abstract abandoned(reason: RpcError): void;
  /** Whether replies wait for the client to take them. */
  protected abstract hasQueued(): boolean;

  /** From now on the deadline ends the call; before, it could not pass unnoticed. */
  protected watchDeadline(): void {
    if (this.#timeout === undefined || this.#timer || this.isOver) return;
    try {
      const left = parseTimeout(this.#timeout) - (performance.now() - this.#began);
      if (left > TIMER_MS_MAX) return;
      this.#timer = setTimeout(expire, Math.max(0, Math.ceil(left)), this);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Marks the call as over; false when it was already. */
  protected conclude(): boolean {
    if (this.isOver) return false;
    this.isOver = true;
    if (this.#timer) clearTimeout(this.#timer);
    return true;
  }

  get isStreamGone(): boolean {
    return this.stream.destroyed || this.stream.closed;
  }

  /** Ends the call with what a handler threw. */
  fail(error: unknown): void {
    if (this.isOver) return;
    if (error instanceof MessageSizeError) this.host.stats.refused.message_size++;
    if (error instanceof RpcError) return this.end(error.status, error.message);
    const text = error instanceof Error ? error.message : String(error);
    if (!(error instanceof ToolError && error.code !== 'unexpected')) {
      const stack = error instanceof Error ? error.stack : undefined;
      this.host.log?.warn({ method: this.path, error: text, stack }, 'a call failed for a reason of our own');
    }
    this.end(STATUS.internal, text);
  }

  /** Ends the call with a status, behind what was sent before. */
  protected end(status: Status, text: string): void {
    if (!this.conclude() || this.isStreamGone) return;
    if (!this.stream.headersSent) {
      const fields = { ...RESPONSE_HEADERS, ...trailersOf(status, text) };
      this.stream.respond(fields, WITHOUT_BODY);
      setImmediate(closeHalf, this);
      return;
    }
    this.#trailers = trailersOf(status, text);
    this.stream.end();
  }

  /** Tells a client that still sends that nobody listens: NO_ERROR, since it has its answer. */
  closeHalf(): void {
    if (this.isHalfClosed || this.isStreamGone) return;
    this.#hasReset = true;
    this.stream.close(constants.NGHTTP2_NO_ERROR);
  }

  /** Ends the call since its time is over, or that of its request. */
  expire(reason = new RpcError(STATUS.deadlineExceeded, 'context deadline exceeded')): void {
    this.#cutOff(reason, constants.NGHTTP2_CANCEL);
  }

  /** The server is about to close: a call that could hold it up for ever is over. */
  dismiss(reason: RpcError): void {
    // Clients in Go try again after this code, and take CANCEL for their own doing.
    if (this.canDismiss()) this.#cutOff(reason, constants.NGHTTP2_INTERNAL_ERROR);
  }

  protected canDismiss(): boolean {
    return this.isWaiting;
  }

  /** The handler is told; the client is, if it is still there, and by a mere reset if it takes nothing. */
  #cutOff(reason: RpcError, resetCode: number): void {
    if (this.isOver) return;
    if (this.hasQueued()) {
      this.conclude();
      this.#hasReset = true;
      if (!this.isStreamGone) this.stream.close(resetCode);
    } else this.end(reason.status, reason.message);
    this.#abandon(reason);
  }

  #abandon(reason: RpcError): void {
    this.#abortReason = reason;
    this.#abort?.abort(reason);
    this.abandoned(reason);
  }

  takeData(chunk: Uint8Array): void {
    if (!this.isOver) this.received(chunk);
  }

  takeEnd(): void {
    this.isHalfClosed = true;
    if (!this.isOver) this.halfClosed();
  }

  takeClose(): void {
    const isReset = !this.#hasReset && this.stream.rstCode !== constants.NGHTTP2_NO_ERROR;
    this.host.callClosed(isReset, this);
    if (this.conclude()) this.#abandon(new RpcError(STATUS.cancelled, 'context canceled'));
  }

  sendTrailers(): void {
    this.stream.sendTrailers(this.#trailers);
    // Node sends them in an immediate of its own, which comes before this one.
    if (!this.isHalfClosed) setImmediate(closeHalf, this);
  }
}

function trailersOf(status: Status, text: string): Record<string, string> {
  if (status === STATUS.ok) return OK_TRAILERS;
  return { 'grpc-status': String(status), 'grpc-message': encodeGrpcMessage(text) };
}

function metadataOf(rawHeaders: readonly string[]): Map<string, string> {
  const metadata = new Map<string, string>();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!;
    if (!name.startsWith(':') && !metadata.has(name)) metadata.set(name, rawHeaders[at + 1]!);
  }
  return metadata;
}

function onData(this: ServerHttp2Stream, chunk: Uint8Array): void {
  (this as Carrier)[CALL].takeData(chunk);
}

function onEnd(this: ServerHttp2Stream): void {
  (this as Carrier)[CALL].takeEnd();
}

/** Whatever ended the stream is seen when it closes. */
function onError(): void {}

function onClose(this: ServerHttp2Stream): void {
  (this as Carrier)[CALL].takeClose();
}

function onWantTrailers(this: ServerHttp2Stream): void {
  (this as Carrier)[CALL].sendTrailers();
}

function expire(call: ServerCall): void {
  call.expire();
}

function closeHalf(call: ServerCall): void {
  call.closeHalf();
}
