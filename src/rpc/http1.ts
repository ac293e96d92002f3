/**
 * HTTP/1.1 within limits: how large a request's headers may be and how long it may take to come, how many may wait for
 * their answers, how long an answer may wait to be taken. Whoever breaks them is told, counted, and cut off.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { countBrokenBodies, type HttpHandler } from './http2-request.ts';
import type { Limits } from './limits.ts';
import { HttpCall } from './http-call.ts';
import { HARMLESS_BYTES, OpenCalls, SLOW_MS } from './open-calls.ts';
import type { Refusal, ServerStats } from './stats.ts';

const WATCH_INTERVAL_MS = 1000;
/** Requests of a connection that may wait for their turn: Node reads on while they do. */
const PIPELINED_MAX = 64;

export interface Http1Options {
  limits: Limits;
  stats: ServerStats;
  handler: HttpHandler;
  /** Asked for each connection, which is closed when there is no room; without it, somebody else asks. */
  isFull?: () => boolean;
}

interface Peer {
  /** It was told what is wrong, and will be closed; what it still sends may be wrong again. */
  isRejected: boolean;
  /** One after the other they are answered, as by Go, so that a client that reads nothing costs one answer. */
  pending: { request: IncomingMessage; response: ServerResponse; call: HttpCall }[];
  /** The same, as far as they cost something. */
  calls: OpenCalls;
  /** Bytes that it had taken when it was last seen to take some. */
  taken: number;
  takenMs: number;
}

/** Makes a server that keeps to limits; who listens, or hands it connections, is up to its owner. */
export class Http1Server {
  readonly server: Server;
  readonly #options: Http1Options;
  readonly #peers = new Map<Socket, Peer>();
  readonly #timer: NodeJS.Timeout;
  /** What waits to be taken, a second ago. */
  #answerBytes = 0;
  #requestBytes = 0;

