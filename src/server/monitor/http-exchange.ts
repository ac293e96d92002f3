/** A request over HTTP and its answer, whichever version of HTTP brought it, and what all answers have in common. */
import type { EventEmitter } from 'node:events';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';

/** What HTTP/1.1 and HTTP/2 have in common. */
export interface HttpRequest extends Readable {
  method?: string | undefined;
  url?: string | undefined;
  headers: IncomingHttpHeaders;
  /** Names and values in turn. */
  rawHeaders: readonly string[];
  socket: Pick<Socket, 'remoteAddress' | 'remotePort'>;
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
/** How long a request may take to come. */
export const BODY_TIMEOUT_MS = 60_000;
export const PLAIN = 'text/plain; charset=utf-8';

/** Nobody waits for a body, so it is read away; one that does not end ends the connection. */
export function takeBody(request: HttpRequest, response: HttpResponse, sizeMax = BODY_BYTES_MAX): void {
  let sizeBytes = 0;
  request.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes > sizeMax) request.destroy();
  });
  request.on('error', () => response.destroy());
  limitBody(request, () => request.destroy());
}

/** Calls `late` when a request has not come in time. */
export function limitBody(request: HttpRequest, late: () => void): void {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  const isShort = encoding === undefined && (length === undefined || length === '0');
  if (request.readableEnded || (isShort && !(':method' in request.headers))) return;
  const timer = setTimeout(late, BODY_TIMEOUT_MS).unref();
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
