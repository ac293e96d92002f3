/**
 * What a server answers over HTTP: `/version`, `/health`, `/livez`, `/readyz`, `/metrics`, and the gateway beside them.
 * Bodies, headers and codes are those of Go's net/http and etcd v3.6 (server/etcdserver/api/etcdhttp,
 * server/embed/serve.go). But for the gateway no request has a body that is of use; what comes is thrown away, and much
 * of it ends the connection.
 */
import type { Log } from '../log.ts';
import { checksOf, type HealthCheck, readHealth, runChecks } from './health.ts';
import {
  fail,
  type HttpHandler,
  type HttpRequest,
  type HttpResponse,
  PLAIN,
  takeBody,
} from './http-exchange.ts';
import type { Metrics } from './metrics.ts';
import type { ServerView } from './server-view.ts';
import type { HealthStats } from './stats.ts';

export type { HttpHandler } from './http-exchange.ts';

export interface HttpOptions {
  view: ServerView;
  metrics: Metrics;
  stats: HealthStats;
  log: Log;
  /** Host names that requests may name; `*` stands for all. */
  hostWhitelist: readonly string[];
  /** Origins that browsers may ask from; `*` stands for all. */
  corsOrigins: readonly string[];
  /** Answers what is below `/v3/`. */
  gateway?: HttpGateway | undefined;
}

/** Both give whether they answered. */
interface HttpGateway {
  /** Before anything else is said, CORS included. */
  refuse(request: HttpRequest, response: HttpResponse): boolean;
  answer(request: HttpRequest, response: HttpResponse): boolean;
}

/** Everything, for client URLs. */
export function http1Handler(options: HttpOptions): HttpHandler {
  const routes = routesOf(options);
  routes.set('/version', (exchange) => answerVersion(exchange, options));
  return clientHandler(options, (request, response) => route(routes, request, response, options.log));
}

/** The same while nothing is known that could be shown: calls through the gateway wait by themselves. */
export function startingHttp1Handler(options: ClientOptions): HttpHandler {
  return clientHandler(options, startingHandler);
}

type ClientOptions = Pick<HttpOptions, 'log' | 'hostWhitelist' | 'corsOrigins' | 'gateway'>;

function clientHandler(options: ClientOptions, others: HttpHandler): HttpHandler {
  return (request, response) => {
    if (!isAllowedHost(request, options)) {
      rejectHost(request, response, options.log);
      return;
    }
    if (options.gateway?.refuse(request, response)) return;
    addCorsHeaders(request, response, options.corsOrigins);
    if (request.method === 'OPTIONS') {
      takeBody(request, response);
      response.writeHead(200).end();
    } else if (!options.gateway?.answer(request, response)) others(request, response);
  };
}

/** For `--listen-metrics-urls`: metrics and health alone, for whoever asks. */
export function metricsHandler(options: HttpOptions): HttpHandler {
  const routes = routesOf(options);
  return (request, response) => route(routes, request, response, options.log);
}

/** For client URLs where `--listen-client-http-urls` takes HTTP elsewhere. */
export const nothingHandler: HttpHandler = (request, response) => {
  takeBody(request, response);
  fail(response, 404, '404 page not found');
};

/** While nothing can be said yet. */
export const startingHandler: HttpHandler = (request, response) => {
  takeBody(request, response);
  fail(response, 503, 'the keys are not known yet');
};

interface Exchange {
  request: HttpRequest;
  response: HttpResponse;
  path: string;
  query: URLSearchParams;
}
type Route = (exchange: Exchange) => void | Promise<void>;

function routesOf(options: HttpOptions): Map<string, Route> {
  const { metrics } = options;
  const routes = new Map<string, Route>([
    ['/health', (exchange) => answerHealth(exchange, options)],
    [
      '/metrics',
      async ({ response }) => {
        const text = await metrics.text();
        response.writeHead(200, { 'content-type': metrics.contentType }).end(text);
      },
    ],
  ]);
  for (const type of ['livez', 'readyz'] as const) {
    const checks = checksOf(type, options.view);
    routes.set(`/${type}`, (exchange) => answerChecks(exchange, checks, { ...options, type }));
    for (const [name, check] of checks) {
      const one = new Map([[name, check]]);
      routes.set(`/${type}/${name}`, (exchange) => answerChecks(exchange, one, { ...options, type }));
    }
  }
  return routes;
}

