// The JSON gateway: the same requests in the same order to real etcd and to ours have the same answers, member for
// member, and the same codes, types and lines of streams.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:http2';
import { test, type TestContext } from 'node:test';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { scratch } from '../support/scratch.ts';
import { type EtcdServer, skipReason, startEtcd, type Version } from './etcd.ts';
import { json, values } from './gateway-json.ts';
import * as requests from './gateway-requests.ts';
import { base64, type Step } from './gateway-requests.ts';
import { endAfter, isOurs, startBoth, startSubject, subjectSkip as skip } from './subject.ts';

/** What differs between servers with the same history. */
const OWN = ['cluster_id', 'member_id', 'raft_term', 'peerURLs', 'clientURLs', 'TTL', 'hash', 'token'];
const OWN_OF_STATUS = ['version', 'dbSize', 'dbSizeInUse', 'raftIndex', 'raftTerm', 'raftAppliedIndex'];
const HEADERS = ['content-type', 'grpc-metadata-content-type', 'location', 'x-content-type-options'];

/** Differs on purpose: by what is asked, what etcd answers. */
const DIFFERENT: ReadonlyMap<string, RegExp> = new Map([
  // The gateway passes on what its own server then refuses.
  ['POST /v3/kv/range {"grpc-metadata-connection":"x"}', /RST_STREAM with error code: PROTOCOL_ERROR/],
]);

interface Answer {
  code: number | undefined;
  headers: unknown;
  body: string;
}

type Both = Awaited<ReturnType<typeof startBoth>>;
type Servers = Both & { ids: Map<EtcdServer, string> };

async function start(t: TestContext, version: Version = '3.6'): Promise<Servers> {
  const both = version === '3.6' ? await startBoth(t, scratch(t)) : await startOther(t, version);
  const ids = new Map<EtcdServer, string>();
  for (const server of [both.real, both.subject]) {
    const { body } = await ask(server, { path: '/v3/maintenance/status', body: '{}' });
    ids.set(server, /"member_id":"(\d+)"/.exec(body)?.[1] ?? '');
  }
  return { ...both, ids };
}

/** Real etcd of another line, and ours standing for it. */
async function startOther(t: TestContext, version: Version): Promise<Both> {
  const folder = scratch(t);
  const args = isOurs ? [`--emulate=${version}`] : [];
  const real = await startEtcd(version, { dataDir: join(folder, 'real') });
  endAfter(t, () => real);
  const subject = await startSubject({ dataDir: join(folder, 'subject'), args }, version);
  endAfter(t, () => subject);
  return { real, subject };
}

function send(
  server: EtcdServer,
  { path, method = 'POST', headers = {} }: Omit<Step, 'body'>,
): ClientRequest {
  const { hostname, port } = new URL(server.endpoint);
  return request({ hostname, port, path, method, headers, agent: false });
}

function ask(server: EtcdServer, step: Step): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = send(server, step);
    sent.once('error', reject);
    sent.once('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (part: string) => (body += part));
      response.once('end', () => {
        const { statusCode: code, headers } = response;
        resolve({ code, headers: HEADERS.map((name) => headers[name]), body });
      });
    });
    sent.end(step.body);
  });
}

/** etcd says either, as its clock or that of the gateway in it is first. */
const CUT_OFF = 'stream terminated by RST_STREAM with error code: CANCEL';

/** Spaces between tokens, and in messages of protobuf, differ from build to build. */
function comparable({ code, headers, body }: Answer, self: string): unknown {
  const text = body
    .replaceAll('\u{a0}', ' ')
    .replaceAll('  ', ' ')
    .replaceAll(`"${self}"`, '"SELF"')
    .replaceAll(`memberID:${self}`, 'memberID:SELF')
    .replaceAll(CUT_OFF, 'context deadline exceeded');
  const lines = text.split('\n').filter((line) => line !== '');
  return { code, headers, lines: lines.map(maskedLine) };
}

function maskedLine(line: string): string {
  if (!line.startsWith('{')) return line;
  return JSON.stringify(JSON.parse(line, masked));
}

function masked(this: object, name: string, value: unknown): unknown {
  if (OWN.includes(name) || ('dbSize' in this && OWN_OF_STATUS.includes(name))) return '*';
  return value;
}

function filled(step: Step, { self, token }: { self: string; token: string }): Step {
  const headers = Object.entries(step.headers ?? {}).map(([name, text]) => [
    name,
    text.replace('$TOKEN', token),
  ]);
  return { ...step, body: step.body.replaceAll('$SELF', self), headers: Object.fromEntries(headers) };
}

