/** The JSON gateway where users are asked who they are, and under TLS: our server beside real etcd 3.6. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { scratch } from '../support/scratch.ts';
import {
  type Answer,
  ask,
  base64,
  comparable,
  login,
  type Question,
  waysTo,
  type Way,
} from './gateway-clients.ts';
import { freePorts, startEtcd } from './server.ts';
import { endAfter, isOurs, startBoth, startSubject, subjectSkip as skip } from './subject.ts';
import { type TlsFiles, WHO, writeFiles } from './tls-clients.ts';

/** Clients send it, and etcd knows its own gateway by it. */
const ACCEPT = { accept: '*/*' };

/** Asks both, and gives what the first of them, real etcd, answered. */
async function compare(
  ways: readonly Way[],
  question: Question,
  tokens: readonly string[] = [],
): Promise<Answer> {
  const answers = await Promise.all(
    ways.map((way, i) => {
      const headers = Object.entries({ ...ACCEPT, ...question.headers }).map(([name, text]) => [
        name,
        text.replace('$TOKEN', tokens[i] ?? ''),
      ]);
      return ask(way, { ...question, headers: Object.fromEntries(headers) as Record<string, string> });
    }),
  );
  const [expected, actual] = answers;
  const what = `HTTP/${ways[0]!.version ?? 1} ${JSON.stringify(question)}`;
  assert.deepEqual(comparable(actual!), comparable(expected!), what);
  return expected!;
}

/** Everybody's first steps: root, and a user who may read and write below `app/`. */
const SET_UP: Question[] = [
  { path: 'auth/user/add', body: { name: 'root', password: 'secret' } },
  { path: 'auth/user/grant', body: { user: 'root', role: 'root' } },
  { path: 'auth/role/add', body: { name: 'app' } },
  {
    path: 'auth/role/grant',
    body: {
      name: 'app',
      perm: { permType: 'READWRITE', key: base64('app/'), range_end: base64('app0') },
    },
  },
  { path: 'auth/user/add', body: { name: 'app', password: 'word' } },
  { path: 'auth/user/grant', body: { user: 'app', role: 'app' } },
  { path: 'lease/grant', body: { ID: 7, TTL: 600 } },
  { path: 'auth/enable' },
];

async function setUp(ways: readonly Way[]): Promise<void> {
  for (const question of SET_UP) assert.equal((await compare(ways, question)).status, 200);
}

/** One of every kind of route. */
function kinds(key: string): Question[] {
  const one = { key: base64(key) };
  return [
    { path: 'kv/put', body: { ...one, value: base64('1') } },
    { path: 'kv/range', body: one },
    {
      path: 'kv/txn',
      body: {
        compare: [{ ...one, target: 'VERSION', result: 'GREATER', version: 0 }],
        success: [{ request_put: { ...one, value: base64('2') } }],
        failure: [{ request_range: one }],
      },
    },
    { path: 'kv/deleterange', body: { key: base64(`${key}/none`) } },
    {
      path: 'watch',
      body: { create_request: { ...one, start_revision: 1 } },
      // One that is not allowed stays open in etcd.
      headers: { 'grpc-timeout': '300m' },
    },
    { path: 'lease/keepalive', body: { ID: 7 } },
    { path: 'lease/timetolive', body: { ID: 7 } },
    { path: 'maintenance/snapshot' },
    { path: 'maintenance/status' },
    { path: 'maintenance/alarm', body: { action: 'GET' } },
    { path: 'cluster/member/list' },
    { path: 'auth/status' },
    { path: 'auth/user/list' },
    { path: 'auth/user/get', body: { name: 'app' } },
    { path: 'auth/role/get', body: { role: 'app' } },
    { path: 'auth/role/add', body: { name: 'other' } },
    { path: 'auth/role/delete', body: { role: 'other' } },
  ];
}

