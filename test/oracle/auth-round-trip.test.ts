// A directory with authentication on is handed back and forth between real etcd and the server under test: at each
// stop all log in who were there before, users are added and deleted, passwords and roles change, and tokens of the
// stop before are worth what they are worth after a restart.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { verify } from '../../src/check/verify.ts';
import { Channel } from '../../src/client/channel.ts';
import { authenticateRequest, authenticateResponse } from '../../src/format/proto/auth-service.ts';
import { rangeRequest } from '../../src/format/proto/rpcpb.ts';
import { readDatabaseRows } from '../support/database-rows.ts';
import { scratch } from '../support/scratch.ts';
import { BUILT_VERSIONS, ask, etcdctl, freeMemberPorts, skipReason, startEtcd } from './etcd.ts';
import type { EtcdServer, Version } from './etcd.ts';
import { makeKeys } from './jwt-forge.ts';
import { endAfter, startSubject } from './subject.ts';

const ROOT = 'root:the password of root';
const DENIED = 'etcdserver: permission denied';
const WRONG = 'etcdserver: authentication failed, invalid user ID or password';
/** Whose passwords are worked on how hard; by the stop. */
const COST_FIRST = 4;
/** Longer than etcd takes until what was written is in its database. */
const COMMITTED_MS = 300;

/** Whose turn it is: real etcd, or the server under test. */
type Holder = 'real' | 'subject';

/** What a user is known to be able to do. */
interface Person {
  password: string;
  /** Whether the role for keys below `k/` was granted. */
  isAllowed: boolean;
  /** Of bcrypt, at the stop where the password was made. */
  cost: number;
}

/** What must be as it was when the next server has opened the directory. */
interface Expectation {
  readonly people: Map<string, Person>;
  readonly gone: string[];
  /** What was shown by a login at the stop before. */
  token?: string;
  authRevision?: string;
}

/** An answer, or why there is none. */
async function outcome(running: Promise<unknown>): Promise<string> {
  try {
    await running;
    return 'OK';
  } catch (error) {
    return (error as Error).message;
  }
}

async function call(
  server: EtcdServer,
  path: string,
  { message, token }: { message: Uint8Array; token?: string },
): Promise<Uint8Array> {
  const channel = await Channel.connect(server.endpoint);
  try {
    return await channel.unary(path, message, token === undefined ? {} : { metadata: { token } });
  } finally {
    await channel.close();
  }
}

async function logIn(server: EtcdServer, name: string, password: string): Promise<string> {
  const message = authenticateRequest.encode({ name, password });
  return authenticateResponse.decode(await call(server, '/etcdserverpb.Auth/Authenticate', { message }))
    .token;
}

function get(server: EtcdServer, key: string, token: string): Promise<string> {
  const message = rangeRequest.encode({ key: Buffer.from(key) });
  return outcome(call(server, '/etcdserverpb.KV/Range', { message, token }));
}

/** As root; before authentication is on nobody needs to be anybody. */
function asRoot(server: EtcdServer, isOn: boolean, ...args: string[]): Promise<string> {
  const target = isOn ? { ...server, user: ROOT } : server;
  return ask(target, args).then(({ stdout }) => stdout);
}

async function makePeople(server: EtcdServer, expected: Expectation): Promise<void> {
  const run = (...args: string[]): Promise<string> => asRoot(server, false, ...args);
  await run('user', 'add', ROOT);
  await run('role', 'add', 'k');
  await run('role', 'grant-permission', 'k', 'readwrite', 'k/', '--prefix');
  await run('user', 'add', 'without', '--no-password');
  await run('user', 'grant-role', 'without', 'k');
  await run('put', 'k/a', 'v');
  await run('put', 'x', 'v');
  for (const [name, isAllowed] of [
    ['ann', true],
    ['bob', false],
    ['gone', true],
  ] as const) {
    const password = `first of ${name}`;
    await run('user', 'add', `${name}:${password}`);
    if (isAllowed) await run('user', 'grant-role', name, 'k');
    expected.people.set(name, { password, isAllowed, cost: COST_FIRST });
  }
  await run('auth', 'enable');
}

/** Everybody logs in, and may what they may; nobody else does. */
async function assertPeople(server: EtcdServer, { people, gone }: Expectation): Promise<void> {
  for (const [name, { password, isAllowed }] of people) {
    const token = await logIn(server, name, password);
    assert.equal(await get(server, 'k/a', token), isAllowed ? 'OK' : DENIED, `${name} on ${server.label}`);
    assert.equal(await get(server, 'x', token), DENIED, `${name} on ${server.label}`);
    assert.equal(await outcome(logIn(server, name, `${password}.`)), WRONG, `${name} on ${server.label}`);
  }
  for (const name of gone) {
    assert.equal(await outcome(logIn(server, name, `first of ${name}`)), WRONG, `${name} on ${server.label}`);
  }
  assert.match(await outcome(logIn(server, 'without', '')), /password was given for no password user/);
  assert.match(await asRoot(server, true, 'user', 'get', 'without'), /Roles: k/);
  const { code } = await etcdctl(server.version, ['get', 'k/a', '--user=ann:wrong'], {
    endpoint: server.endpoint,
  });
  assert.notEqual(code, 0);
}