async function compare(servers: Servers, steps: readonly Step[], except?: RegExp): Promise<void> {
  const { real, subject, ids } = servers;
  const tokens = new Map<EtcdServer, string>();
  for (const step of steps) {
    const [expected, actual] = await Promise.all(
      [real, subject].map(async (server) => {
        const self = ids.get(server)!;
        const answer = await ask(server, filled(step, { self, token: tokens.get(server) ?? '' }));
        const token = /"token":\s?"([^"]+)"/.exec(answer.body)?.[1];
        if (token !== undefined) tokens.set(server, token);
        return comparable(answer, self);
      }),
    );
    const { method = 'POST', path, body, headers = {} } = step;
    const what = `${method} ${path} ${JSON.stringify(headers)} ${body.slice(0, 200)}`;
    if (except?.test((actual as { lines: string[] }).lines.join('\n'))) continue;
    const told = DIFFERENT.get(what.slice(0, what.indexOf('}') + 1));
    if (told === undefined) assert.deepEqual(actual, expected, what);
    else assert.match(JSON.stringify(expected), told, what);
  }
}

test('every path: good methods, bad methods, bad JSON', { skip }, async (t) => {
  const servers = await start(t);
  await compare(servers, requests.everyRoute());
  await compare(servers, requests.paths());
});

test('JSON, values, and what comes with headers', { skip }, async (t) => {
  const servers = await start(t);
  await compare(servers, requests.keysAndValues().slice(0, 3));
  await compare(servers, json());
  await compare(servers, values());
  await compare(servers, requests.headers());
});

test('what methods answer', { skip }, async (t) => {
  const servers = await start(t);
  await compare(servers, requests.keysAndValues());
  await compare(servers, requests.others());
});

test('users, roles, tokens', { skip }, async (t) => {
  await compare(await start(t), requests.auth());
});

test('etcd 3.7', { skip: skip || skipReason('3.7') }, async (t) => {
  const servers = await start(t, '3.7');
  await compare(servers, requests.paths());
  await compare(servers, json());
  await compare(servers, requests.keysAndValues());
  await compare(servers, requests.others());
});

// Its gateway reads JSON with another library. What that takes and we do not is not imitated, nor its words.
const OTHER_LIBRARY = /"proto: /;

test('etcd 3.5', { skip: skip || skipReason('3.5') }, async (t) => {
  const servers = await start(t, '3.5');
  await compare(servers, requests.paths());
  await compare(servers, requests.keysAndValues(), OTHER_LIBRARY);
  await compare(servers, requests.others(), OTHER_LIBRARY);
  const isName = ({ headers = {} }: Step): boolean => !('grpc-metadata-a~b' in headers);
  await compare(servers, requests.headers().filter(isName));
});

/** The lines of a stream, as many as are wanted or until it ends. */
async function linesOf(
  server: EtcdServer,
  self: string,
  { bodies, count = Number.POSITIVE_INFINITY, ...step }: Streamed,
): Promise<unknown> {
  const sent = send(server, step);
  const [first, ...later] = bodies;
  sent.write(first ?? '');
  // Headers come with the first line.
  const answered = once(sent, 'response');
  for (const body of later) {
    await delay(50);
    sent.write(body);
  }
  if (step.isOpen !== true) sent.end();
  const [response] = (await answered) as [IncomingMessage];
  let body = '';
  response.setEncoding('utf8');
  for await (const part of response) {
    body += part as string;
    if (body.split('\n').length > count) break;
  }
  sent.destroy();
  const headers = HEADERS.map((name) => response.headers[name]);
  return comparable({ code: response.statusCode, headers, body }, self);
}

interface Streamed {
  path: string;
  bodies: readonly string[];
  headers?: Readonly<Record<string, string>>;
  /** The request does not end. */
  isOpen?: boolean;
  count?: number;
}

const create = (more: object): string => JSON.stringify({ create_request: { key: base64('foo'), ...more } });

