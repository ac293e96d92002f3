/**
 * The JSON gateway: etcd's API over HTTP below `/v3/`, as grpc-gateway makes it of etcd's schema. Requests become calls
 * of the same methods that gRPC has, in this process; no connection to ourselves lies between.
 */
import { posix } from 'node:path';
import type { TLSSocket } from 'node:tls';
import type { Method, MethodTable } from '../../rpc/methods.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import type { Version } from '../../store/schema/buckets.ts';
import type { Log } from '../log.ts';
import { fail, type HttpRequest, type HttpResponse, takeBody } from '../monitor/http-exchange.ts';
import { JsonInbox, readMessage } from './body.ts';
import { GatewayCall, GatewayStream, OneMessage } from './call.ts';
import { errorBody, errorLine, httpCodeOf, isFirstGateway, noMethod, noRoute } from './errors.ts';
import { metadataOf, timeoutOf } from './metadata.ts';
import { type Route, ROUTES } from './routes.ts';
import { jsonOf } from './to-json.ts';

const ROOT = '/v3/';
/** From before etcd 3.4. */
const BETA_ROOT = '/v3beta/';
const JSON_TYPE = 'application/json';
/** As grpc-gateway passes it on from gRPC. */
const GOOD = { 'content-type': JSON_TYPE, 'grpc-metadata-content-type': 'application/grpc' };

export interface GatewayOptions {
  /** What is called; there once the server listens. */
  methods: () => MethodTable;
  /** Asked when something is to be told that differs from version to version. */
  emulated: () => Version;
  /** Of a request as gRPC has it; longer ones are RESOURCE_EXHAUSTED. */
  messageSizeMax: number;
  log: Log;
  /** Whether a client whose certificate has a name is sent away, since the name would count for nothing. */
  refusesNames?: () => boolean;
}

interface Exchange {
  request: HttpRequest;
  response: HttpResponse;
}

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #calls = new Set<GatewayCall>();
  #isLeaving = false;

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  /** Sends away whose name in a certificate would count for nothing; gives whether it did. To be asked first of all. */
  refuse(request: HttpRequest, response: HttpResponse): boolean {
    const { refusesNames = () => false } = this.#options;
    const path = pathOf((request.url ?? '').split('?', 1)[0]!);
    if (path === undefined || path === '/v3' || !refusesNames() || !hasName(request)) return false;
    const text =
      'CommonName of client sending a request against gateway will be ignored and not used as expected';
    takeBody(request, response);
    fail(response, 400, text);
    return true;
  }

  /** Answers what is below `/v3/`; gives whether it was. Never throws. */
  answer(request: HttpRequest, response: HttpResponse): boolean {
    const [rawPath = '', query] = (request.url ?? '').split('?', 2);
    const path = pathOf(rawPath);
    if (path === undefined) return false;
    const exchange = { request, response };
    const clean = path === '/v3' ? ROOT : posix.normalize(path);
    if (clean !== path) redirect(exchange, encodeURI(clean) + (query === undefined ? '' : `?${query}`));
    else void this.#serve(exchange, path);
    return true;
  }

  /** Ends calls that wait for something, or for their own request, so that the server can close. */
  leave(): void {
    this.#isLeaving = true;
    for (const call of this.#calls) if (call.isWaiting || !call.isBegun) call.cancel(stopped());
  }

  async #serve(exchange: Exchange, path: string): Promise<void> {
    const route = ROUTES.get(path);
    try {
      if (route === undefined || exchange.request.method !== 'POST') this.#refuse(exchange, route);
      else if (route.shape === 'unary') await this.#unary(exchange, route);
      else await this.#stream(exchange, route);
    } catch (error) {
      this.#fail(exchange, route, error);
    }
  }

  /** A path without a route, or a method that it does not take. */
  #refuse({ request, response }: Exchange, route: Route | undefined): void {
    takeBody(request, response);
    const error = route === undefined ? noRoute() : noMethod();
    const emulated = this.#options.emulated();
    if (isFirstGateway(emulated)) fail(response, route === undefined ? 404 : 405, error.message);
    else this.#writeError(response, error);
  }

  async #unary(exchange: Exchange, route: Route): Promise<void> {
    const { request, response } = exchange;
    const method = this.#methodOf(route);
    const call = new GatewayCall(this.#callOf(request, route, method));
    await this.#within(exchange, call, async () => {
      const message = await call.until(readMessage(request, this.#bodyOf(route)));
      call.isBegun = true;
      if (!method?.unary) throw this.#options.methods().refusal(route.method);
      const answer = await call.until(method.unary(message, call));
      finish(response, 200, GOOD, jsonOf(route.response, answer));
    });
  }

  async #stream(exchange: Exchange, route: Route): Promise<void> {
    const { request, response } = exchange;
    const method = this.#methodOf(route);
    const call = new GatewayStream({
      ...this.#callOf(request, route, method),
      answers: route.response,
      response,
      open: () => response.writeHead(200, GOOD),
    });
    await this.#within(exchange, call, async () => {
      const body = this.#bodyOf(route);
      const source =
        route.shape === 'both'
          ? new JsonInbox(request, body)
          : new OneMessage(await call.until(readMessage(request, body)));
      if (!method?.stream) throw this.#options.methods().refusal(route.method);
      call.begin(source);
      try {
        await call.until(method.stream(call));
        call.close();
        if (response.headersSent) response.end();
        else response.writeHead(200).end();
      } catch (error) {
        call.close();
        this.#endStream(response, rpcErrorFrom(error, route, this.#options.log));
      }
      source.fail(over());
      request.resume();
    });
  }

  #methodOf({ method }: Route): Method | undefined {
    return this.#options.methods().get(method);
  }

  #bodyOf({ request }: Route): { request: Route['request']; messageSizeMax: number } {
    return { request, messageSizeMax: this.#options.messageSizeMax };
  }

  #callOf(request: HttpRequest, route: Route, method: Method | undefined) {
    const { remoteAddress = '', remotePort } = request.socket;
    const header = request.headers['grpc-timeout'];
    return {
      path: route.method,
      timeoutMs: timeoutOf(typeof header === 'string' ? header : undefined),
      metadata: metadataOf(request.rawHeaders, remoteAddress),
      peer: remoteAddress === '' ? 'local' : `${remoteAddress}:${remotePort}`,
      isWaiting: method?.isWaiting ?? false,
    };
  }

  /** Runs a call, which a client that goes away ends. */
  async #within({ response }: Exchange, call: GatewayCall, run: () => Promise<void>): Promise<void> {
    this.#calls.add(call);
    response.on('close', () => call.cancel(new RpcError(STATUS.cancelled, 'context canceled')));
    // Whatever broke is seen when it closes.
    response.on('error', () => {});
    if (this.#isLeaving && call.isWaiting) call.cancel(stopped());
    try {
      await run();
    } finally {
      call.finish();
      this.#calls.delete(call);
    }
  }

  #endStream(response: HttpResponse, error: RpcError): void {
    const emulated = this.#options.emulated();
    if (!response.headersSent)
      response.writeHead(httpCodeOf(error.status, emulated), { 'content-type': JSON_TYPE });
    response.end(`${errorLine(error, emulated)}\n`);
  }

  /** An error outside of a stream. What the client still sends is read away, or it would not hear of it. */
  #fail({ request, response }: Exchange, route: Route | undefined, error: unknown): void {
    takeBody(request, response, Number.POSITIVE_INFINITY);
    if (response.headersSent) response.destroy();
    else this.#writeError(response, rpcErrorFrom(error, route, this.#options.log));
  }

  #writeError(response: HttpResponse, error: RpcError): void {
    const emulated = this.#options.emulated();
    if (error.status === STATUS.unauthenticated) response.setHeader('www-authenticate', error.message);
    const type = { 'content-type': JSON_TYPE };
    finish(response, httpCodeOf(error.status, emulated), type, errorBody(error, emulated));
  }
}