/** Changes a little of everything. */
async function changePeople(
  server: EtcdServer,
  { people, gone }: Expectation,
  { turn, cost }: { turn: number; cost: number },
): Promise<void> {
  const run = (...args: string[]): Promise<string> => asRoot(server, true, ...args);
  const name = `new-${turn}`;
  await run('user', 'add', `${name}:first of ${name}`);
  people.set(name, { password: `first of ${name}`, isAllowed: false, cost });
  const bob = people.get('bob')!;
  await run('user', bob.isAllowed ? 'revoke-role' : 'grant-role', 'bob', 'k');
  bob.isAllowed = !bob.isAllowed;
  const password = `turn-${turn}-of-ann`;
  await etcdctl(server.version, ['user', 'passwd', 'ann', '--interactive=false', `--user=${ROOT}`], {
    endpoint: server.endpoint,
    input: `${password}\n`,
  });
  people.set('ann', { password, isAllowed: true, cost });
  const leaving = turn === 1 ? 'gone' : `new-${turn - 2}`;
  if (people.delete(leaving)) {
    await run('user', 'delete', leaving);
    gone.push(leaving);
  }
}

const authRevisionOf = async (server: EtcdServer): Promise<string> =>
  /AuthRevision: \d+/.exec(await asRoot(server, true, 'auth', 'status'))![0];

/** That each password was worked on as hard as the server was told that made it. */
function assertCosts(dataDir: string, { people }: Expectation): void {
  const rows = readDatabaseRows(join(dataDir, 'member', 'snap', 'db'));
  for (const [name, { cost }] of people) {
    const row = rows.get(`authUsers/${name}`) ?? '';
    assert.match(row, new RegExp(String.raw`\$2a\$${String(cost).padStart(2, '0')}\$`), name);
  }
}

/** How a directory is passed on. */
interface Passing {
  version: Version;
  flags: readonly string[];
  /** What a token of the stop before is worth. */
  tokenOfBefore: string;
}

async function passAround(t: TestContext, dataDir: string, passing: Passing): Promise<void> {
  const { version, flags, tokenOfBefore } = passing;
  const holders: readonly Holder[] = ['real', 'subject', 'real', 'subject', 'real'];
  const ports = await freeMemberPorts();
  const expected: Expectation = { people: new Map(), gone: [] };
  let server: EtcdServer | undefined;
  endAfter(t, () => server);
  for (const [turn, holder] of holders.entries()) {
    const cost = COST_FIRST + turn;
    const options = { dataDir, ports, snapshotCount: 30, args: [...flags, `--bcrypt-cost=${cost}`] };
    server = await (holder === 'real' ? startEtcd(version, options) : startSubject(options, version));
    if (turn === 0) await makePeople(server, expected);
    else {
      assert.equal(await authRevisionOf(server), expected.authRevision, server.label);
      assert.equal(await get(server, 'k/a', expected.token!), tokenOfBefore, `the token on ${server.label}`);
    }
    await assertPeople(server, expected);
    await changePeople(server, expected, { turn, cost });
    await assertPeople(server, expected);
    expected.authRevision = await authRevisionOf(server);
    expected.token = await logIn(server, 'ann', expected.people.get('ann')!.password);
    // A login that comes last is applied once more by etcd when it starts again, and its token with it.
    await asRoot(server, true, 'put', 'x', `turn ${turn}`);
    await delay(COMMITTED_MS);
    const isKilled = turn % 2 === 1;
    await (isKilled ? server.kill() : server.stop());
    if (!isKilled) assertCosts(dataDir, expected);
    const { verdict } = await verify(dataDir);
    assert.ok(verdict.startsWith('GOOD'), `after ${server.label}: ${verdict}`);
  }
}

for (const version of BUILT_VERSIONS) {
  const skip = skipReason(version) || skipReason('3.6');
  test(
    `etcd ${version} and we hand users and passwords back and forth`,
    { skip, timeout: 180_000 },
    async (t) => {
      const tokenOfBefore = 'etcdserver: invalid auth token';
      await passAround(t, join(scratch(t), 'data'), { version, flags: [], tokenOfBefore });
    },
  );

  test(
    `what etcd ${version} or we signed is good on the other: ES256`,
    { skip, timeout: 180_000 },
    async (t) => {
      const folder = scratch(t);
      const keys = makeKeys('ES256', folder);
      const flags = [`--auth-token=jwt,priv-key=${keys.privateFile},sign-method=ES256,ttl=10m`];
      await passAround(t, join(folder, 'data'), { version, flags, tokenOfBefore: 'OK' });
    },
  );
}