/** Who asks: how the token is shown. */
const SHOWN: Record<string, Record<string, string>> = {
  nobody: {},
  raw: { authorization: '$TOKEN' },
  bearer: { authorization: 'Bearer $TOKEN' },
  'in small letters': { authorization: 'bearer $TOKEN' },
  'as metadata': { 'grpc-metadata-token': '$TOKEN' },
  wrong: { authorization: 'x$TOKEN' },
  'of nobody': { authorization: 'Bearer nothing.1' },
  empty: { authorization: '' },
};

function asShown(question: Question, headers: Record<string, string>): Question {
  return { ...question, headers: { ...question.headers, ...headers } };
}

test('every kind of route, by how a token is shown, and whose it is', { skip }, async (t) => {
  const { real, subject } = await startBoth(t, scratch(t));
  const ways = waysTo([real, subject]);
  await setUp(ways);
  const users = { root: 'secret', app: 'word' };
  for (const [name, password] of Object.entries(users)) {
    const tokens = await Promise.all(ways.map((way) => login(way, name, password)));
    for (const headers of Object.values(SHOWN)) {
      for (const question of [...kinds('app/a'), ...kinds('other')])
        await compareKind(ways, asShown(question, headers), tokens);
    }
  }
  const wrong = { name: 'app', password: 'wrong' };
  for (const body of [wrong, { ...wrong, name: 'nobody' }, { ...wrong, name: '' }, {}])
    await compare(ways, { path: 'auth/authenticate', body });
});

/** A snapshot is compared by what it is, since no two databases are the same. */
async function compareKind(
  ways: readonly Way[],
  question: Question,
  tokens: readonly string[],
): Promise<void> {
  const isSnapshot = question.path === 'maintenance/snapshot';
  if (!isSnapshot) return void (await compare(ways, question, tokens));
  await compare(ways, { ...question, lines: 1, headers: { ...question.headers } }, tokens);
}

test(
  'a token that was good is none after a log-out, a change of password, and the end of its user',
  { skip },
  async (t) => {
    const { real, subject } = await startBoth(t, scratch(t));
    const ways = waysTo([real, subject]);
    await setUp(ways);
    const root = await Promise.all(ways.map((way) => login(way, 'root', 'secret')));
    const asRoot = (path: string, body: object): Promise<Answer> =>
      compare(ways, { path, body, headers: { authorization: '$TOKEN' } }, root);
    const read = { path: 'kv/range', body: { key: base64('app/a') }, headers: { authorization: '$TOKEN' } };
    let app = await Promise.all(ways.map((way) => login(way, 'app', 'word')));
    assert.equal((await compare(ways, read, app)).status, 200);
    await asRoot('auth/user/changepw', { name: 'app', password: 'new' });
    assert.equal((await compare(ways, read, app)).status, 401);
    app = await Promise.all(ways.map((way) => login(way, 'app', 'new')));
    assert.equal((await compare(ways, read, app)).status, 200);
    await asRoot('auth/user/delete', { name: 'app' });
    await compare(ways, read, app);
    await asRoot('auth/disable', {});
    assert.equal((await compare(ways, read, app)).status, 200);
  },
);

const SECURE = ({ cert, key, ca }: TlsFiles): string[] => [
  `--cert-file=${cert}`,
  `--key-file=${key}`,
  `--trusted-ca-file=${ca}`,
];

const PREFLIGHT = {
  path: 'kv/range',
  method: 'OPTIONS',
  body: '',
  headers: { origin: 'https://a.example:8443', 'access-control-request-method': 'POST' },
};