function route(
  routes: ReadonlyMap<string, Route>,
  request: HttpRequest,
  response: HttpResponse,
  log: Log,
): void {
  takeBody(request, response);
  const [path = '', query = ''] = (request.url ?? '').split('?', 2);
  const found = routes.get(path);
  if (found === undefined) {
    fail(response, 404, '404 page not found');
    return;
  }
  const run = async (): Promise<void> => {
    await found({ request, response, path, query: new URLSearchParams(query) });
  };
  run().catch((error: unknown) => {
    log.error({ error, path }, 'HTTP request failed');
    if (response.headersSent) response.destroy();
    else fail(response, 500, 'Internal Server Error');
  });
}

/** Answers what is no GET; gives whether it was one. */
function isGet({ request, response, path }: Exchange, log?: Log): boolean {
  if (request.method === 'GET') return true;
  fail(response, 405, 'Method Not Allowed', { allow: 'GET' });
  log?.warn({ path, 'status-code': 405 }, 'Health request error');
  return false;
}

function answerVersion(exchange: Exchange, { view }: HttpOptions): void {
  if (!isGet(exchange)) return;
  const versions = {
    etcdserver: view.serverVersion,
    etcdcluster: view.clusterVersion ?? 'not_decided',
    // etcd 3.5 knows no storage version.
    ...(view.serverVersion.startsWith('3.5.') ? {} : { storage: view.storageVersion ?? 'unknown' }),
  };
  exchange.response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(versions));
}

async function answerHealth(exchange: Exchange, { view, stats, log }: HttpOptions): Promise<void> {
  if (!isGet(exchange, log)) return;
  const { query, response } = exchange;
  const reason = await readHealth(view, {
    excluded: new Set(query.getAll('exclude')),
    isSerializable: query.get('serializable') === 'true',
  });
  const isGood = reason === undefined;
  const text = JSON.stringify({ health: String(isGood), reason: reason ?? '' });
  if (isGood) stats.successes++;
  else stats.failures++;
  if (!isGood) log.warn({ output: text, 'status-code': 503 }, '/health error');
  if (isGood) response.writeHead(200, { 'content-type': PLAIN }).end(text);
  else fail(response, 503, text);
}

async function answerChecks(
  exchange: Exchange,
  checks: ReadonlyMap<string, HealthCheck>,
  { stats, log, type }: HttpOptions & { type: string },
): Promise<void> {
  if (!isGet(exchange, log)) return;
  const { query, response, path } = exchange;
  const excluded = new Set(path === `/${type}` ? query.getAll('exclude').filter((name) => name !== '') : []);
  const wanted = new Map([...checks].filter(([name]) => !excluded.delete(name)));
  if (excluded.size > 0) {
    const missing = [...excluded].map((name) => JSON.stringify(name)).join(',');
    log.warn({ 'missing-health-checks': missing }, 'some health checks cannot be excluded');
  }
  const { isGood, report } = await runChecks(type, wanted, stats);
  if (!isGood) {
    log.error({ path, reason: report, 'status-code': 503 }, 'Health check error');
    fail(response, 503, report);
    return;
  }
  response
    .writeHead(200, { 'content-type': PLAIN, 'x-content-type-options': 'nosniff' })
    .end(`${query.has('verbose') ? report : ''}ok\n`);
}

function hostOf({ headers }: HttpRequest): string {
  const host = headers[':authority']?.toString() ?? headers.host ?? '';
  return /^\[([^\]]*)\]/.exec(host)?.[1] ?? host.replace(/:\d*$/, '');
}

/** Under TLS, the certificate has told the client whom it speaks to. */
function isAllowedHost(request: HttpRequest, { hostWhitelist }: ClientOptions): boolean {
  if ('encrypted' in request.socket) return true;
  return hostWhitelist.length === 0 || hostWhitelist.includes('*') || hostWhitelist.includes(hostOf(request));
}

function rejectHost(request: HttpRequest, response: HttpResponse, log: Log): void {
  takeBody(request, response);
  const host = hostOf(request);
  log.warn({ host }, 'rejecting HTTP request to prevent DNS rebinding attacks');
  fail(response, 421, `the host name ${JSON.stringify(host)} is not in --host-whitelist (CVE-2018-5702)`);
}

function addCorsHeaders(
  { headers: { origin } }: HttpRequest,
  response: HttpResponse,
  origins: readonly string[],
): void {
  const allowed =
    origins.length === 0 || origins.includes('*')
      ? '*'
      : origin !== undefined && origins.includes(origin)
        ? origin
        : undefined;
  if (allowed === undefined) return;
  response.setHeader('access-control-allow-methods', 'POST, GET, OPTIONS, PUT, DELETE');
  response.setHeader('access-control-allow-origin', allowed);
  response.setHeader('access-control-allow-headers', 'accept, content-type, authorization');
}
