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
import { type CallHeaders as Headers, type CallRefusal, isGrpc, refusalOf } from './call-headers.ts';
import { encodeGrpcMessage } from './grpc-message.ts';
import { answerHttp, type HttpHandler } from './http2-request.ts';
import type { Limits } from './limits.ts';
import type { MethodTable } from './methods.ts';
import { type OpenCall, OpenCalls, type Postponed } from './open-calls.ts';
import { PingPolicy } from './ping-policy.ts';
import { ResetBudget } from './reset-budget.ts';
import { type CallHost, RESPONSE_HEADERS, type RpcLog } from './server-call.ts';
import type { Refusal, ServerStats } from './stats.ts';
import { RpcError, STATUS } from './status.ts';
import { StreamCall } from './stream-call.ts';
import { UnaryCall } from './unary-call.ts';

const STREAM_WINDOW = 1024 * 1024;
const CONNECTION_WINDOW = 16 * 1024 * 1024;
/** In MB; Node refuses calls of a connection that holds more. Its default of 10 is less than a few large replies. */
const SESSION_MEMORY_MB = 1024;
/** Cancelled calls, not long ago, that make it worth asking whether the connection still answers. */
const SUSPICIOUS_RESETS = 50;
const SUSPICION_TIMEOUT_MAX_MS = 5000;
/** Of the frame. */
const PING_ANSWER_SIZE = 17;
/** What a session that ended gets to send its last frames, and an ending one to hear of it. */
const LINGER_MS = 1000;

/** Calls that a connection may have open when all together have too many. */
const SHARE = 8;
/** More calls that were refused unseen are not counted at a time: the numbers are the client's choice. */
const HIDDEN_MAX = 1000;
/** What nghttp2 and Node call it when a client sends too much of what costs it nothing. */
const FLOODS = /flood|too many/i;

/** What Node passes on; its types leave out the last one. */
type StreamEvent = [stream: ServerHttp2Stream, headers: Headers, flags: number, rawHeaders: string[]];

interface ConnectionContext {
  methods: MethodTable;
  limits: Limits;
  stats: ServerStats;
  log: RpcLog | undefined;
  /** Told that a connection was ended, and why. */
  onExpelled: (peer: string, reason: string) => void;
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
  readonly #onExpelled: ConnectionContext['onExpelled'];
  readonly #http: HttpHandler | undefined;
  readonly #socket: Socket;
  readonly #session: ServerHttp2Session;
  readonly #pings: PingPolicy;
  readonly #resets: ResetBudget;
  readonly #beganMs = performance.now();
  #openCalls = 0;
  readonly #calls: OpenCalls;
  nowMs = performance.now();
  /** Calls that came to us; what HTTP/2 refused by itself, it does not tell. */
  #begunCalls = 0;
  #numberedCalls = 0;
  #hiddenCalls = 0;
  #isLeaving = false;
  /** Bytes sent when the last ping came. */
  #writtenAtPing = 0;
  #hasSettings = false;
  /** When something was last heard. */
  #heardMs = performance.now();
  #probe: Probe | undefined;
  #endedMs: number | undefined;

  constructor(socket: Socket, context: ConnectionContext) {
    const { methods, limits, stats, log, commonName, onExpelled, http } = context;
    this.commonName = commonName;
    this.#http = http;
    this.limits = limits;
    this.stats = stats;
    this.log = log;
    this.#methods = methods;
    this.#onExpelled = onExpelled;
    this.#calls = new OpenCalls(limits, stats);
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
    session.on('error', (error: NodeJS.ErrnoException) => {
      if (FLOODS.test(error.message)) this.stats.refused.flood++;
    });
    this.#socket.on('close', () => this.#calls.end());
  }

  get isFull(): boolean {
    return this.#calls.isFull;
  }

  postpone(call: Postponed): void {
    this.#calls.postpone(call);
  }

  replied(sizeBytes: number): void {
    this.#calls.replied(sizeBytes);
  }

  /** What its calls held when they were last looked at. */
  get held(): Pick<OpenCalls, 'requestBytes' | 'queuedBytes' | 'slowBytes' | 'stalledStreams'> {
    return this.#calls;
  }

  /** Ends the connection, since all together hold too much and its client is slow. */
  relieve(): void {
    const { slowBytes, slowRequestBytes } = this.#calls;
    if (2 * slowRequestBytes > slowBytes) this.#expel('unfinished_requests', 'too_many_unfinished_requests');
    else this.#expel('unread_replies', 'too_many_unread_replies');
  }