/** What a path names, when it is one of ours: unescaped, and as of today. */
function pathOf(rawPath: string): string | undefined {
  let path: string;
  try {
    path = decodeURIComponent(rawPath);
  } catch {
    return undefined;
  }
  if (path.startsWith(BETA_ROOT)) path = ROOT + path.slice(BETA_ROOT.length);
  return path === '/v3' || posix.normalize(path).startsWith(ROOT) ? path : undefined;
}

/** As Go's ServeMux: to the path without detours. */
function redirect({ request, response }: Exchange, location: string): void {
  takeBody(request, response);
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  const type = isRead ? { 'content-type': 'text/html; charset=utf-8' } : {};
  const text = isRead ? `<a href="${escaped(location)}">Temporary Redirect</a>.\n\n` : '';
  finish(response, 307, { location, ...type }, text);
}

/** For HTML. */
function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** The whole answer at once. */
function finish(response: HttpResponse, code: number, headers: Record<string, string>, body: string): void {
  response.writeHead(code, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body);
}

function hasName({ socket }: HttpRequest): boolean {
  const { authorized, getPeerCertificate } = socket as Partial<TLSSocket>;
  if (!authorized || getPeerCertificate === undefined) return false;
  return Boolean((socket as TLSSocket).getPeerCertificate().subject?.CN);
}

const over = (): RpcError => new RpcError(STATUS.cancelled, 'the call is over');
const stopped = (): RpcError => new RpcError(STATUS.unavailable, 'etcdserver: server stopped');

function rpcErrorFrom(error: unknown, route: Route | undefined, log: Log): RpcError {
  if (error instanceof RpcError) return error;
  const text = error instanceof Error ? error.message : String(error);
  log.warn(
    { method: route?.method, error: text },
    'a call through the gateway failed for a reason of our own',
  );
  return new RpcError(STATUS.internal, text);
}
