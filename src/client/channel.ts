/**
 * A connection to one gRPC server. It is made once and not renewed: when it is lost, calls fail as UNAVAILABLE, and
 * whoever wants to go on connects again.
 */
import { type ClientHttp2Session, connect } from 'node:http2';
import { connect as connectSocket, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { UsageError } from '../errors.ts';
import { RpcError, STATUS } from '../rpc/status.ts';
import { formatTimeout } from '../rpc/timeout.ts';
import { type CallOptions, ClientStream } from './client-stream.ts';

const STREAM_WINDOW = 1024 * 1024;
const CONNECTION_WINDOW = 16 * 1024 * 1024;
const SESSION_MEMORY_MB = 1024;
const CONNECT_TIMEOUT_MS = 5000;
const MESSAGE_SIZE_MAX = 2 ** 31 - 1;

/** PEM texts. */
export interface ChannelTls {
  /** Instead of the authorities that the system trusts. */
  ca?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
  /** Takes any certificate. */
  isInsecure?: boolean | undefined;
}

export interface ChannelOptions {
  /** To connect; 5 s without it. */
  timeoutMs?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Sent with every call. */
  metadata?: Readonly<Record<string, string>> | undefined;
  /** For `https://` alone. */
  tls?: ChannelTls | undefined;
  messageSizeMax?: number | undefined;
  /** Pings the server while calls are open; a ping that is not answered in time ends the connection. */
  keepAlive?: { intervalMs: number; timeoutMs: number } | undefined;
}

interface Target {
  authority: string;
  isSecure: boolean;
  /** Where to connect to. */
  to: { host: string; port: number } | { path: string };
}

export class Channel {
  readonly endpoint: string;
  readonly #session: ClientHttp2Session;
  readonly #options: ChannelOptions;
  readonly #scheme: string;
  #loss: string | undefined;
  #openCalls = 0;

  private constructor(endpoint: string, session: ClientHttp2Session, options: ChannelOptions) {
    this.endpoint = endpoint;
    this.#session = session;
    this.#options = options;
    this.#scheme = parseEndpoint(endpoint).isSecure ? 'https' : 'http';
    session.on('error', (error: Error) => {
      this.#loss ??= `lost the connection to ${endpoint}: ${error.message}`;
    });
    session.on('goaway', (code: number, _last: number, data?: Uint8Array) => {
      const why = data && data.length > 0 ? ` (${Buffer.from(data).toString('latin1')})` : '';
      this.#loss ??= `${endpoint} closes the connection, with HTTP/2 error code ${code}${why}`;
    });
  }

  /** Connects to `http://host:port`, `https://host:port`, `host:port` or `unix:/path`; UNAVAILABLE when it cannot. */
  static async connect(endpoint: string, options: ChannelOptions = {}): Promise<Channel> {
    const target = parseEndpoint(endpoint);
    const { timeoutMs = CONNECT_TIMEOUT_MS, signal } = options;
    signal?.throwIfAborted();
    const socket = openSocket(target, options.tls);
    const session = connect(target.authority, {
      maxSessionMemory: SESSION_MEMORY_MB,
      settings: { initialWindowSize: STREAM_WINDOW, enablePush: false },
      createConnection: () => socket,
    });
    // An alert of TLS behind the handshake, such as for a certificate that is missing, reaches the socket alone.
    socket.on('error', (error) => {
      session.destroy(error);
      socket.destroy();
    });
    const channel = new Channel(endpoint, session, options);
    channel.#keepAlive();
    let timer: NodeJS.Timeout | undefined;
    let abort: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const fail = (why: string, cause?: unknown): void =>
          reject(new RpcError(STATUS.unavailable, `cannot connect to ${endpoint}: ${why}`, cause));
        session.on('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW));
        // Not before: any TCP server accepts a connection, and only one that speaks HTTP/2 has settings.
        session.once('remoteSettings', () => resolve());
        session.once('error', (error: Error) => fail(describe(error), error));
        session.once('close', () => fail('the server closed the connection'));
        timer = setTimeout(() => fail(`no answer within ${timeoutMs} ms`), timeoutMs);
        abort = () => reject(signal!.reason as Error);
        signal?.addEventListener('abort', abort, { once: true });
      });
      return channel;
    } catch (error) {
      session.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
      if (abort) signal?.removeEventListener('abort', abort);
    }
  }

  /** One message there, one back. */
  async unary(path: string, message: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    const stream = this.stream(path, options);
    stream.send(message);
    stream.end();
    const reply = await stream.receive();
    // The status comes behind the message, and counts for more.
    const more = reply && (await stream.receive());
    if (!reply) throw new RpcError(STATUS.internal, `${path} ended well without a message`);
    if (more) {
      stream.cancel();
      throw new RpcError(STATUS.internal, `${path} gave more than one message`);
    }
    return reply;
  }

  /** A call whose messages come and go as they please. */
  stream(path: string, options: CallOptions = {}): ClientStream {
    if (this.isClosed) {
      throw new RpcError(STATUS.unavailable, this.#whyClosed);
    }
    const { timeoutMs } = options;
    const request = this.#session.request({
      ':method': 'POST',
      ':scheme': this.#scheme,
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(timeoutMs === undefined ? {} : { 'grpc-timeout': formatTimeout(timeoutMs) }),
      ...this.#options.metadata,
      ...options.metadata,
    });
    this.#openCalls++;
    request.on('close', () => this.#openCalls--);
    return new ClientStream(request, {
      ...options,
      messageSizeMax: this.#options.messageSizeMax ?? MESSAGE_SIZE_MAX,
      connectionLoss: () => (this.isClosed ? this.#whyClosed : undefined),
    });
  }

  #keepAlive(): void {
    const { keepAlive } = this.#options;
    if (!keepAlive) return;
    const session = this.#session;
    const { intervalMs, timeoutMs } = keepAlive;
    let death: NodeJS.Timeout | undefined;
    const pulse = setInterval(() => {
      if (this.#openCalls === 0 || death || session.destroyed) return;
      death = setTimeout(() => {
        this.#loss ??= `${this.endpoint} did not answer a ping within ${timeoutMs} ms`;
        session.destroy();
      }, timeoutMs);
      session.ping(() => {
        clearTimeout(death);
        death = undefined;
      });
    }, intervalMs);
    session.on('close', () => {
      clearInterval(pulse);
      clearTimeout(death);
    });
  }

  get #whyClosed(): string {
    return this.#loss ?? `the connection to ${this.endpoint} is closed`;
  }

  /** Whether calls can no longer be made. */
  get isClosed(): boolean {
    return this.#session.closed || this.#session.destroyed;
  }

  /** Cuts open calls off, and resolves when the connection is gone. */
  async close(): Promise<void> {
    if (this.#session.destroyed) return;
    await new Promise<void>((resolve) => {
      this.#session.once('close', resolve);
      this.#session.destroy();
    });
  }
}

