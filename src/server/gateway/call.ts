/**
 * Calls that come as requests over HTTP, as services see them. A call is over when it was answered, its client is gone,
 * its time has passed, or the server is about to close; what comes later is ignored.
 */
import type { Message } from '../../format/proto/field.ts';
import type { Call, Stream } from '../../rpc/seam.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import type { HttpResponse } from '../monitor/http-exchange.ts';
import { jsonOf } from './to-json.ts';

const TIMER_MS_MAX = 2 ** 31 - 1;

export interface CallOptions {
  path: string;
  metadata: ReadonlyMap<string, string>;
  peer: string;
  timeoutMs: number | undefined;
  /** It waits for something to happen, maybe for ever. */
  isWaiting: boolean;
}

/** Carries no name of a certificate: through the gateway etcd takes nobody's word but a token's. */
export class GatewayCall implements Call {
  readonly path: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly peer: string;
  /** Here a certificate says nothing about who calls. */
  readonly commonName = undefined;
  readonly isWaiting: boolean;
  /** The request has come as a whole, and something is done for it. */
  isBegun = false;
  readonly #abort = new AbortController();
  readonly #timer: NodeJS.Timeout | undefined;

  constructor({ path, metadata, peer, timeoutMs, isWaiting }: CallOptions) {
    this.path = path;
    this.metadata = metadata;
    this.peer = peer;
    this.isWaiting = isWaiting;
    if (timeoutMs === undefined || timeoutMs > TIMER_MS_MAX) return;
    const expire = (): void => this.cancel(expired());
    if (timeoutMs < 1) expire();
    else this.#timer = setTimeout(expire, timeoutMs);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  cancel(reason: RpcError): void {
    this.#abort.abort(reason);
  }

  /** Nobody waits for it any more. */
  finish(): void {
    clearTimeout(this.#timer);
  }

  /** As `work`, but rejects as soon as the call is over. */
  async until<T>(work: T | Promise<T>): Promise<T> {
    const { signal } = this;
    const over = new Promise<never>((_, reject) => {
      const end = (): void => reject(signal.reason as RpcError);
      if (signal.aborted) end();
      else signal.addEventListener('abort', end, { once: true });
    });
    // A work that is left alone may fail.
    over.catch(() => {});
    return Promise.race([over, work]);
  }
}

const expired = (): RpcError => new RpcError(STATUS.deadlineExceeded, 'context deadline exceeded');

/** Where a stream's messages come from. */
export interface Source {
  receive(): Promise<Uint8Array | undefined>;
  fail(reason: RpcError): void;
}

/** A request whose only message is there. */
export class OneMessage implements Source {
  #message: Uint8Array | undefined;

  constructor(message: Uint8Array) {
    this.#message = message;
  }

  async receive(): Promise<Uint8Array | undefined> {
    const message = this.#message;
    this.#message = undefined;
    return message;
  }

  fail(): void {
    this.#message = undefined;
  }
}

export interface StreamOptions extends CallOptions {
  answers: Message<unknown>;
  response: HttpResponse;
  /** Writes the headers of an answer that is none of an error. */
  open: (response: HttpResponse) => void;
}

/** Answers go out as lines. The client is not read for faster than its messages are wanted. */
export class GatewayStream extends GatewayCall implements Stream {
  readonly #answers: Message<unknown>;
  readonly #response: HttpResponse;
  readonly #open: (response: HttpResponse) => void;
  #source: Source | undefined;
  #isFull = false;
  #isClosed = false;
  #waiters: (() => void)[] = [];

  constructor(options: StreamOptions) {
    super(options);
    this.#answers = options.answers;
    this.#response = options.response;
    this.#open = options.open;
    this.#response.on('drain', () => this.#release());
    this.signal.addEventListener('abort', () => {
      this.close();
      this.#source?.fail(this.signal.reason as RpcError);
    });
  }

  /** To be called once, before the handler runs. */
  begin(source: Source): void {
    this.#source = source;
    this.isBegun = true;
  }

  receive(): Promise<Uint8Array | undefined> {
    if (this.signal.aborted) return Promise.reject(this.signal.reason as RpcError);
    return this.#source!.receive();
  }

  send(message: Uint8Array): boolean {
    if (this.#isClosed) return true;
    if (!this.#response.headersSent) this.#open(this.#response);
    this.#isFull = !this.#response.write(`{"result":${jsonOf(this.#answers, message)}}\n`);
    return !this.#isFull;
  }

  get queuedBytes(): number {
    return this.#isClosed ? 0 : this.#response.writableLength;
  }

  async drained(): Promise<void> {
    if (!this.#isFull || this.#isClosed) return;
    await new Promise<void>((resolve) => {
      this.#waiters.push(resolve);
    });
  }

  /** Sends nothing more. */
  close(): void {
    this.#isClosed = true;
    this.#release();
  }

  #release(): void {
    this.#isFull = false;
    for (const release of this.#waiters.splice(0)) release();
  }
}
