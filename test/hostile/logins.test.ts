/** Logins that are wrong, given up, too large or too many: nobody else waits for long, and who behaves gets in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Channel } from '../../src/client/channel.ts';
import * as requests from '../../src/format/proto/auth-requests.ts';
import { put } from '../support/served.ts';
import {
  addUser,
  connections,
  FAILED,
  getsIn,
  INVALID_TOKEN,
  logIn,
  metric,
  Outcomes,
  PASSWORD,
  storm,
  TOO_MANY,
  withUsers,
} from './accounts.ts';
import { MB, pause, underAttack, until } from './under-attack.ts';

const STORM = 2000;
/** More than may wait, so that whatever room there is is taken at once. */
const AT_A_TIME = 500;
const LOGINS_MAX = 128;
/** As many as fill the queue. */
const VICTIMS = Array.from({ length: 8 }, (_, i) => `victim-${i}`);
/** How long somebody else may take to log in meanwhile. */
const LOGIN_MS_MAX = 4000;
/** What a process holds after a storm, of what it had to read. */
const BOUNDS = { growthMb: 150, waitMs: 5000 };

interface Wave {
  names: (index: number) => string;
  /** Of those who log in, how many at least, and at most, are told that there are too many. */
  refused: [number, number];
}

const WAVES: Record<string, Wave> = {
  'one user': { names: () => 'victim-0', refused: [STORM - 300, STORM - 16] },
  'two thousand users, few of whom exist': { names: (i) => `victim-${i}`, refused: [0, 0] },
  'as many users as fill the queue': {
    names: (i) => VICTIMS[i % VICTIMS.length]!,
    refused: [STORM - 700, STORM - LOGINS_MAX + 5],
  },
};

for (const [what, { names, refused }] of Object.entries(WAVES)) {
  const begins = refused[1] > 0 ? 'etcdkit_password_jobs_refused_total' : 'etcdkit_logins_failed_total';
  test(`a storm of wrong logins for ${what}`, { timeout: 60_000 }, async (t) => {
    const server = await underAttack(t, '--bcrypt-cost=8');
    await withUsers(server, ['good', ...VICTIMS]);
    const hostile = await connections(server, 50);
    let outcomes = new Outcomes();
    let tookMs = 0;
    await server.bears(
      t,
      async () => {
        let isOver = false;
        const wrong = (channel: Channel, i: number): Promise<string> =>
          logIn(channel, names(i), { password: 'no' });
        const storming = storm(hostile, STORM, wrong, AT_A_TIME).finally(() => (isOver = true));
        await until(async () => (await metric(server, begins)) > 0, 'it has begun');
        for (let i = 0; i < 5 && !isOver; i++) tookMs = Math.max(tookMs, await getsIn(server, 'good'));
        outcomes = await storming;
      },
      BOUNDS,
    );
    t.diagnostic(`${tookMs} ms to log in; ${JSON.stringify(Object.fromEntries(outcomes.counts))}`);
    assert.ok(tookMs > 0 && tookMs < LOGIN_MS_MAX, `${tookMs} ms to log in`);
    assert.equal(outcomes.count(FAILED) + outcomes.count(TOO_MANY), STORM);
    const [least, most] = refused;
    assert.ok(outcomes.count(TOO_MANY) >= least && outcomes.count(TOO_MANY) <= most);
    assert.equal(await metric(server, 'etcdkit_logins_failed_total'), outcomes.count(FAILED));
    assert.equal(await metric(server, 'etcdkit_password_jobs_refused_total'), outcomes.count(TOO_MANY));
    assert.equal(await metric(server, 'etcdkit_password_jobs'), 0);
    const lines = server.log().match(/invalid authentication was requested/g)!.length;
    assert.ok(lines <= 150, `${lines} lines in the log`);
  });
}

test('logins that are given up at once', { timeout: 60_000 }, async (t) => {
  const server = await underAttack(t, '--bcrypt-cost=8');
  await withUsers(server, ['good', ...VICTIMS]);
  const hostile = await connections(server, 20);
  let tookMs = 0;
  await server.bears(
    t,
    async () => {
      const storming = (async () => {
        for (let round = 0; round < 20; round++) await giveUpAll(hostile);
      })();
      tookMs = await getsIn(server, 'good');
      await storming;
      // One may be running; all others would take longer.
      await until(async () => (await metric(server, 'etcdkit_password_jobs')) === 0, 'no job is left', 1500);
    },
    BOUNDS,
  );
  t.diagnostic(`${tookMs} ms to log in`);
  assert.ok(tookMs < LOGIN_MS_MAX, `${tookMs} ms to log in`);
  assert.ok((await metric(server, 'etcdkit_cancelled_streams_total')) >= 1000);
});