function openSocket({ to, isSecure }: Target, tls: ChannelTls = {}): Socket {
  if (!isSecure) return connectSocket({ ...to, noDelay: true });
  const { ca, cert, key, isInsecure } = tls;
  const isNamed = 'host' in to && isIP(to.host) === 0;
  return connectTls({
    ...to,
    ...(isNamed ? { servername: to.host } : {}),
    ALPNProtocols: ['h2'],
    ca,
    cert,
    key,
    rejectUnauthorized: !isInsecure,
  });
}

function parseEndpoint(endpoint: string): Target {
  const unix = /^unix:(?:\/\/)?(.+)$/.exec(endpoint);
  if (unix) return { authority: 'http://localhost', isSecure: false, to: { path: unix[1]! } };
  const text = /^[a-z]+:\/\//i.test(endpoint) ? endpoint : `http://${endpoint}`;
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.hostname === '') {
    throw new UsageError('usage', `${JSON.stringify(endpoint)} is no endpoint`, {
      hint: 'an endpoint is http://host:port, https://host:port or host:port',
    });
  }
  const isSecure = url.protocol === 'https:';
  const port = Number(url.port) || (isSecure ? 443 : 80);
  // Brackets belong to the URL, not to an IPv6 address.
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { authority: url.origin, isSecure, to: { host, port } };
}

function describe(error: Error): string {
  // A host with several addresses fails with an error for each, and no text of its own.
  if (error instanceof AggregateError) return error.errors.map((each: Error) => each.message).join('; ');
  // OpenSSL's texts name its source files besides.
  return (error as { reason?: string }).reason ?? error.message;
}
