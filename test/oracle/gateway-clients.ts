/** Clients of JSON gateways, in the clear and under TLS, over both versions of HTTP; and how answers are compared. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:http2';
import { request as requestSecurely } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { Identity } from '../support/authority.ts';
import type { EtcdServer } from './server.ts';

export interface Question {
  /** Below `/v3/` unless it begins with a slash. */
  path: string;
  body?: unknown;
  method?: string;
  /** `$TOKEN` stands for the token of whoever asks. */
  headers?: Readonly<Record<string, string>>;
  /** Of a stream that does not end: as many lines as are waited for. */
  lines?: number;
}

export interface Answer {
  status: number;
  headers: Readonly<Record<string, unknown>>;
  body: string;
}

const SILENCE_MS = 10_000;
/** etcd says either, as its clock or that of the gateway in it is first. */
const CUT_OFF = 'stream terminated by RST_STREAM with error code: CANCEL';

/** How a server is asked. */
export interface Way {
  url: string;
  version?: 1 | 2;
  /** Whose certificate is shown. */
  identity?: Identity | undefined;
}

export const base64 = (text: string): string => Buffer.from(text).toString('base64');

export async function ask(way: Way, question: Question): Promise<Answer> {
  return way.version === 2 ? askOver2(way, question) : askOver1(way, question);
}

function partsOf({ path, body = {}, method = 'POST', headers = {} }: Question) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return { path: path.startsWith('/') ? path : `/v3/${path}`, text, method, headers };
}

/** The body as far as it is wanted. */
async function bodyOf(source: AsyncIterable<unknown>, { lines }: Question): Promise<string> {
  let body = '';
  for await (const part of source) {
    body += part as string;
    if (lines !== undefined && body.split('\n').length > lines) break;
  }
  return lines === undefined ? body : body.split('\n').slice(0, lines).join('\n');
}

async function askOver1({ url, identity }: Way, question: Question): Promise<Answer> {
  const { path, text, method, headers } = partsOf(question);
  const { hostname, port, protocol } = new URL(url);
  const options = { hostname, port, path, method, headers, agent: false };
  const sent =
    protocol === 'https:'
      ? requestSecurely({ ...options, rejectUnauthorized: false, ...identity })
      : request(options);
  sent.setTimeout(SILENCE_MS, () => sent.destroy(new Error(`${method} ${path}: no answer`)));
  const answered = once(sent, 'response');
  sent.end(text);
  const [response] = (await answered) as [IncomingMessage];
  const body = await bodyOf(response.setEncoding('utf8'), question);
  sent.on('error', () => {}).destroy();
  return { status: response.statusCode!, headers: response.headers, body };
}

async function askOver2({ url, identity }: Way, question: Question): Promise<Answer> {
  const { path, text, method, headers } = partsOf(question);
  const session = connect(url, { rejectUnauthorized: false, ...identity });
  session.on('error', () => {});
  try {
    const stream = session.request(
      { ':method': method, ':path': path, ...headers },
      { endStream: text === '' },
    );
    stream.setTimeout(SILENCE_MS, () => stream.destroy(new Error(`${method} ${path}: no answer`)));
    const answered = once(stream, 'response');
    if (text !== '') stream.end(text);
    const [found] = (await answered) as [Record<string, unknown>];
    const body = await bodyOf(stream.setEncoding('utf8'), question);
    return { status: Number(found[':status']), headers: found, body };
  } finally {
    session.destroy();
  }
}

/** Member and cluster are each server's own, and so are tokens, ports and sizes. */
const OWN = [
  'cluster_id',
  'member_id',
  'raft_term',
  'peerURLs',
  'clientURLs',
  'TTL',
  'token',
  'version',
  'dbSize',
  'dbSizeInUse',
  'raftIndex',
  'raftTerm',
  'raftAppliedIndex',
  'leader',
  'hash',
  'blob',
  'remaining_bytes',
  // Real etcd decides it a while after its start.
  'storageVersion',
];
const HEADERS = [
  'content-type',
  'grpc-metadata-content-type',
  'www-authenticate',
  'access-control-allow-origin',
  'access-control-allow-methods',
  'access-control-allow-headers',
  'x-content-type-options',
];

/** What two answers must have in common: order of members included, without what is a server's own. */
export function comparable({ status, headers, body }: Answer): unknown {
  const text = body
    .replaceAll('\u{a0}', ' ')
    .replaceAll('  ', ' ')
    .replaceAll(CUT_OFF, 'context deadline exceeded');
  const lines = text.split('\n').filter((line) => line !== '');
  // Differs from etcd, whose errors have one header of gRPC's more where TLS and gRPC share a port.
  const shown = { ...headers, ...(status >= 400 ? { 'grpc-metadata-content-type': undefined } : {}) };
  return {
    status,
    headers: HEADERS.map((name) => (shown as Answer['headers'])[name]),
    lines: lines.map(masked),
  };
}

function masked(line: string): string {
  if (!line.startsWith('{')) return line;
  const mask = (name: string, value: unknown): unknown =>
    OWN.includes(name) || (name === 'ID' && String(value).length > 5) ? '*' : value;
  return JSON.stringify(JSON.parse(line, mask));
}

/** Real etcd applies a login a moment after it is made; asks until it is there. */
export async function login(way: Way, name: string, password: string): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    const { body, status } = await ask(way, { path: 'auth/authenticate', body: { name, password } });
    const token = /"token":\s?"([^"]+)"/.exec(body)?.[1];
    if (token !== undefined) return token;
    if (attempt === 20) throw new Error(`no login for ${name}: ${status} ${body}`);
    await delay(100);
  }
}

/** Both servers with their client URLs, as two ways. */
export const waysTo = (servers: readonly EtcdServer[], more: Omit<Way, 'url'> = {}): Way[] =>
  servers.map(({ endpoint }) => ({ url: endpoint, ...more }));
