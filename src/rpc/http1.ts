/**
 * HTTP/1.1 within limits: how large a request's headers may be and how long it may take to come, how many may wait for
 * their answers, how long an answer may wait to be taken. Whoever breaks them is told, counted, and cut off.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { MessageSizeError } from './framing.ts';
import type { Limits } from './limits.ts';
import type { Refusal, ServerStats } from './stats.ts';

const WATCH_INTERVAL_MS = 1000;
/** Requests of a connection that may wait for their answers: Node reads on while they do. */
const PIPELINED_MAX = 64;

export interface Http1Options {
  limits: Pick<Limits, 'headerListSizeMax' | 'handshakeTimeoutMs' | 'requestTimeoutMs'>;
  stats: ServerStats;
  /** Connections to ports for metrics alone are counted apart. */
  counted: 'http1' | 'metricsConnections';
  handler: (request: IncomingMessage, response: ServerResponse) => void;
  /** Asked for each connection, which is closed when there is no room; without it, somebody else asks. */
  isFull?: () => boolean;
}

interface Peer {
  /** It was told what is wrong, and will be closed; what it still sends may be wrong again. */
  isRejected: boolean;
  /** Requests without their whole answer. */
  pending: number;
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

  constructor(options: Http1Options) {
    const { limits } = options;
    this.#options = options;
    this.server = createServer({
      noDelay: true,
      maxHeaderSize: limits.headerListSizeMax,
      headersTimeout: Math.min(limits.handshakeTimeoutMs, limits.requestTimeoutMs),
      requestTimeout: limits.requestTimeoutMs,
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
  }

  #accept(socket: Socket): void {
    const { stats, counted, isFull } = this.#options;
    if (isFull?.()) {
      stats.refused.connections++;
      socket.destroy();
      return;
    }
    this.#peers.set(socket, { isRejected: false, pending: 0, taken: 0, takenMs: performance.now() });
    stats[counted]++;
    if (counted === 'http1') stats.http1Total++;
    socket.on('close', () => {
      this.#peers.delete(socket);
      stats[counted]--;
    });
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const peer = this.#peers.get(socket);
    // What a connection that was cut off had sent before is still parsed.
    if (!peer || socket.destroyed) return;
    if (peer.pending >= PIPELINED_MAX) return this.#cutOff(socket, 'flood');
    peer.pending++;
    response.on('close', () => peer.pending--);
    // Its body may go on after the answer.
    request.on('close', () => {
      if (request.errored instanceof MessageSizeError) this.#options.stats.refused.message_size++;
    });
    this.#options.handler(request, response);
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
    const isAnswering = peer.pending > 0;
    const known = REJECTIONS[error.code ?? ''] ?? (error.code?.startsWith('HPE_') ? MALFORMED : undefined);
    if (known) this.#options.stats.refused[known.reason]++;
    if (!known || isAnswering || !socket.writable) {
      socket.destroy();
      return;
    }
    socket.end(`HTTP/1.1 ${known.answer}\r\nConnection: close\r\n\r\n`, () => socket.destroy());
  }

  /** Ends connections that take nothing of what waits for them. */
  #watch(nowMs: number): void {
    for (const [socket, peer] of this.#peers) {
      const taken = socket.bytesWritten - socket.writableLength;
      if (socket.writableLength === 0 || taken !== peer.taken) {
        peer.taken = taken;
        peer.takenMs = nowMs;
      } else if (nowMs - peer.takenMs > this.#options.limits.requestTimeoutMs) {
        this.#cutOff(socket, 'unread_replies');
      }
    }
  }
}

const MALFORMED = { reason: 'malformed', answer: '400 Bad Request' } as const;
const REJECTIONS: Readonly<Record<string, { reason: Refusal; answer: string }>> = {
  HPE_HEADER_OVERFLOW: { reason: 'headers', answer: '431 Request Header Fields Too Large' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { reason: 'message_size', answer: '413 Payload Too Large' },
  ERR_HTTP_REQUEST_TIMEOUT: { reason: 'request_timeout', answer: '408 Request Timeout' },
};
