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
import { HttpCall } from './http-call.ts';
import type { OpenCalls } from './open-calls.ts';
import type { ServerStats } from './stats.ts';
import { RpcError, STATUS } from './status.ts';

/** Takes a request and answers it; never throws. */
export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void;

interface Http2Request {
  stream: ServerHttp2Stream;
  headers: IncomingHttpHeaders;
  rawHeaders: readonly string[];
  bodyTimeoutMs: number;
  calls: OpenCalls;
  stats: ServerStats;
}

/** Lets `handler` answer a stream, once its connection has taken enough of other replies. Gives it as a call. */
export function answerHttp(
  handler: HttpHandler,
  { stream, headers, rawHeaders, bodyTimeoutMs, calls, stats }: Http2Request,
): HttpCall {
  const request = new Http2ServerRequest(stream, headers, {}, rawHeaders);
  const response = new Http2ServerResponse(stream);
  const account = new HttpCall({ calls, request, response, rawHeaders });
  calls.add(account);
  if (headers[':method'] === 'CONNECT') {
    response.statusCode = 405;
    response.end();
    return account;
  }
  countReply(response, account);
  countBrokenBodies(request, stats);
  const shown = Object.assign(request, { bodyTimeoutMs, account }) as unknown as IncomingMessage;
  const resume = (): void => {
    if (!stream.destroyed) handler(shown, response as unknown as ServerResponse);
  };
  if (calls.isFull) calls.postpone({ resume });
  else resume();
  return account;
}

/** Tells the account of an answer before its last piece is written, so that not even the next request is too early. */
function countReply(response: Http2ServerResponse, account: HttpCall): void {
  const end = response.end.bind(response) as (...args: unknown[]) => Http2ServerResponse;
  response.end = (...args: unknown[]) => {
    const [last] = args;
    account.replied(typeof last === 'string' || last instanceof Uint8Array ? Buffer.byteLength(last) : 0);
    return end(...args);
  };
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
