/**
 * One HTTP/2 connection of the server: calls begin here, and what its client may do is limited here. Node leaves the
 * socket of a session that failed open until the other side closes it, so a watch over all of them ends it.
 */
import {
  constants,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import { isKnownEncoding, unknownEncoding } from './framing.ts';
import { encodeGrpcMessage } from './grpc-message.ts';
import { answerHttp, type HttpHandler } from './http2-request.ts';
import type { Limits } from './limits.ts';
import type { MethodTable } from './methods.ts';
import { PingPolicy } from './ping-policy.ts';
import { ResetBudget } from './reset-budget.ts';
import { type CallHost, RESPONSE_HEADERS, type RpcLog, type ServerCall } from './server-call.ts';
import type { ServerStats } from './stats.ts';
import { RpcError, STATUS } from './status.ts';
import { StreamCall } from './stream-call.ts';
import { parseTimeout } from './timeout.ts';
import { UnaryCall } from './unary-call.ts';

const STREAM_WINDOW = 1024 * 1024;
const CONNECTION_WINDOW = 16 * 1024 * 1024;
/** In MB; Node refuses calls of a connection that holds more. Its default of 10 is less than a few large replies. */
const SESSION_MEMORY_MB = 1024;
const CONTENT_TYPE = /^application\/grpc(?:[+;]|$)/;
/** Cancelled calls, not long ago, that make it worth asking whether the connection still answers. */
const SUSPICIOUS_RESETS = 50;
const SUSPICION_TIMEOUT_MAX_MS = 5000;
/** Of the frame. */
const PING_ANSWER_SIZE = 17;
/** What a session that ended gets to send its last frames, and an ending one to hear of it. */
const LINGER_MS = 1000;

type Headers = Record<string, string | string[] | undefined>;
/** What Node passes on; its types leave out the last one. */
type StreamEvent = [stream: ServerHttp2Stream, headers: Headers, flags: number, rawHeaders: string[]];

interface ConnectionContext {
  methods: MethodTable;
  limits: Limits;
  stats: ServerStats;
  log: RpcLog | undefined;
  /** In the certificate of the client, if that makes it a user. */
  commonName?: string | undefined;
  /** Answers what is no gRPC. */
  http?: HttpHandler | undefined;
}

/** A ping that has not been answered. */
interface Probe {
  sinceMs: number;
  deadlineMs: number;
  /** Of the socket, before it. */
  bytesWritten: number;
}

export class Connection implements CallHost {
  readonly peer: string;
  readonly commonName: string | undefined;
  readonly limits: Limits;
  readonly stats: ServerStats;
  readonly log: RpcLog | undefined;
  readonly #methods: MethodTable;
  readonly #http: HttpHandler | undefined;
  readonly #socket: Socket;
  readonly #session: ServerHttp2Session;
  readonly #pings: PingPolicy;
  readonly #resets: ResetBudget;
  readonly #beganMs = performance.now();
  #openCalls = 0;
  readonly #calls = new Set<ServerCall>();
  #isLeaving = false;
  /** Bytes sent when the last ping came. */
  #writtenAtPing = 0;
  #hasSettings = false;
  /** When something was last heard. */
  #heardMs = performance.now();
  #probe: Probe | undefined;
  #endedMs: number | undefined;

  constructor(socket: Socket, context: ConnectionContext) {
    const { methods, limits, stats, log, commonName, http } = context;
    this.commonName = commonName;
    this.#http = http;
    this.limits = limits;
    this.stats = stats;
    this.log = log;
    this.#methods = methods;
    this.#socket = socket;
    this.peer = socket.remoteAddress ? `${socket.remoteAddress}:${socket.remotePort}` : 'local';
    this.#pings = new PingPolicy(limits);
    this.#resets = new ResetBudget(limits);
    this.#session = performServerHandshake(socket, {
      maxSessionMemory: SESSION_MEMORY_MB,
      settings: {
        initialWindowSize: STREAM_WINDOW,
        maxConcurrentStreams: limits.streamsPerConnectionMax,
        maxHeaderListSize: limits.headerListSizeMax,
      },
    });
    this.#listen();
  }

  #listen(): void {
    const session = this.#session;
    session.on('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW));
    session.on('stream', (...[stream, headers, , rawHeaders]: StreamEvent) => {
      this.#heardMs = performance.now();
      this.#begin(stream, headers, rawHeaders);
    });
    session.on('ping', () => this.#pinged());
    session.once('remoteSettings', () => {
      this.#hasSettings = true;
    });
    // It destroys itself then, and its calls hear of it. Go clients end every connection in one: the GOAWAY they say
    // good-bye with names a stream of their own, which nghttp2 takes for a breach of the protocol.
    session.on('error', () => {});
  }

  /** Calls run to their end, new ones are for other connections. */
  drain(): void {
    if (!this.#session.closed) this.#session.close();
  }

  /** As `drain`, but calls that wait for something to happen, or for their own request, end now. */
  leave(): void {
    this.#isLeaving = true;
    for (const call of this.#calls) call.dismiss(stopped());
    this.drain();
  }

  /** Ends the connection and all its calls. */
  destroy(): void {
    this.#session.destroy();
    this.#socket.destroy();
  }

  callClosed(isReset: boolean, call?: ServerCall): void {
    if (call) this.#calls.delete(call);
    this.#openCalls--;
    this.stats.streams--;
    if (!isReset || this.#session.destroyed) return;
    this.stats.resets++;
    const verdict = this.#resets.spend(performance.now());
    if (verdict === 'end') this.#expel('resets', 'too_many_resets');
    else if (verdict === 'move') this.drain();
  }

  #expel(reason: keyof ServerStats['expelled'], debugData: string): void {
    if (this.#session.destroyed) return;
    this.stats.expelled[reason]++;
    this.log?.warn({ peer: this.peer, reason: debugData }, 'a connection was ended');
    const code = constants.NGHTTP2_ENHANCE_YOUR_CALM;
    this.#session.goaway(code, 0, Buffer.from(debugData));
    this.#session.destroy(new RpcError(STATUS.unavailable, debugData), code);
  }

  #pinged(): void {
    const now = performance.now();
    this.#heardMs = now;
    // Node does not say what was sent, but how much: more than the answer to the ping before.
    const written = this.#socket.bytesWritten;
    if (written - this.#writtenAtPing > PING_ANSWER_SIZE) this.#pings.forgive();
    this.#writtenAtPing = written;
    if (this.#pings.isTooMany(now, this.#openCalls)) this.#expel('pings', 'too_many_pings');
  }

  /** To be called every second or so: ends what would otherwise stay for ever. */
  watch(nowMs: number): void {
    if (this.#session.destroyed || this.#session.socket === undefined) {
      this.#endedMs ??= nowMs;
      if (nowMs - this.#endedMs >= LINGER_MS) this.#socket.destroy();
      return;
    }
    if (!this.#hasSettings && nowMs - this.#beganMs > this.limits.handshakeTimeoutMs) {
      this.#expel('silence', 'handshake_timeout');
      return;
    }
    const silentMs = nowMs - this.#heardMs;
    const { keepAliveIntervalMs, keepAliveTimeoutMs, muteProbeMs } = this.limits;
    if (this.#probe) this.#judgeProbe(this.#probe, nowMs);
    else if (silentMs >= Math.min(keepAliveIntervalMs, muteProbeMs)) this.#startProbe(nowMs);
    else if (this.#resets.levelAt(nowMs) > SUSPICIOUS_RESETS) {
      this.#startProbe(nowMs, nowMs + Math.min(keepAliveTimeoutMs, SUSPICION_TIMEOUT_MAX_MS));
    }
    if (this.#probe && silentMs >= keepAliveIntervalMs) {
      this.#probe.deadlineMs = Math.min(this.#probe.deadlineMs, nowMs + keepAliveTimeoutMs);
    }
  }

  #startProbe(nowMs: number, deadlineMs = Number.POSITIVE_INFINITY): void {
    this.#probe = { sinceMs: nowMs, deadlineMs, bytesWritten: this.#socket.bytesWritten };
    this.#session.ping((error) => {
      if (error) return;
      this.#probe = undefined;
      this.#heardMs = performance.now();
    });
  }

  /**
   * A client may leave a ping unanswered until its deadline. But a ping that does not even go out, though nothing waits
   * to be sent before it, shows that nghttp2 has given the connection up: it then neither reads nor writes, not even
   * the end of the connection, and tells Node nothing.
   */
  #judgeProbe({ sinceMs, deadlineMs, bytesWritten }: Probe, nowMs: number): void {
    const isMute =
      nowMs - sinceMs >= LINGER_MS && this.#socket.bytesWritten === bytesWritten && !this.#hasUnwritten();
    if (!isMute && nowMs <= deadlineMs) return;
    this.stats.expelled.silence++;
    this.destroy();
  }

  /** Whether the client takes too little. Should Node no longer show it, open calls stand for it. */
  #hasUnwritten(): boolean {
    const { _handle: own } = this.#socket as { _handle?: SocketHandle };
    // Under TLS, what waits is seen at the handle below.
    const handle = 'encrypted' in this.#socket ? own?._parent : own;
    return handle?.writeQueueSize === undefined ? this.#openCalls > 0 : handle.writeQueueSize > 0;
  }

  #begin(stream: ServerHttp2Stream, headers: Headers, rawHeaders: readonly string[]): void {
    if (this.#http && !isGrpc(headers)) return this.#answer(this.#http, { stream, headers, rawHeaders });
    const path = String(headers[':path']);
    const method = this.#methods.get(path);
    const refusal = refusalOf(headers) ?? (method ? undefined : { error: this.#methods.refusal(path) });
    this.#openCalls++;
    this.stats.streams++;
    if (refusal || !method) return this.#refuse(stream, refusal!);
    const { isWaiting } = method;
    if (isWaiting && this.#isLeaving) return this.#refuse(stream, { error: stopped() });
    const encoding = headers['grpc-encoding'] as string | undefined;
    const timeout = headers['grpc-timeout'] as string | undefined;
    const arrival = { stream, path, rawHeaders, timeout, encoding, isWaiting };
    if (method.unary) {
      const call = new UnaryCall(this, arrival, method.unary);
      this.#calls.add(call);
      call.attach();
    } else {
      const call = new StreamCall(this, arrival);
      this.#calls.add(call);
      void call.run(method.stream);
    }
  }

  #answer(http: HttpHandler, { stream, headers, rawHeaders }: HttpRequest): void {
    this.#openCalls++;
    this.stats.streams++;
    stream.on('close', () => this.callClosed(stream.rstCode !== constants.NGHTTP2_NO_ERROR));
    answerHttp(http, stream, headers, rawHeaders);
  }

  #refuse(stream: ServerHttp2Stream, { error, httpStatus = 200 }: Refusal): void {
    stream.on('error', () => {});
    stream.on('close', () => this.callClosed(stream.rstCode !== constants.NGHTTP2_NO_ERROR));
    if (stream.closed || stream.destroyed) return;
    stream.resume();
    const fields = {
      ...RESPONSE_HEADERS,
      ':status': httpStatus,
      'grpc-status': String(error.status),
      'grpc-message': encodeGrpcMessage(error.message),
    };
    stream.respond(fields, { endStream: true });
    setImmediate(() => {
      if (!stream.readableEnded && !stream.closed) stream.close(constants.NGHTTP2_NO_ERROR);
    });
  }
}

const stopped = (): RpcError => new RpcError(STATUS.unavailable, 'etcdserver: server stopped');

interface Refusal {
  error: RpcError;
  httpStatus?: number;
}

interface HttpRequest {
  stream: ServerHttp2Stream;
  headers: Headers;
  rawHeaders: readonly string[];
}

/** What is used of what Node does not show. */
interface SocketHandle {
  writeQueueSize?: number;
  _parent?: SocketHandle;
}

/** As etcd tells calls from other requests on a port of both. */
function isGrpc(headers: Headers): boolean {
  return String(headers['content-type'] ?? '').includes('application/grpc');
}

/** What is wrong with the headers of a call, as grpc-go says it. */
function refusalOf(headers: Headers): Refusal | undefined {
  const type = headers['content-type'];
  if (typeof type !== 'string' || !CONTENT_TYPE.test(type)) {
    const text = `invalid gRPC request content-type ${JSON.stringify(type ?? '')}`;
    return { error: new RpcError(STATUS.invalidArgument, text), httpStatus: 415 };
  }
  const method = headers[':method'];
  if (method !== 'POST') {
    const text = `Received a HEADERS frame with :method ${JSON.stringify(method)} which should be POST`;
    return { error: new RpcError(STATUS.internal, text), httpStatus: 405 };
  }
  const timeout = headers['grpc-timeout'];
  if (timeout !== undefined) {
    try {
      parseTimeout(String(timeout));
    } catch (error) {
      return { error: error as RpcError, httpStatus: 400 };
    }
  }
  const encoding = headers['grpc-encoding'];
  if (encoding !== undefined && !isKnownEncoding(String(encoding))) {
    return { error: unknownEncoding(String(encoding)) };
  }
  return undefined;
}