for (const version of [1, 2] as const) {
  test(`over HTTP/${version} under TLS: tokens, streams, errors, preflight`, { skip }, async (t) => {
    const folder = scratch(t);
    const files = await writeFiles(folder);
    const { cert, key } = WHO.good;
    const args = [...SECURE(files), '--cors=https://a.example:8443'];
    const { real, subject } = await startBoth(t, folder, { secure: { cert, key }, args });
    const ways = waysTo([real, subject], { version, identity: { cert, key } });
    await setUp(ways);
    for (const name of ['https://a.example:8443', 'https://b.example:8443'])
      await compare(ways, { ...PREFLIGHT, headers: { ...PREFLIGHT.headers, origin: name } });
    const tokens = await Promise.all(ways.map((way) => login(way, 'app', 'word')));
    for (const headers of [{}, { authorization: '$TOKEN' }, { authorization: 'Bearer $TOKEN' }]) {
      for (const question of kinds('app/a')) await compareKind(ways, asShown(question, headers), tokens);
    }
    const odd: Question[] = [
      { path: 'kv/range', method: 'GET', body: '' },
      { path: 'kv/nothing' },
      { path: '/v3//kv/range' },
      { path: '/v3beta/kv/range', body: { key: base64('app/a') } },
      { path: 'kv/range', body: '{x' },
      { path: 'kv/range', headers: { 'grpc-timeout': 'x' } },
      { path: '/health', method: 'GET', body: '' },
      { path: '/nothing', method: 'GET', body: '' },
    ];
    for (const question of odd) await compare(ways, question, tokens);
  });

  test(`over HTTP/${version}, names in certificates count for nothing`, { skip }, async (t) => {
    const folder = scratch(t);
    const files = await writeFiles(folder);
    const { cert, key } = WHO.good;
    const args = [...SECURE(files), '--client-cert-auth'];
    const { real, subject } = await startBoth(t, folder, { secure: { cert, key }, args });
    const named = waysTo([real, subject], { version, identity: { cert, key } });
    // Before users are asked who they are, a name does no harm.
    await setUp(named);
    const refused = await compare(named, { path: 'kv/range', body: { key: base64('app/a') } });
    assert.equal(refused.status, 400);
    assert.match(refused.body, /^CommonName of client sending a request against gateway/);
    await compare(named, { path: 'auth/authenticate', body: { name: 'root', password: 'secret' } });
    await compare(named, { path: 'kv/nothing' });
    await compare(named, { path: '/v3beta/kv/range' });
    await compare(named, { path: '/health', method: 'GET', body: '' });
    await compare(named, PREFLIGHT);
    const local = { cert: WHO.local.cert, key: WHO.local.key };
    const nameless = waysTo([real, subject], { version, identity: local });
    // Differs from etcd, which takes who sends no Accept for the user of its own certificate.
    const [theirs, ours] = await Promise.all(
      nameless.map((way) => ask(way, { path: 'kv/range', body: { key: base64('app/a') } })),
    );
    assert.match(theirs!.body, /permission denied/);
    if (isOurs) assert.match(ours!.body, /user name is empty/);
    const tokens = await Promise.all(nameless.map((way) => login(way, 'app', 'word')));
    for (const headers of [{}, { authorization: '$TOKEN' }])
      for (const question of kinds('app/a')) await compareKind(nameless, asShown(question, headers), tokens);
  });
}

test('HTTP under TLS on URLs of its own, beside client URLs for gRPC alone', { skip }, async (t) => {
  const folder = scratch(t);
  const files = await writeFiles(folder);
  const { cert, key } = WHO.good;
  const ports = await freePorts(4);
  const optionsOf = (name: string, [http, health]: number[]) => ({
    dataDir: join(folder, name),
    secure: {},
    healthUrl: `http://127.0.0.1:${health}`,
    args: [
      ...SECURE(files),
      `--listen-client-http-urls=https://127.0.0.1:${http}`,
      `--listen-metrics-urls=http://127.0.0.1:${health}`,
    ],
  });
  const real = await startEtcd('3.6', optionsOf('real', ports.slice(0, 2)));
  endAfter(t, () => real);
  const subject = await startSubject(optionsOf('subject', ports.slice(2)));
  endAfter(t, () => subject);
  const identity = { cert, key };
  const urls = [ports[0], ports[2]].map((port) => `https://127.0.0.1:${port}`);
  for (const version of [1, 2] as const) {
    const ways = urls.map((url) => ({ url, version, identity }));
    if (version === 1) await setUp(ways);
    const tokens = await Promise.all(ways.map((way) => login(way, 'root', 'secret')));
    const headers = { authorization: '$TOKEN' };
    for (const question of kinds('app/a')) await compareKind(ways, asShown(question, headers), tokens);
    await compare(ways, PREFLIGHT);
    await compare(ways, { path: '/version', method: 'GET', body: '' });
  }
  // No HTTP there; with TLS, a client that offers HTTP/1.1 alone is told so by the handshake, or not served.
  const outcomes = waysTo([real, subject], { identity }).map(async (way) => {
    const { status } = await ask(way, { path: 'kv/range' }).catch(() => ({ status: 0 }));
    return status === 200;
  });
  assert.deepEqual(await Promise.all(outcomes), [false, false]);
});

