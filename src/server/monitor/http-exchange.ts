/** A request over HTTP and its answer, whichever version of HTTP brought it, and what all answers have in common. */
import type { EventEmitter } from 'node:events';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { MessageSizeError } from '../../rpc/framing.ts';
import type { BodyAccount } from '../../rpc/http-call.ts';
import { LateRequestError } from '../../rpc/http2-request.ts';
import { DEFAULT_LIMITS } from '../../rpc/limits.ts';

/** What HTTP/1.1 and HTTP/2 have in common. */
export interface HttpRequest extends Readable {
  method?: string | undefined;
  url?: string | undefined;
  headers: IncomingHttpHeaders;
  /** Names and values in turn. */
  rawHeaders: readonly string[];
  socket: Pick<Socket, 'remoteAddress' | 'remotePort'>;
  /** How long its body may take to come. */
  bodyTimeoutMs?: number;
  /** What is kept of its body counts there. */
  account?: BodyAccount;
}

export interface HttpResponse extends EventEmitter {
  readonly headersSent: boolean;
  /** Bytes that the client has not taken. */
  readonly writableLength: number;
  setHeader(name: string, value: string): unknown;
  writeHead(code: number, headers?: OutgoingHttpHeaders): HttpResponse;
  /** False when it is time to wait for `drain`. */
  write(chunk: string): boolean;
  end(): unknown;
  end(chunk: string): unknown;
  destroy(): unknown;
}

/** Takes a request and answers it; never throws. */
export type HttpHandler = (request: HttpRequest, response: HttpResponse) => void;

const BODY_BYTES_MAX = 64 * 1024;
export const PLAIN = 'text/plain; charset=utf-8';

/** Nobody waits for a body, so it is read away; one that does not end ends the connection. */
export function takeBody(request: HttpRequest, response: HttpResponse, sizeMax = BODY_BYTES_MAX): void {
  let sizeBytes = 0;
  request.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes > sizeMax) request.destroy(new MessageSizeError('nobody reads such a body'));
  });
  request.on('error', () => response.destroy());
  limitBody(request, () => request.destroy(new LateRequestError()));
}

/** Calls `late` when a request has not come in time. */
export function limitBody(request: HttpRequest, late: () => void): void {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  const isShort = encoding === undefined && (length === undefined || length === '0');
  if (request.readableEnded || (isShort && !(':method' in request.headers))) return;
  const timer = setTimeout(late, request.bodyTimeoutMs ?? DEFAULT_LIMITS.requestTimeoutMs).unref();
  const stop = (): void => clearTimeout(timer);
  request.once('end', stop).once('close', stop);
}

/** Go's `http.Error`. */
export function fail(
  response: HttpResponse,
  code: number,
  text: string,
  headers: Record<string, string> = {},
): void {
  response
    .writeHead(code, { ...headers, 'content-type': PLAIN, 'x-content-type-options': 'nosniff' })
    .end(`${text}\n`);
}
