/**
 * A server from its configuration to its end: what it serves, the calls to it, the ports it listens on. It stops by
 * itself only after a failure that makes going on unsafe.
 */
import { addressOf } from '../format/urls.ts';
import { type RpcServer, startServer as startRpc } from '../rpc/http2-server.ts';
import { deferred } from '../rpc/deferred.ts';
import type { Limits } from '../rpc/limits.ts';
import { MethodTable } from '../rpc/methods.ts';
import type { Methods } from '../rpc/seam.ts';
import type { SecureLayer } from '../rpc/secure.ts';
import type { ServerStats } from '../rpc/stats.ts';
import { STREAM_PATHS, UNARY_PATHS, WAITING_PATHS } from './api-paths.ts';
import { bcryptCostOf } from './auth/bcrypt.ts';
import { Passwords } from './auth/passwords.ts';
import { tokenProviderOf } from './auth/token-provider.ts';
import type { TokenProvider } from './auth/tokens.ts';
import { MONOTONIC_CLOCK } from './clock.ts';
import type { RunningServer, ServerConfig, ServerContext, StartServer } from './config.ts';
import { releaseOf } from './emulation.ts';
import { Gateway } from './gateway/gateway.ts';
import {
  http1Handler,
  type HttpHandler,
  metricsHandler,
  nothingHandler,
  startingHandler,
  startingHttp1Handler,
} from './monitor/http.ts';
import { type HttpListener, listenHttp } from './monitor/http-listener.ts';
import { limitsOf, METRICS_CONNECTIONS_MAX } from './limits.ts';
import { listenPlaces, removeStaleSocket } from './listen-target.ts';
import { CallStats, measured } from './monitor/measure.ts';
import { startMember } from './member.ts';
import { createMetrics } from './monitor/metrics.ts';
import { openMountable, startMount } from './mount/mount.ts';
import { readProcess } from './monitor/process-stats.ts';
import type { Served } from './served.ts';
import type { ServerView } from './monitor/server-view.ts';
import { makeServices, type Services } from './services.ts';
import { Stats } from './monitor/stats.ts';
import { viewOf } from './monitor/view.ts';
import { type ClientTls, openClientTls } from './tls/client-tls.ts';
import { listenHttps } from './tls/https-listener.ts';

/** Of whose form errors are that have to be told before it is known. */
const UNKNOWN_VERSION = '3.6';

/** See {@link StartServer}. */
export const startServer: StartServer = async (config, context) => {
  const server = new Server(config, context);
  await server.start();
  return server;
};

interface HttpHandlers {
  client: HttpHandler;
  metrics: HttpHandler;
}

class Server implements RunningServer {
  readonly done: Promise<void>;
  urls: readonly string[] = [];
  readonly #config: ServerConfig;
  readonly #context: ServerContext;
  readonly #stats = new Stats();
  readonly #calls = new CallStats();
  readonly #limits: Limits;
  /** Of the listeners that speak it. */
  #tls: ClientTls | undefined;
  readonly #tokens: TokenProvider;
  readonly #passwords: Passwords;
  #served: Served | undefined;
  #services: Services | undefined;
  readonly #gateway: Gateway | undefined;
  /** All methods as they are called, once it listens. */
  #methods = new MethodTable([]);
  #rpc: RpcServer | undefined;
  readonly #listeners: HttpListener[] = [];
  /** Ends when all ports are open, or one cannot be. */
  #listening: Promise<void> | undefined;
  /** Of a mount: ends when its keys are known, or it has failed. */
  #opening: Promise<unknown> | undefined;
  #stopping: Promise<void> | undefined;
  #resolveDone = (): void => {};
  #rejectDone = (_error: unknown): void => {};

