/** One call on the client's side: messages both ways, and a status at the end. */
import { type ClientHttp2Stream, constants } from 'node:http2';
import { decodeGrpcMessage } from '../rpc/grpc-message.ts';
import { Inbox } from '../rpc/inbox.ts';
import { Outbox } from '../rpc/outbox.ts';
import { RpcError, STATUS, type Status } from '../rpc/status.ts';

const UNREAD_BYTES_MAX = 64 * 1024;
const QUEUED_BYTES_MAX = 64 * 1024;
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface CallOptions {
  /** The call fails as DEADLINE_EXCEEDED after this time; the server is told of it. */
  timeoutMs?: number | undefined;
  /** Cancels the call. */
  signal?: AbortSignal | undefined;
  /** Besides that of the channel. */
  metadata?: Readonly<Record<string, string>> | undefined;
}

export interface ClientStreamOptions extends CallOptions {
  messageSizeMax: number;
  /** Says why the connection is gone, when it is. */
  connectionLoss(): string | undefined;
}

type Headers = Record<string, string | string[] | number | undefined>;

export class ClientStream implements AsyncIterable<Uint8Array> {
  readonly #stream: ClientHttp2Stream;
  readonly #options: ClientStreamOptions;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #abort = (): void => this.cancel();
  #isOver = false;
  #status: RpcError | 'ok' | undefined;
  #httpStatus = 0;

  constructor(stream: ClientHttp2Stream, options: ClientStreamOptions) {
    this.#stream = stream;
    this.#options = options;
    const { messageSizeMax, timeoutMs, signal } = options;
    this.#inbox = new Inbox(stream, { messageSizeMax, unreadBytesMax: UNREAD_BYTES_MAX });
    this.#outbox = new Outbox(stream, { queuedBytesMax: QUEUED_BYTES_MAX });
    stream.on('response', (headers: Headers) => {
      this.#httpStatus = Number(headers[':status']);
      this.#takeStatus(headers);
    });
    stream.on('trailers', (headers: Headers) => this.#takeStatus(headers));
    stream.on('data', (chunk: Uint8Array) => this.#inbox.push(chunk));
    stream.on('end', () => this.#finish());
    // Whatever ended it is seen when it closes.
    stream.on('error', () => {});
    stream.on('close', () => this.#finish());
    if (timeoutMs !== undefined && timeoutMs <= TIMER_MS_MAX) {
      const expired = new RpcError(STATUS.deadlineExceeded, 'context deadline exceeded');
      this.#timer = setTimeout(() => this.#cut(expired), timeoutMs);
    }
    if (signal?.aborted) this.cancel();
    else signal?.addEventListener('abort', this.#abort, { once: true });
  }

  /** Queues a message; gives whether more may be sent before {@link drained}. */
  send(message: Uint8Array): boolean {
    return this.#isOver || this.#outbox.send(message);
  }

  /** Resolves when `send` may go on, or the call is over. */
  drained(): Promise<void> {
    return this.#outbox.drained();
  }

  /** The next message; undefined when the call has ended well. Throws the status when it has not. */
  receive(): Promise<Uint8Array | undefined> {
    return this.#inbox.receive();
  }

  /** All messages. Leaving the loop early cancels the call. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    try {
      for (;;) {
        const message = await this.receive();
        if (!message) return;
        yield message;
      }
    } finally {
      this.cancel();
    }
  }

  /** Nothing more will be sent. */
  end(): void {
    if (this.#isOver) return;
    this.#outbox.flush();
    this.#stream.end();
  }

  /** Ends the call, unless it is over; whoever receives gets CANCELLED. */
  cancel(): void {
    this.#cut(new RpcError(STATUS.cancelled, 'context canceled'));
  }

  #cut(reason: RpcError): void {
    if (this.#isOver) return;
    this.#leave();
    this.#inbox.fail(reason);
    if (!this.#stream.closed) this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  #leave(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener('abort', this.#abort);
    this.#outbox.close();
  }

  #takeStatus(headers: Headers): void {
    const code = headers['grpc-status'];
    if (code === undefined) return;
    const status = Number(code);
    const text = decodeGrpcMessage(String(headers['grpc-message'] ?? ''));
    const isKnown = Number.isInteger(status) && status >= 0 && status <= STATUS.unauthenticated;
    if (status === STATUS.ok) this.#status = 'ok';
    else this.#status = new RpcError(isKnown ? (status as Status) : STATUS.unknown, text);
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#leave();
    if (this.#status === 'ok') this.#inbox.end();
    else this.#inbox.end(this.#status ?? this.#lack());
  }

  /** Why there is no status. */
  #lack(): RpcError {
    const loss = this.#options.connectionLoss();
    if (loss !== undefined) return new RpcError(STATUS.unavailable, loss);
    const code = this.#stream.rstCode;
    if (code !== constants.NGHTTP2_NO_ERROR) {
      const status = RESET_STATUS[code] ?? STATUS.internal;
      return new RpcError(status, `the server reset the call with HTTP/2 error code ${code}`);
    }
    if (this.#httpStatus !== 0 && this.#httpStatus !== constants.HTTP_STATUS_OK) {
      const text = `the server answered with HTTP status ${this.#httpStatus}, which is no gRPC`;
      return new RpcError(HTTP_STATUS[this.#httpStatus] ?? STATUS.unknown, text);
    }
    return new RpcError(STATUS.internal, 'the server ended the call without a status');
  }
}

const RESET_STATUS: Record<number, Status> = {
  [constants.NGHTTP2_REFUSED_STREAM]: STATUS.unavailable,
  [constants.NGHTTP2_CANCEL]: STATUS.cancelled,
  [constants.NGHTTP2_ENHANCE_YOUR_CALM]: STATUS.resourceExhausted,
  [constants.NGHTTP2_INADEQUATE_SECURITY]: STATUS.permissionDenied,
};

const HTTP_STATUS: Record<number, Status> = {
  400: STATUS.internal,
  401: STATUS.unauthenticated,
  403: STATUS.permissionDenied,
  404: STATUS.unimplemented,
  429: STATUS.unavailable,
  502: STATUS.unavailable,
  503: STATUS.unavailable,
  504: STATUS.unavailable,
};
