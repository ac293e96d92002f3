/**
 * A gRPC server on one or more ports, each for HTTP/2 and HTTP/1.1: listening, who is connected, and the way out.
 * Everything it keeps for clients is bounded by its {@link Limits}.
 */
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { Connection } from './connection.ts';
import type { HttpHandler } from './http2-request.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';
import { MethodTable } from './methods.ts';
import { type Listen, Port } from './port.ts';
import type { Methods } from './seam.ts';
import type { RpcLog } from './server-call.ts';
import { ServerStats } from './stats.ts';

const WATCH_INTERVAL_MS = 1000;
/** How often a server that drains looks whether it is done. */
const DRAIN_POLL_MS = 20;

export interface ServerOptions {
  /** One port, or several. Port 0 takes a free one. */
  listen: Listen | readonly Listen[];
  methods: readonly Methods[];
  /**
   * Paths of methods that wait for something to happen, maybe for ever: a server that closes ends their calls at once,
   * as UNAVAILABLE, so that clients go elsewhere. Other calls run to their end.
   */
  waiting?: readonly string[];
  /** Answers what comes as HTTP/1.1. */
  http1: HttpHandler;
  /**
   * Answers what comes as HTTP/2 under TLS and is no gRPC: there, clients of HTTP choose that version by themselves.
   * Without it such requests are refused, as they are in the clear.
   */
  http2?: HttpHandler | undefined;
  limits?: Partial<Limits>;
  /** What it counts into; its own without it. */
  stats?: ServerStats;
  log?: RpcLog;
}

export interface RpcServer {
  /** The port of each listener, in the order they were given; 0 for Unix sockets. */
  readonly ports: readonly number[];
  readonly stats: ServerStats;
  /** Serves a connection that was accepted elsewhere, in the clear or under a TLS that is not this server's. */
  accept(socket: Socket): void;
  /**
   * Takes no more connections or calls, ends those that wait for something, and lets the others finish. What is left after `graceMs` is cut off, so that
   * a later call with 0 ends the server at once.
   */
  close(options: { graceMs: number }): Promise<void>;
}

/** Listens on all that was asked for, or on nothing. */
export async function startServer(options: ServerOptions): Promise<RpcServer> {
  const server = new Http2Server(options);
  try {
    await server.listen('length' in options.listen ? options.listen : [options.listen]);
  } catch (error) {
    await server.close({ graceMs: 0 });
    throw error;
  }
  return server;
}

class Http2Server implements RpcServer {
  readonly ports: number[] = [];
  readonly stats: ServerStats;
  readonly #methods: MethodTable;
  readonly #limits: Limits;
  readonly #log: RpcLog | undefined;
  readonly #http1;
  readonly #http2: HttpHandler | undefined;
  readonly #listeners: Port[] = [];
  readonly #connections = new Set<Connection>();
  readonly #watch: NodeJS.Timeout;
  #closeAtMs = Number.POSITIVE_INFINITY;
  #closed: Promise<void> | undefined;

  constructor({ methods, waiting, http1, http2, limits, stats, log }: ServerOptions) {
    this.stats = stats ?? new ServerStats();
    this.#http2 = http2;
    this.#methods = new MethodTable(methods, waiting);
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#log = log;
    const timeouts = {
      headersTimeout: this.#limits.handshakeTimeoutMs,
      // A body may be a stream of messages: whoever takes it says how long it may last.
      requestTimeout: 0,
      connectionsCheckingInterval: WATCH_INTERVAL_MS,
    };
    this.#http1 = createServer({ noDelay: true, ...timeouts }, http1);
    this.#http1.on('connection', (socket: Socket) => {
      this.stats.http1++;
      this.stats.http1Total++;
      socket.on('close', () => this.stats.http1--);
    });
    // It never listens itself, and without this it would not watch for slow requests.
    this.#http1.emit('listening');
    this.#watch = setInterval(() => this.#watchAll(), WATCH_INTERVAL_MS).unref();
  }

  async listen(all: readonly Listen[]): Promise<void> {
    for (const listen of all) {
      const port = this.#addPort();
      this.ports.push(await port.listen(listen));
    }
  }

  #addPort(): Port {
    const port = new Port({
      http2: (socket, commonName) => this.#connect(socket, commonName),
      http1: this.#http1,
      isFull: () => this.#isFull(),
      refused: () => this.stats.refused++,
      handshakeTimeoutMs: this.#limits.handshakeTimeoutMs,
    });
    this.#listeners.push(port);
    return port;
  }

  #isFull(): boolean {
    if (this.#closed) return true;
    const silent = this.#listeners.reduce((sum, { silentCount }) => sum + silentCount, 0);
    return this.#connections.size + this.stats.http1 + silent >= this.#limits.connectionsMax;
  }

  accept(socket: Socket): void {
    const port = this.#listeners.find(({ isSecure }) => !isSecure) ?? this.#addPort();
    port.accept(socket);
  }

  #connect(socket: Socket, commonName: string | undefined): void {
    const { stats } = this;
    const connection = new Connection(socket, {
      methods: this.#methods,
      limits: this.#limits,
      stats,
      log: this.#log,
      commonName,
      http: 'encrypted' in socket ? this.#http2 : undefined,
    });
    this.#connections.add(connection);
    stats.connections++;
    stats.connectionsTotal++;
    socket.on('close', () => {
      this.#connections.delete(connection);
      stats.connections--;
    });
  }

  #watchAll(): void {
    const now = performance.now();
    for (const port of this.#listeners) port.watch(now);
    for (const connection of this.#connections) connection.watch(now);
  }

  close({ graceMs }: { graceMs: number }): Promise<void> {
    this.#closeAtMs = Math.min(this.#closeAtMs, performance.now() + graceMs);
    this.#closed ??= this.#drain();
    return this.#closed;
  }

  async #drain(): Promise<void> {
    for (const port of this.#listeners) port.close();
    // Stops its watch for slow requests; what is open it does not wait for, since it never listened.
    this.#http1.close();
    for (const connection of this.#connections) connection.leave();
    const isDone = (): boolean => this.#connections.size === 0 && this.stats.http1 === 0;
    while (!isDone() && performance.now() < this.#closeAtMs) {
      this.#http1.closeIdleConnections();
      await new Promise((resolve) => {
        setTimeout(resolve, DRAIN_POLL_MS);
      });
    }
    this.#http1.closeAllConnections();
    for (const connection of this.#connections) connection.destroy();
    clearInterval(this.#watch);
  }
}