  constructor(config: ServerConfig, context: ServerContext) {
    this.#config = config;
    this.#context = context;
    const { openFilesMax } = readProcess();
    this.#limits = limitsOf(config, { openFilesMax, log: context.log });
    this.#tokens = tokenProviderOf({
      authToken: config.auth.token,
      simpleTtlMs: config.auth.tokenTtlMs,
      clock: MONOTONIC_CLOCK,
      log: context.log,
    });
    this.#passwords = new Passwords({
      pendingMax: config.clients.pendingLoginsMax,
      stats: this.#stats.access.passwords,
    });
    if (config.isGatewayEnabled) this.#gateway = this.#makeGateway();
    this.done = new Promise((resolve, reject) => {
      this.#resolveDone = resolve;
      this.#rejectDone = reject;
    });
    // Whoever waits is told; nobody has to.
    this.done.catch(() => {});
  }

  /** There before what it answers for is known: its calls wait as those of gRPC do. */
  #makeGateway(): Gateway {
    const { clientTls, emulate = UNKNOWN_VERSION } = this.#config;
    return new Gateway({
      methods: () => this.#methods,
      emulated: () => this.#served?.emulated ?? emulate,
      messageSizeMax: this.#limits.messageSizeMax,
      log: this.#context.log,
      refusesNames: () => clientTls.isClientCertAuth && this.#served?.core.applier.users.isEnabled === true,
    });
  }

  /** A member listens when it is ready; a mount at once, and its calls wait until its keys are known. */
  async start(): Promise<void> {
    const { target } = this.#config;
    const options = {
      config: this.#config,
      stats: this.#stats,
      onFailure: (error: unknown) => this.#fail(error),
    };
    try {
      this.#tls = await this.#openTls();
      if (target.kind === 'member') {
        const serving = this.#serve(await startMember({ ...options, target }, this.#context));
        await this.#listen(serving.methods, serving.http);
      } else {
        const mountable = openMountable(target);
        await this.#listenFirst(startMount({ ...options, target }, mountable, this.#context));
      }
    } catch (error) {
      await this.stop(0).catch(() => {});
      throw error;
    }
  }

  #openTls(): Promise<ClientTls | undefined> {
    const { target, clientTls } = this.#config;
    const { log, disk } = this.#context;
    return openClientTls({
      ...this.#config,
      info: clientTls,
      dataDir: target.kind === 'member' ? target.dataDir : undefined,
      stats: this.#stats.rpc.handshakes,
      handshakeTimeoutMs: this.#limits.handshakeTimeoutMs,
      disk,
      log,
    });
  }

  async #listenFirst(opening: Promise<Served>): Promise<void> {
    const serving = opening.then((served) => this.#serve(served));
    this.#opening = serving.catch((error: unknown) => {
      // Given up before its keys were known.
      if (this.#context.signal.aborted) void this.stop(0).catch(() => {});
      else this.#fail(error);
    });
    const methods = [
      deferred(
        { unary: UNARY_PATHS, stream: STREAM_PATHS },
        serving.then(({ methods }) => methods),
      ),
    ];
    let now: HttpHandlers = {
      client: startingHttp1Handler(this.#clientHttpOptions()),
      metrics: startingHandler,
    };
    void serving.then(({ http }) => (now = http)).catch(() => {});
    await this.#listen(methods, {
      client: (request, response) => now.client(request, response),
      metrics: (request, response) => now.metrics(request, response),
    });
  }

  /** The calls to what is served, and what runs beside them. */
  #serve(served: Served): { methods: Methods[]; http: HttpHandlers } {
    const config = this.#config;
    const { core, emulated, isTimed } = served;
    this.#served = served;
    this.#services = makeServices(core, {
      emulated,
      version: releaseOf(emulated),
      quotaBytes: config.quotaBytes,
      txnOperationsMax: config.txnOpsMax,
      requestSizeMax: config.requestBytesMax,
      progressNotifyMs: config.watchProgressIntervalMs,
      electionMs: config.electionMs,
      isLeaseCheckpointed: config.isLeaseCheckpointed,
      auth: {
        tokens: this.#tokens,
        passwords: this.#passwords,
        bcryptCost: bcryptCostOf(config.auth.bcryptCost, this.#context.log),
        isNamedByCertificate: this.#config.clientTls.isClientCertAuth,
        isSkipped: config.target.kind === 'mount' && config.target.isAuthSkipped,
      },
      stats: this.#stats,
    });
    if (isTimed) this.#services.lessor.start();
    const view = viewOf(core, {
      emulated,
      quotaBytes: config.quotaBytes,
      services: this.#services,
    });
    return { methods: this.#services.methods, http: this.#httpHandlers(view) };
  }

  #listen(services: readonly Methods[], http: HttpHandlers): Promise<void> {
    this.#listening = this.#openPorts(services, http);
    return this.#listening;
  }

  async #openPorts(services: readonly Methods[], http: HttpHandlers): Promise<void> {
    const config = this.#config;
    const { log } = this.#context;
    const { places, indexes } = listenPlaces(config.listenClientUrls, this.#tls?.clients);
    for (const place of places) await removeStaleSocket(place);
    const methods = measured(services, { stats: this.#calls, log, warningMs: config.warningUnaryMs });
    this.#methods = new MethodTable(methods, WAITING_PATHS);
    const isSplit = config.listenClientHttpUrls.length > 0;
    this.#rpc = await startRpc({
      listen: places,
      methods,
      waiting: WAITING_PATHS,
      http1: isSplit ? nothingHandler : http.client,
      http2: isSplit ? undefined : http.client,
      limits: this.#limits,
      stats: this.#stats.rpc,
      log,
    });
    await this.#listenHttp(http);
    const { ports } = this.#rpc;
    this.urls = config.listenClientUrls.map((url, i) => withPort(url, ports[indexes[i]!]!));
  }

  /** Clients have one limit on all ports; whoever looks at metrics is let in beside them. */
  async #listenHttp(http: HttpHandlers): Promise<void> {
    const { listenClientHttpUrls, listenMetricsUrls } = this.#config;
    const { rpc, metrics } = this.#stats;
    const clients = { limits: this.#limits, stats: rpc, secure: this.#tls?.clients };
    for (const url of listenClientHttpUrls) await this.#addListener(url, http.client, clients);
    const limits = { ...this.#limits, connectionsMax: METRICS_CONNECTIONS_MAX };
    const watchers = { limits, stats: metrics, secure: this.#tls?.metrics };
    for (const url of listenMetricsUrls) await this.#addListener(url, http.metrics, watchers);
  }

  async #addListener(
    url: string,
    handler: HttpHandler,
    { secure, ...options }: { limits: Limits; stats: ServerStats; secure: SecureLayer | undefined },
  ): Promise<void> {
    const { log } = this.#context;
    const isUnder = secure !== undefined && addressOf(url).isSecure;
    this.#listeners.push(
      await (isUnder
        ? listenHttps(url, handler, { ...options, secure, log })
        : listenHttp(url, handler, options)),
    );
  }

  #httpHandlers(view: ServerView): HttpHandlers {
    const { isMetricsExtensive } = this.#config;
    const metrics = createMetrics({
      stats: this.#stats,
      calls: this.#calls,
      handshakes: this.#stats.rpc.handshakes,
      view,
      tokens: this.#tokens,
      limits: this.#limits,
      pendingLoginsMax: this.#config.clients.pendingLoginsMax,
      isExtensive: isMetricsExtensive,
    });
    const options = {
      view,
      metrics,
      stats: this.#stats.health,
      ...this.#clientHttpOptions(),
    };
    return { client: http1Handler(options), metrics: metricsHandler(options) };
  }

  #clientHttpOptions() {
    const { hostWhitelist, corsOrigins } = this.#config;
    return { log: this.#context.log, hostWhitelist, corsOrigins, gateway: this.#gateway };
  }

  /** Nothing may be answered any more: who was told that a write is durable was told the truth so far. */
  #fail(error: unknown): void {
    this.#context.log.error({ error }, 'the server stops: it cannot go on safely');
    this.#rejectDone(error);
    void this.stop(0).catch(() => {});
  }

  async stop(graceMs: number): Promise<void> {
    if (this.#stopping && graceMs === 0) void this.#closePorts(graceMs);
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  async #closePorts(graceMs: number): Promise<void> {
    await Promise.all([
      this.#rpc?.close({ graceMs }),
      ...this.#listeners.map((listener) => listener.close(graceMs)),
    ]);
  }

  async #stop(graceMs: number): Promise<void> {
    try {
      // What fails early still has ports to close.
      await this.#listening?.catch(() => {});
      if (this.#services) this.#services.health.isServing = false;
      this.#gateway?.leave();
      await this.#closePorts(graceMs);
      await this.#opening;
      this.#services?.lessor.stop();
      await this.#served?.stop();
      this.#tokens.close();
      await this.#passwords.close();
      this.#resolveDone();
    } catch (error) {
      this.#rejectDone(error);
      throw error;
    }
  }
}

function withPort(url: string, port: number): string {
  return port === 0 ? url : url.replace(/:\d*$/, `:${port}`);
}
