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

/** Takes a request and answers it; never throws. */
export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** Lets `handler` answer a stream. */
export function answerHttp(
  handler: HttpHandler,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
): void {
  const request = new Http2ServerRequest(stream, headers, {}, rawHeaders);
  const response = new Http2ServerResponse(stream);
  if (headers[':method'] === 'CONNECT') {
    response.statusCode = 405;
    response.end();
    return;
  }
  handler(request as unknown as IncomingMessage, response as unknown as ServerResponse);
}