  /** Calls run to their end, new ones are for other connections. */
  drain(): void {
    if (!this.#session.closed) this.#session.close();
  }

  /** As `drain`, but calls that wait for something to happen, or for their own request, end now. */
  leave(): void {
    this.#isLeaving = true;
    this.#calls.dismiss(stopped());
    this.drain();
  }

  /** Ends the connection and all its calls. */
  destroy(): void {
    this.#session.destroy();
    this.#socket.destroy();
  }

  callClosed(isReset: boolean, call?: OpenCall): void {
    if (call) this.#calls.delete(call);
    this.#openCalls--;
    this.stats.streams--;
    if (!isReset || this.#session.destroyed) return;
    this.stats.resets++;
    this.#spendReset();
  }

  #spendReset(): void {
    const verdict = this.#resets.spend(performance.now());
    if (verdict === 'end') this.#expel('resets', 'too_many_resets');
    else if (verdict === 'move' && !this.#session.closed) {
      this.stats.refused.moved++;
      this.drain();
    }
  }

  #expel(reason: Refusal, debugData: string): void {
    if (this.#session.destroyed) return;
    this.stats.refused[reason]++;
    this.#onExpelled(this.peer, debugData);
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
    this.nowMs = nowMs;
    this.#calls.look(nowMs);
    if (this.#session.destroyed || this.#session.socket === undefined) {
      this.#endedMs ??= nowMs;
      if (nowMs - this.#endedMs >= LINGER_MS) this.#socket.destroy();
      return;
    }
    if (!this.#hasSettings && nowMs - this.#beganMs > this.limits.handshakeTimeoutMs) {
      this.#expel('silence', 'handshake_timeout');
      return;
    }
    if (this.#calls.isFlooded) {
      this.#expel('unfinished_requests', 'too_many_unfinished_requests');
      return;
    }
    const hidden = this.#countHidden();
    if (this.#session.destroyed) return;
    const silentMs = nowMs - this.#heardMs;
    const { keepAliveIntervalMs, keepAliveTimeoutMs, muteProbeMs } = this.limits;
    if (this.#probe) this.#judgeProbe(this.#probe, nowMs);
    else if (silentMs >= Math.min(keepAliveIntervalMs, muteProbeMs)) this.#startProbe(nowMs);
    else if (hidden > 0 || this.#resets.levelAt(nowMs) > SUSPICIOUS_RESETS) {
      this.#startProbe(nowMs, nowMs + Math.min(keepAliveTimeoutMs, SUSPICION_TIMEOUT_MAX_MS));
    }
    if (this.#probe && silentMs >= keepAliveIntervalMs) {
      this.#probe.deadlineMs = Math.min(this.#probe.deadlineMs, nowMs + keepAliveTimeoutMs);
    }
  }

  /** Calls whose headers were too large end before anybody hears of them; only their numbers are missing. */
  #countHidden(): number {
    // One that closes refuses more than that.
    if (this.#session.closed) return 0;
    const hidden = Math.min(this.#numberedCalls - this.#begunCalls - this.#hiddenCalls, HIDDEN_MAX);
    // Those of now may still be on their way.
    this.#numberedCalls = Math.floor(((this.#session.state.lastProcStreamID ?? 0) + 1) / 2);
    for (let count = 0; count < hidden && !this.#session.destroyed; count++) {
      this.#hiddenCalls++;
      this.stats.refused.headers++;
      this.#spendReset();
    }
    return hidden;
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
    this.stats.refused.silence++;
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
    this.#openCalls++;
    this.#begunCalls++;
    this.stats.streams++;
    if (this.#isBeyondShare()) {
      this.stats.refused.streams++;
      return this.#refuse(stream, { error: tooMany() });
    }
    if (this.#http && !isGrpc(headers)) return this.#answer(this.#http, { stream, headers, rawHeaders });
    const path = String(headers[':path']);
    const method = this.#methods.get(path);
    const refusal = refusalOf(headers) ?? (method ? undefined : { error: this.#methods.refusal(path) });
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

  /** Whether all have too many calls, and this connection more than a few of them. */
  #isBeyondShare(): boolean {
    return this.stats.streams > this.limits.streamsMax && this.#openCalls > SHARE;
  }

  #answer(http: HttpHandler, { stream, headers, rawHeaders }: HttpRequest): void {
    const call = answerHttp(http, {
      stream,
      headers,
      rawHeaders,
      bodyTimeoutMs: this.limits.requestTimeoutMs,
      calls: this.#calls,
      stats: this.stats,
    });
    stream.on('close', () => this.callClosed(stream.rstCode !== constants.NGHTTP2_NO_ERROR, call));
  }

  #refuse(stream: ServerHttp2Stream, { error, httpStatus = 200 }: CallRefusal): void {
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

const tooMany = (): RpcError => new RpcError(STATUS.resourceExhausted, 'etcdserver: too many requests');
const stopped = (): RpcError => new RpcError(STATUS.unavailable, 'etcdserver: server stopped');

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