const run = promisify(execFile);

/** As etcd's page about the gateway has them, with the same keys and values; `$TOKEN` is what a login gave. */
const DOCUMENTED: readonly (readonly string[])[] = [
  ['/v3/kv/put', '-d', '{"key": "Zm9v", "value": "YmFy"}'],
  ['/v3/kv/range', '-d', '{"key": "Zm9v"}'],
  ['/v3/kv/range', '-d', '{"key": "Zm9v", "range_end": "Zm9w"}'],
  [
    '/v3/kv/txn',
    '-d',
    '{"compare":[{"target":"CREATE","key":"Zm9v","createRevision":"2"}],"success":[{"requestPut":{"key":"Zm9v","value":"YmFy"}}]}',
  ],
  [
    '/v3/kv/txn',
    '-d',
    '{"compare":[{"version":"4","result":"EQUAL","target":"VERSION","key":"Zm9v"}],"success":[{"requestRange":{"key":"Zm9v"}}]}',
  ],
  ['/v3/kv/compaction', '-d', '{"revision":"3"}'],
  ['/v3/auth/user/add', '-d', '{"name": "root", "password": "pass"}'],
  ['/v3/auth/role/add', '-d', '{"name": "root"}'],
  ['/v3/auth/user/grant', '-d', '{"user": "root", "role": "root"}'],
  ['/v3/auth/enable', '-d', '{}'],
  ['/v3/auth/authenticate', '-d', '{"name": "root", "password": "pass"}'],
  ['/v3/kv/put', '-H', 'Authorization: $TOKEN', '-d', '{"key": "Zm9v", "value": "YmFy"}'],
  ['/v3/kv/put', '-d', '{"key": "Zm9v", "value": "YmFy"}'],
];

/** By curl where it is, else by node, in its words. */
async function curl(url: string, args: readonly string[]): Promise<string> {
  const [path, ...rest] = args;
  const flags = ['-sS', '-L', '-X', 'POST', '--max-time', '10', ...rest];
  try {
    return (await run('curl', [...flags, `${url}${path}`])).stdout;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const header = rest[rest.indexOf('-H') + 1]!;
    const headers = { accept: '*/*', 'content-type': 'application/x-www-form-urlencoded' };
    const authorization = rest.includes('-H') ? { authorization: header.replace('Authorization: ', '') } : {};
    const body = rest.at(-1)!;
    return (await ask({ url }, { path: path!, body, headers: { ...headers, ...authorization } })).body;
  }
}

test("the lines of etcd's page about the gateway", { skip }, async (t) => {
  const { real, subject } = await startBoth(t, scratch(t));
  const servers = [real, subject];
  const watches = servers.map(({ endpoint }) =>
    ask({ url: endpoint }, { path: 'watch', body: '{"create_request": {"key":"Zm9v"} }', lines: 2 }),
  );
  const tokens: string[] = [];
  await new Promise((resolve) => setTimeout(resolve, 300));
  for (const line of DOCUMENTED) {
    const [expected, actual] = await Promise.all(
      servers.map(async ({ endpoint }, i) => {
        const filled = line.map((text) => text.replace('$TOKEN', tokens[i] ?? ''));
        const body = await curl(endpoint, filled);
        tokens[i] = /"token":\s?"([^"]+)"/.exec(body)?.[1] ?? tokens[i] ?? '';
        return comparable({ status: 0, headers: {}, body });
      }),
    );
    assert.deepEqual(actual, expected, line.join(' '));
  }
  const [expected, actual] = (await Promise.all(watches)).map(comparable);
  assert.deepEqual(actual, expected);
});
