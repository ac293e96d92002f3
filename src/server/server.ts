/**
 * A server from its configuration to its end: what it serves, the calls to it, the ports it listens on. It stops by
 * itself only after a failure that makes going on unsafe.
 */
import type { Listen } from '../rpc/port.ts';
import { type RpcServer, startServer as startRpc } from '../rpc/http2-server.ts';
import type { Limits } from '../rpc/limits.ts';
import { addressOf } from '../format/urls.ts';
import type { RunningServer, ServerConfig, ServerContext, StartServer } from './config.ts';
import { releaseOf } from './emulation.ts';
import { http1Handler, type HttpHandler, metricsHandler, nothingHandler } from './http.ts';
import { type HttpListener, listenHttp } from './http-listener.ts';
import { CallStats, measured } from './measure.ts';
import { startMember } from './member.ts';
import { createMetrics } from './metrics.ts';
import type { Served } from './served.ts';
import { makeServices, REQUEST_OVERHEAD, type Services } from './services.ts';
import { Stats } from './stats.ts';
import { viewOf } from './view.ts';

/** See {@link StartServer}. */
export const startServer: StartServer = async (config, context) => {
  const server = new Server(config, context);
  await server.start();
  return server;
};

class Server implements RunningServer {
  readonly done: Promise<void>;
  urls: readonly string[] = [];
  readonly #config: ServerConfig;
  readonly #context: ServerContext;
  readonly #stats = new Stats();
  readonly #calls = new CallStats();
  #served: Served | undefined;
  #services: Services | undefined;
  #rpc: RpcServer | undefined;
  readonly #listeners: HttpListener[] = [];
  #stopping: Promise<void> | undefined;
  #resolveDone = (): void => {};
  #rejectDone = (_error: unknown): void => {};

  constructor(config: ServerConfig, context: ServerContext) {
    this.#config = config;
    this.#context = context;
    this.done = new Promise((resolve, reject) => {
      this.#resolveDone = resolve;
      this.#rejectDone = reject;
    });
    // Whoever waits is told; nobody has to.
    this.done.catch(() => {});
  }

  async start(): Promise<void> {
    try {
      this.#served = await this.#open();
      await this.#listen(this.#served);
    } catch (error) {
      await this.stop(0).catch(() => {});
      throw error;
    }
  }

  #open(): Promise<Served> {
    const { target } = this.#config;
    const options = { config: this.#config, stats: this.#stats, onFailure: (error: unknown) => this.#fail(error) };
    if (target.kind === 'member') return startMember({ ...options, target }, this.#context);
    throw new TypeError('mount');
  }

  async #listen({ core, emulated }: Served): Promise<void> {
    const config = this.#config;
    this.#services = makeServices(core, {
      emulated,
      version: releaseOf(emulated),
      quotaBytes: config.quotaBytes,
      txnOperationsMax: config.txnOpsMax,
      requestSizeMax: config.requestBytesMax,
      progressNotifyMs: config.watchProgressIntervalMs,
      electionMs: config.electionMs,
      isLeaseCheckpointed: config.isLeaseCheckpointed,
    });
    const { log } = this.#context;
    const methods = measured(this.#services.methods, {
      stats: this.#calls,
      log,
      warningMs: config.warningUnaryMs,
    });
    const http = this.#httpHandlers(viewOf(core, { emulated, quotaBytes: config.quotaBytes }));
    this.#rpc = await startRpc({
      listen: config.listenClientUrls.map(listenOf),
      methods,
      http1: config.listenClientHttpUrls.length > 0 ? nothingHandler : http.client,
      limits: limitsOf(config),
      log,
    });
    for (const url of config.listenClientHttpUrls) this.#listeners.push(await listenHttp(url, http.client));
    for (const url of config.listenMetricsUrls) this.#listeners.push(await listenHttp(url, http.metrics));
    const { ports } = this.#rpc;
    this.urls = config.listenClientUrls.map((url, i) => withPort(url, ports[i]!));
    if (!core.isReadOnly) this.#services.lessor.start();
  }

  #httpHandlers(view: ReturnType<typeof viewOf>): { client: HttpHandler; metrics: HttpHandler } {
    const { isMetricsExtensive, hostWhitelist, corsOrigins } = this.#config;
    const metrics = createMetrics({
      stats: this.#stats,
      calls: this.#calls,
      view,
      isExtensive: isMetricsExtensive,
    });
    const options = {
      view,
      metrics,
      stats: this.#stats.health,
      log: this.#context.log,
      hostWhitelist,
      corsOrigins,
    };
    return { client: http1Handler(options), metrics: metricsHandler(options) };
  }

  /** Nothing may be answered any more: who was told that a write is durable was told the truth so far. */
  #fail(error: unknown): void {
    this.#context.log.error({ error }, 'the server stops: it cannot go on safely');
    this.#rejectDone(error);
    void this.stop(0).catch(() => {});
  }

  async stop(graceMs: number): Promise<void> {
    if (this.#stopping && this.#rpc && graceMs === 0) void this.#rpc.close({ graceMs });
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  async #stop(graceMs: number): Promise<void> {
    try {
      if (this.#services) this.#services.health.isServing = false;
      await Promise.all([
        this.#rpc?.close({ graceMs }),
        ...this.#listeners.map((listener) => listener.close(graceMs)),
      ]);
      this.#services?.lessor.stop();
      await this.#served?.stop();
      this.#resolveDone();
    } catch (error) {
      this.#rejectDone(error);
      throw error;
    }
  }
}

function listenOf(url: string): Listen {
  const address = addressOf(url);
  return address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
}

function withPort(url: string, port: number): string {
  return port === 0 ? url : url.replace(/:\d*$/, `:${port}`);
}

function limitsOf({ requestBytesMax, streamsMax, keepAlive }: ServerConfig): Partial<Limits> {
  return {
    messageSizeMax: requestBytesMax + REQUEST_OVERHEAD,
    streamsPerConnectionMax: streamsMax,
    pingIntervalMinMs: keepAlive.minTimeMs,
    keepAliveIntervalMs: keepAlive.intervalMs,
    keepAliveTimeoutMs: keepAlive.timeoutMs,
  };
}
