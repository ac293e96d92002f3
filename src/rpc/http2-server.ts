/**
 * A gRPC server on one or more ports, each for HTTP/2 and HTTP/1.1: listening, who is connected, and the way out.
 * Everything it keeps for clients is bounded by its {@link Limits}.
 */
import type { Socket } from 'node:net';
import { Connection } from './connection.ts';
import { Http1Server } from './http1.ts';
import type { HttpHandler } from './http2-request.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';
import { MethodTable } from './methods.ts';
import { HARMLESS_BYTES } from './open-calls.ts';
import { type Listen, Port } from './port.ts';
import type { Methods } from './seam.ts';
import type { RpcLog } from './server-call.ts';
import { ServerStats } from './stats.ts';

const WATCH_INTERVAL_MS = 1000;
/** Ends of connections that are logged in a second; all of them are counted. An attacker must not fill the disk too. */
const TOLD_A_SECOND = 10;
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
  /** Where it counts; connections that others count there too have their share of the limit. */
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

type Held = Pick<ServerStats, 'requestBytes' | 'queuedBytes' | 'stalledStreams'>;

class Http2Server implements RpcServer {
  readonly ports: number[] = [];
  readonly stats: ServerStats;
  readonly #methods: MethodTable;
  readonly #limits: Limits;
  readonly #log: RpcLog | undefined;
  readonly #http1: Http1Server;
  readonly #http2: HttpHandler | undefined;
  readonly #listeners: Port[] = [];
  readonly #connections = new Set<Connection>();
  readonly #watch: NodeJS.Timeout;
  #told = 0;
  /** When it was last looked at. */
  #held: Held = { requestBytes: 0, queuedBytes: 0, stalledStreams: 0 };
  #closeAtMs = Number.POSITIVE_INFINITY;
  #closed: Promise<void> | undefined;

  constructor({ methods, waiting, http1, http2, limits, stats = new ServerStats(), log }: ServerOptions) {
    this.#http2 = http2;
    this.#methods = new MethodTable(methods, waiting);
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.stats = stats;
    this.#log = log;
    this.#http1 = new Http1Server({ limits: this.#limits, stats, handler: http1 });
    // It never listens itself, and without this it would not watch for slow requests.
    this.#http1.server.emit('listening');
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
      http1: this.#http1.server,
      isFull: () => this.#isFull(),
      stats: this.stats,
      handshakeTimeoutMs: this.#limits.handshakeTimeoutMs,
    });
    this.#listeners.push(port);
    return port;
  }

  #isFull(): boolean {
    return this.#closed !== undefined || this.stats.clientConnections >= this.#limits.connectionsMax;
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
      onExpelled: (peer, reason) => {
        if (this.#told++ >= TOLD_A_SECOND) return;
        this.#log?.warn({ peer, reason }, 'a connection was ended');
      },
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
    this.#told = 0;
    const found = { requestBytes: 0, queuedBytes: 0, stalledStreams: 0 };
    for (const connection of this.#connections) {
      connection.watch(now);
      found.requestBytes += connection.held.requestBytes;
      found.queuedBytes += connection.held.queuedBytes;
      found.stalledStreams += connection.held.stalledStreams;
    }
    this.#note(found);
    this.#relieve(this.stats.excessBytes(this.#limits.heldBytesMax));
  }

  /** Tells what it holds to the counts, where others may tell theirs. */
  #note(found: Held): void {
    this.stats.requestBytes += found.requestBytes - this.#held.requestBytes;
    this.stats.queuedBytes += found.queuedBytes - this.#held.queuedBytes;
    this.stats.stalledStreams += found.stalledStreams - this.#held.stalledStreams;
    this.#held = found;
  }

  /** Ends the connections that have made it hold the most for long, until `excessBytes` are gone. */
  #relieve(excessBytes: number): void {
    if (excessBytes <= 0) return;
    const slow = [...this.#connections].filter(({ held }) => held.slowBytes >= HARMLESS_BYTES);
    slow.sort((a, b) => b.held.slowBytes - a.held.slowBytes);
    let left = excessBytes;
    for (const connection of slow) {
      if (left <= 0) return;
      left -= connection.held.slowBytes;
      connection.relieve();
    }
  }

  close({ graceMs }: { graceMs: number }): Promise<void> {
    this.#closeAtMs = Math.min(this.#closeAtMs, performance.now() + graceMs);
    this.#closed ??= this.#drain();
    return this.#closed;
  }

  async #drain(): Promise<void> {
    for (const port of this.#listeners) port.close();
    // Stops its watch for slow requests; what is open it does not wait for, since it never listened.
    this.#http1.server.close();
    for (const connection of this.#connections) connection.leave();
    const isDone = (): boolean => this.#connections.size === 0 && this.stats.http1 === 0;
    while (!isDone() && performance.now() < this.#closeAtMs) {
      this.#http1.server.closeIdleConnections();
      await new Promise((resolve) => {
        setTimeout(resolve, DRAIN_POLL_MS);
      });
    }
    this.#http1.server.closeAllConnections();
    this.#http1.end();
    for (const connection of this.#connections) connection.destroy();
    clearInterval(this.#watch);
    this.#note({ requestBytes: 0, queuedBytes: 0, stalledStreams: 0 });
  }
}