const STREAMS: readonly Streamed[] = [
  { path: '/v3/watch', bodies: [create({ start_revision: '1' })], count: 2 },
  {
    path: '/v3/watch',
    bodies: [create({ startRevision: 2, prevKv: true, filters: ['NODELETE'] })],
    count: 2,
  },
  { path: '/v3/watch', bodies: [create({ start_revision: 2, filters: ['NOPUT', 'WHAT', 1] })], count: 1 },
  { path: '/v3/watch', bodies: [create({ watch_id: 7 }), create({ watch_id: 7 })], count: 2 },
  { path: '/v3/watch', bodies: [create({}), '{"cancel_request":{"watch_id":"0"}}'], isOpen: true, count: 2 },
  { path: '/v3/watch', bodies: [create({}), '{"progressRequest":{}}'], isOpen: true, count: 2 },
  { path: '/v3/watch', bodies: [`${create({})}\n \n${create({})} oops`], count: 2 },
  { path: '/v3/watch', bodies: [create({ start_revision: 1 })], headers: { 'grpc-timeout': '300m' } },
  { path: '/v3/watch', bodies: [''], headers: { 'grpc-timeout': '100m' } },
  { path: '/v3/watch', bodies: ['[]'], headers: { 'grpc-timeout': '100m' } },
  { path: '/v3/watch', bodies: ['{}'], headers: { 'grpc-timeout': 'x' } },
  { path: '/v3/lease/keepalive', bodies: ['{"ID":"5"}{"ID":9}\n{"ID":"5"} oops'] },
  { path: '/v3/lease/keepalive', bodies: ['{"ID":"5"}', '{"I', 'D":"5"}'], isOpen: true, count: 2 },
  { path: '/v3/lease/keepalive', bodies: ['oops'] },
  { path: '/v3/lease/keepalive', bodies: ['{"ID":{}}'] },
  { path: '/v3/lease/keepalive', bodies: [''] },
  { path: '/v3/election/observe', bodies: ['{"name":"dm90ZQ=="}'], headers: { 'grpc-timeout': '200m' } },
  { path: '/v3/election/observe', bodies: ['{"name":5}'] },
  { path: '/v3/maintenance/snapshot', bodies: ['{x'] },
];

test('streams', { skip }, async (t) => {
  const servers = await start(t);
  const { real, subject, ids } = servers;
  const prepare = [...requests.keysAndValues().slice(0, 8), ...requests.others().slice(0, 1)];
  await compare(servers, prepare);
  for (const stream of STREAMS) {
    const [expected, actual] = await Promise.all(
      [real, subject].map((server) => linesOf(server, ids.get(server)!, stream)),
    );
    assert.deepEqual(actual, expected, JSON.stringify(stream));
  }
});

test('a leader that is observed, and a key that is watched, while they change', { skip }, async (t) => {
  const servers = await start(t);
  const { real, subject, ids } = servers;
  const [grant] = requests.others();
  const campaign = {
    path: '/v3/election/campaign',
    body: JSON.stringify({ name: base64('vote'), lease: '5', value: base64('me') }),
  };
  await compare(servers, [grant!, campaign]);
  const observed = { path: '/v3/election/observe', bodies: ['{"name":"dm90ZQ=="}'], count: 1 };
  const watched = { path: '/v3/watch', bodies: [create({})], count: 3 };
  const answers = Promise.all(
    [real, subject].map((server) =>
      Promise.all([observed, watched].map((stream) => linesOf(server, ids.get(server)!, stream))),
    ),
  );
  await delay(300);
  const put = { path: '/v3/kv/put', body: JSON.stringify({ key: base64('foo'), value: base64('1') }) };
  const remove = { path: '/v3/kv/deleterange', body: JSON.stringify({ key: base64('foo') }) };
  await compare(servers, [put, remove]);
  const [expected, actual] = await answers;
  assert.deepEqual(actual, expected);
});

test('a snapshot comes in lines of base64', { skip }, async (t) => {
  const { subject, real } = await start(t);
  for (const server of [real, subject]) {
    const { code, body } = await ask(server, { path: '/v3/maintenance/snapshot', body: '' });
    const parts = body
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { result: Record<string, string> }).result);
    assert.equal(code, 200);
    const bytes = Buffer.concat(parts.map(({ blob }) => Buffer.from(blob ?? '', 'base64')));
    // Whole pages, and their SHA-256.
    assert.equal(bytes.length % 4096, 32, server.label);
  }
});

test('HTTP/2 without TLS is for gRPC alone', { skip }, async (t) => {
  const { real, subject } = await start(t);
  const answers = [real, subject].map(async ({ endpoint }) => {
    const session = connect(endpoint);
    const path = { ':method': 'POST', ':path': '/v3/kv/range', 'content-type': 'application/json' };
    const stream = session.request(path).end('{}');
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    session.destroy();
    return ['status', 'grpc-status', 'grpc-message'].map((name) => headers[name] ?? headers[`:${name}`]);
  });
  const [expected, actual] = await Promise.all(answers);
  assert.deepEqual(actual, expected);
});

test('--enable-grpc-gateway=false', { skip }, async (t) => {
  const servers = await startBoth(t, scratch(t), { args: ['--enable-grpc-gateway=false'] });
  const step = (path: string): Step => ({ path, body: '{}' });
  const ids = new Map([servers.real, servers.subject].map((server) => [server, 'none']));
  await compare({ ...servers, ids }, ['/v3/kv/range', '/v3/', '/v3', '/v3beta/kv/range'].map(step));
});
