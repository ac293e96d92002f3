/**
 * HTTP requests that come over HTTP/2 and are no gRPC, as those of curl, browsers and Prometheus under TLS: they are
 * shown to what answers HTTP/1.1, whose requests and responses Node gives the same shape.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  Http2ServerRequest,
  Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Readable } from 'node:stream';
import { MessageSizeError } from './framing.ts';
import type { ServerStats } from './stats.ts';
import { RpcError, STATUS } from './status.ts';

/** Takes a request and answers it; never throws. */
export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void;

interface Http2Request {
  stream: ServerHttp2Stream;
  headers: IncomingHttpHeaders;
  rawHeaders: readonly string[];
  bodyTimeoutMs: number;
  stats: ServerStats;
}

/** Lets `handler` answer a stream. */
export function answerHttp(
  handler: HttpHandler,
  { stream, headers, rawHeaders, bodyTimeoutMs, stats }: Http2Request,
): void {
  const request = new Http2ServerRequest(stream, headers, {}, rawHeaders);
  const response = new Http2ServerResponse(stream);
  if (headers[':method'] === 'CONNECT') {
    response.statusCode = 405;
    response.end();
    return;
  }
  countBrokenBodies(request, stats);
  handler(
    Object.assign(request, { bodyTimeoutMs }) as unknown as IncomingMessage,
    response as unknown as ServerResponse,
  );
}

/** A request did not come in time. */
export class LateRequestError extends RpcError {
  constructor() {
    super(STATUS.deadlineExceeded, 'the request did not come in time');
  }
}

/** Counts bodies that whoever takes them gives up, by the error they are destroyed with. */
export function countBrokenBodies(request: Readable, stats: ServerStats): void {
  request.on('error', (error) => {
    if (error instanceof MessageSizeError) stats.refused.message_size++;
    if (error instanceof LateRequestError) stats.refused.request_timeout++;
  });
}