  constructor(options: Http1Options) {
    const { limits } = options;
    this.#options = options;
    this.server = createServer({
      noDelay: true,
      maxHeaderSize: limits.headerListSizeMax,
      headersTimeout: Math.min(limits.handshakeTimeoutMs, limits.requestTimeoutMs),
      // A body may be a stream of messages: whoever takes it says how long it may last.
      requestTimeout: 0,
      keepAliveTimeout: limits.handshakeTimeoutMs,
      connectionsCheckingInterval: WATCH_INTERVAL_MS,
    });
    this.server.on('connection', (socket: Socket) => this.#accept(socket));
    this.server.on('request', (request: IncomingMessage, response: ServerResponse) =>
      this.#take(request, response),
    );
    this.server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) =>
      this.#reject(error, socket),
    );
    this.#timer = setInterval(() => this.#watch(performance.now()), WATCH_INTERVAL_MS).unref();
  }

  /** To be called once the server is closed. */
  end(): void {
    clearInterval(this.#timer);
    this.#note(0, 0);
  }

  /** Tells what it holds to the counts, where several tell theirs. */
  #note(answerBytes: number, requestBytes: number): void {
    const { stats } = this.#options;
    stats.answerBytes += answerBytes - this.#answerBytes;
    stats.requestBytes += requestBytes - this.#requestBytes;
    this.#answerBytes = answerBytes;
    this.#requestBytes = requestBytes;
  }

  #accept(socket: Socket): void {
    const { stats, limits, isFull } = this.#options;
    if (isFull?.()) {
      stats.refused.connections++;
      socket.destroy();
      return;
    }
    const calls = new OpenCalls(limits, stats);
    const peer: Peer = { isRejected: false, pending: [], calls, taken: 0, takenMs: performance.now() };
    this.#peers.set(socket, peer);
    stats.http1++;
    stats.http1Total++;
    socket.on('close', () => {
      this.#peers.delete(socket);
      for (const { call } of peer.pending) calls.delete(call);
      stats.http1--;
    });
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const peer = this.#peers.get(socket);
    // What a connection that was cut off had sent before is still parsed.
    if (!peer || socket.destroyed) return;
    if (peer.pending.length >= PIPELINED_MAX) return this.#cutOff(socket, 'flood');
    const { calls } = peer;
    const call = new HttpCall({ calls, request, response, rawHeaders: request.rawHeaders });
    calls.add(call);
    if (peer.pending.push({ request, response, call }) === 1) this.#answer(peer);
  }

  /** Has the first answered, and the others after it. */
  #answer(peer: Peer): void {
    const { request, response, call } = peer.pending[0]!;
    const { handler, stats, limits } = this.#options;
    response.on('close', () => {
      peer.pending.shift();
      peer.calls.delete(call);
      if (peer.pending.length > 0 && !request.socket.destroyed) this.#answer(peer);
    });
    countBrokenBodies(request, stats);
    handler(Object.assign(request, { bodyTimeoutMs: limits.requestTimeoutMs, account: call }), response);
  }

  #cutOff(socket: Socket, reason: Refusal): void {
    this.#options.stats.refused[reason]++;
    socket.destroy();
  }

  /** As Node does it when nobody counts. */
  #reject(error: NodeJS.ErrnoException, socket: Socket): void {
    const peer = this.#peers.get(socket);
    if (!peer || peer.isRejected) return;
    peer.isRejected = true;
    const isAnswering = peer.pending.length > 0;
    const known = REJECTIONS[error.code ?? ''] ?? (error.code?.startsWith('HPE_') ? MALFORMED : undefined);
    if (known) this.#options.stats.refused[known.reason]++;
    if (!known || isAnswering || !socket.writable) {
      socket.destroy();
      return;
    }
    socket.end(`HTTP/1.1 ${known.answer}\r\nConnection: close\r\n\r\n`, () => socket.destroy());
  }

  /**
   * Ends connections that take nothing of what waits for them, or send more than their share of what they do not
   * complete; slow ones sooner, when all together hold too much.
   */
  #watch(nowMs: number): void {
    const { limits, stats } = this.#options;
    const slow: Slow[] = [];
    let answerBytes = 0;
    let requestBytes = 0;
    for (const [socket, peer] of this.#peers) {
      const { calls } = peer;
      calls.look(nowMs);
      answerBytes += calls.queuedBytes;
      requestBytes += calls.requestBytes;
      if (calls.isFlooded) {
        this.#cutOff(socket, 'unfinished_requests');
        continue;
      }
      if (calls.slowRequestBytes >= HARMLESS_BYTES)
        slow.push({ socket, bytes: calls.slowRequestBytes, reason: 'unfinished_requests' });
      const taken = socket.bytesWritten - socket.writableLength;
      if (socket.writableLength === 0 || taken !== peer.taken) {
        peer.taken = taken;
        peer.takenMs = nowMs;
      } else if (nowMs - peer.takenMs > limits.requestTimeoutMs) {
        this.#cutOff(socket, 'unread_replies');
      } else if (nowMs - peer.takenMs > SLOW_MS) {
        slow.push({ socket, bytes: calls.queuedBytes, reason: 'unread_replies' });
      }
    }
    this.#note(answerBytes, requestBytes);
    this.#relieve(slow, stats.excessBytes(limits.heldBytesMax));
  }

  #relieve(slow: Slow[], excessBytes: number): void {
    let left = excessBytes;
    slow.sort((a, b) => b.bytes - a.bytes);
    for (const { socket, bytes, reason } of slow) {
      if (left <= 0) return;
      if (socket.destroyed) continue;
      left -= bytes;
      this.#cutOff(socket, reason);
    }
  }
}

interface Slow {
  socket: Socket;
  bytes: number;
  reason: Refusal;
}

const MALFORMED = { reason: 'malformed', answer: '400 Bad Request' } as const;
const REJECTIONS: Readonly<Record<string, { reason: Refusal; answer: string }>> = {
  HPE_HEADER_OVERFLOW: { reason: 'headers', answer: '431 Request Header Fields Too Large' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { reason: 'message_size', answer: '413 Payload Too Large' },
  ERR_HTTP_REQUEST_TIMEOUT: { reason: 'request_timeout', answer: '408 Request Timeout' },
};
