/**
 * Counts calls on their way between transport and services: started, handled by status, messages, bytes, and, where it
 * was asked for, how long they took. A call that is answered at once allocates nothing for it; one that waits, a promise
 * and two closures.
 */
import type { Call, Methods, Stream, StreamHandler, UnaryHandler } from '../../rpc/seam.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import type { Log } from '../log.ts';
import { Histogram } from './histogram.ts';

type CallType = 'unary' | 'client_stream' | 'server_stream' | 'bidi_stream';

/** Streams in which one side sends a single message; all others go both ways. */
const STREAM_TYPES: Readonly<Record<string, CallType>> = {
  '/etcdserverpb.Maintenance/Snapshot': 'server_stream',
  '/v3electionpb.Election/Observe': 'server_stream',
  '/grpc.health.v1.Health/Watch': 'server_stream',
};

/** Buckets of the Go client library, which etcd leaves as they are. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const STATUS_COUNT = 17;

/** What is known of one method. */
export class MethodStats {
  readonly path: string;
  readonly type: CallType;
  started = 0;
  received = 0;
  sent = 0;
  /** By status code. */
  readonly handled = new Float64Array(STATUS_COUNT);
  readonly seconds = new Histogram(SECONDS);

  constructor(path: string, type: CallType) {
    this.path = path;
    this.type = type;
  }
}

/** What is known of all methods. */
export class CallStats {
  readonly methods: MethodStats[] = [];
  receivedBytes = 0;
  sentBytes = 0;
  /** Calls by the version that the client says its API is of. */
  readonly clientVersions = new Map<string, { unary: number; stream: number }>();
}

export interface MeasureOptions {
  stats: CallStats;
  log: Log;
  /** Unary calls that take longer are logged. */
  warningMs: number;
  /** Milliseconds on a clock that only goes forward. */
  now?: () => number;
}

const MAX_CLIENT_VERSIONS = 100;

/** The same methods, counted. */
export function measured(services: readonly Methods[], options: MeasureOptions): Methods[] {
  const meter = new Meter(options);
  return services.map(({ unary = {}, stream = {} }) => ({
    unary: mapValues(unary, (handler, path) => meter.unary(handler, path)),
    stream: mapValues(stream, (handler, path) => meter.stream(handler, path)),
  }));
}

function mapValues<V>(
  record: Readonly<Record<string, V>>,
  change: (value: V, key: string) => V,
): Record<string, V> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value, key)]));
}

interface Slow {
  tookMs: number;
  request: Uint8Array;
  response: Uint8Array;
}

class Meter {
  readonly #stats: CallStats;
  readonly #log: Log;
  readonly #warningMs: number;
  readonly #now: () => number;
  /** The version of the last call and its counts: most clients are of one. */
  #lastVersion: string | undefined;
  #lastCounts = { unary: 0, stream: 0 };

  constructor({ stats, log, warningMs, now = () => performance.now() }: MeasureOptions) {
    this.#stats = stats;
    this.#log = log;
    this.#warningMs = warningMs;
    this.#now = now;
  }

  unary(handler: UnaryHandler, path: string): UnaryHandler {
    const method = this.#add(path, 'unary');
    return (request, call) => {
      method.started++;
      method.received++;
      this.#stats.receivedBytes += request.length;
      this.#countClient(call, 'unary');
      const began = this.#now();
      let response: Uint8Array | Promise<Uint8Array>;
      try {
        response = handler(request, call);
      } catch (error) {
        this.#failed(method, began, error);
        throw error;
      }
      if (response instanceof Uint8Array) {
        const tookMs = this.#answered(method, began, response.length);
        if (tookMs > this.#warningMs) this.#warn(method, { tookMs, request, response }, call);
        return response;
      }
      return response.then(
        (bytes) => {
          const tookMs = this.#answered(method, began, bytes.length);
          if (tookMs > this.#warningMs) this.#warn(method, { tookMs, request, response: bytes }, call);
          return bytes;
        },
        (error: unknown) => {
          this.#failed(method, began, error);
          throw error;
        },
      );
    };
  }

  stream(handler: StreamHandler, path: string): StreamHandler {
    const method = this.#add(path, STREAM_TYPES[path] ?? 'bidi_stream');
    return async (stream) => {
      method.started++;
      this.#countClient(stream, 'stream');
      const began = this.#now();
      try {
        await handler(new MeasuredStream(stream, method, this.#stats));
      } catch (error) {
        this.#failed(method, began, error);
        throw error;
      }
      this.#ended(method, began, STATUS.ok);
    };
  }

  #add(path: string, type: CallType): MethodStats {
    const method = new MethodStats(path, type);
    this.#stats.methods.push(method);
    return method;
  }

  #countClient(call: Call, kind: 'unary' | 'stream'): void {
    const version = call.metadata.get('client-api-version') ?? 'unknown';
    if (version !== this.#lastVersion) {
      const { clientVersions } = this.#stats;
      let counts = clientVersions.get(version);
      if (counts === undefined) {
        // Whoever makes up versions does not make memory grow.
        if (clientVersions.size >= MAX_CLIENT_VERSIONS) return;
        counts = { unary: 0, stream: 0 };
        clientVersions.set(version, counts);
      }
      this.#lastVersion = version;
      this.#lastCounts = counts;
    }
    this.#lastCounts[kind]++;
  }

  /** Gives how many milliseconds it took. */
  #answered(method: MethodStats, began: number, sizeBytes: number): number {
    method.sent++;
    this.#stats.sentBytes += sizeBytes;
    return this.#ended(method, began, STATUS.ok);
  }

  #warn(method: MethodStats, { tookMs, request, response }: Slow, call: Call): void {
    const fields = {
      'time spent': `${tookMs.toFixed(3)}ms`,
      remote: call.peer,
      'response type': method.path,
      'request size': request.length,
      'response size': response.length,
    };
    this.#log.warn(fields, 'request stats');
  }

  #failed(method: MethodStats, began: number, error: unknown): void {
    this.#ended(method, began, error instanceof RpcError ? error.status : STATUS.internal);
  }

  #ended(method: MethodStats, began: number, status: number): number {
    const tookMs = this.#now() - began;
    method.handled[status]!++;
    method.seconds.observe(tookMs / 1000);
    return tookMs;
  }
}

class MeasuredStream implements Stream {
  readonly #inner: Stream;
  readonly #method: MethodStats;
  readonly #stats: CallStats;

  constructor(inner: Stream, method: MethodStats, stats: CallStats) {
    this.#inner = inner;
    this.#method = method;
    this.#stats = stats;
  }

  get path(): string {
    return this.#inner.path;
  }

  get metadata(): ReadonlyMap<string, string> {
    return this.#inner.metadata;
  }

  get signal(): AbortSignal {
    return this.#inner.signal;
  }

  get peer(): string {
    return this.#inner.peer;
  }

  get commonName(): string | undefined {
    return this.#inner.commonName;
  }

  get queuedBytes(): number {
    return this.#inner.queuedBytes;
  }

  async receive(): Promise<Uint8Array | undefined> {
    const message = await this.#inner.receive();
    if (message !== undefined) {
      this.#method.received++;
      this.#stats.receivedBytes += message.length;
    }
    return message;
  }

  send(message: Uint8Array): boolean {
    this.#method.sent++;
    this.#stats.sentBytes += message.length;
    return this.#inner.send(message);
  }

  drained(): Promise<void> {
    return this.#inner.drained();
  }
}