/** Two hundred logins that wait for their turn, or are refused. */
async function giveUpAll(hostile: readonly Channel[]): Promise<void> {
  const giveUps: AbortController[] = [];
  const calls = storm(hostile, 200, (channel, i) => {
    const giveUp = new AbortController();
    giveUps.push(giveUp);
    return logIn(channel, VICTIMS[i % VICTIMS.length]!, giveUp);
  });
  await pause(20);
  for (const giveUp of giveUps) giveUp.abort();
  await calls;
}

test('names and passwords of 1 MiB, and passwords of more than 72 bytes', { timeout: 60_000 }, async (t) => {
  const server = await underAttack(t, '--bcrypt-cost=8');
  const root = await withUsers(server);
  await addUser(root, 'longest', 'x'.repeat(72));
  const hostile = await connections(server, 10);
  const large = 'x'.repeat(MB);
  await server.bears(
    t,
    async () => {
      const began = performance.now();
      const names = await storm(hostile, 100, (channel) => logIn(channel, large));
      const passwords = await storm(hostile, 100, (channel) => logIn(channel, 'root', { password: large }));
      const longer = await storm(hostile, 100, (channel) =>
        logIn(channel, 'longest', { password: 'x'.repeat(73) }),
      );
      for (const { counts } of [names, passwords, longer]) assert.deepEqual([...counts], [[FAILED, 100]]);
      t.diagnostic(`${Math.round(performance.now() - began)} ms for 300 logins`);
      assert.equal(await metric(server, 'etcdkit_password_jobs'), 0);
    },
    { ...BOUNDS, growthMb: 300 },
  );
  await assert.rejects(addUser(root, 'longer', 'x'.repeat(73)), { message: /exceeds 72 bytes/ });
  assert.ok(await logIn(hostile[0]!, 'longest', { password: 'x'.repeat(72) }));
  assert.equal(await metric(server, 'etcdkit_logins_failed_total'), 300);
  assert.equal(await metric(server, 'etcdkit_password_jobs_refused_total'), 0);
  assert.ok(server.log().length < MB, `${server.log().length} bytes of log`);
});

/** One of them takes about as long as a thousand of those that cost no bcrypt. */
const DEAR = '--bcrypt-cost=12';

test('users that are added by nobody, or by who may not, cost no bcrypt', { timeout: 60_000 }, async (t) => {
  const server = await underAttack(t, DEAR);
  await withUsers(server, ['poor']);
  const token = await logIn(await server.connect(), 'poor');
  const hostile = await connections(server, 10);
  const add = (channel: Channel, name: string, metadata: Record<string, string> = {}): Promise<unknown> =>
    channel.unary(
      '/etcdserverpb.Auth/UserAdd',
      requests.authUserAddRequest.encode({ name, password: PASSWORD }),
      { metadata },
    );
  await server.bears(
    t,
    async () => {
      const [nobody, poor, forged] = await Promise.all([
        storm(hostile, STORM, (channel, i) => add(channel, `a${i}`)),
        storm(hostile, STORM, (channel, i) => add(channel, `b${i}`, { token })),
        storm(hostile, STORM, (channel, i) => add(channel, `c${i}`, { token: `x.${i}` })),
      ]);
      assert.deepEqual([...nobody.counts], [['etcdserver: user name is empty', STORM]]);
      assert.deepEqual([...poor.counts], [['etcdserver: permission denied', STORM]]);
      assert.deepEqual([...forged.counts], [[INVALID_TOKEN, STORM]]);
      assert.equal(await metric(server, 'etcdkit_password_jobs'), 0);
    },
    BOUNDS,
  );
  assert.equal(await metric(server, 'etcdkit_password_jobs_refused_total'), 0);
  assert.equal(await metric(server, 'etcdkit_tokens_refused_total{reason="unknown"}'), STORM);
  const denied =
    'grpc_server_handled_total{grpc_type="unary",grpc_service="etcdserverpb.Auth",grpc_method="UserAdd"';
  assert.equal(await metric(server, `${denied},grpc_code="PermissionDenied"}`), STORM);
  await put(await server.connect({ metadata: { token: await logIn(hostile[0]!, 'root') } }), 'a', 'b');
});
