/** Tokens that are forged, too long, signed by somebody else or by nobody: refused for their reason, while others go on. */
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Channel } from '../../src/client/channel.ts';
import { rangeRequest } from '../../src/format/proto/rpcpb.ts';
import { base64url, pairOf, pemOf, signedByNode } from '../server/auth/keys.ts';
import { scratch } from '../support/scratch.ts';
import { connections, getsIn, INVALID_TOKEN, metric, storm, TOO_MANY, withUsers } from './accounts.ts';
import { type Attacked, MB, underAttack, until } from './under-attack.ts';

const FLOOD = 5000;
const BOUNDS = { growthMb: 150, waitMs: 5000 };
const LOGIN_MS_MAX = 4000;
const RANGE = rangeRequest.encode({ key: Buffer.from('other') });

const read = (channel: Channel, token: string): Promise<Uint8Array> =>
  channel.unary('/etcdserverpb.KV/Range', RANGE, { timeoutMs: 60_000, metadata: { token } });

const refusals = (server: Attacked, reason: string): Promise<number> =>
  metric(server, `etcdkit_tokens_refused_total{reason="${reason}"}`);

/** Beside an index, of which a thousand are tried: those of all logins too. */
const LETTERS = 'abcdefghijklmnop';

test('a flood of forged simple tokens', { timeout: 60_000 }, async (t) => {
  const server = await underAttack(t, '--bcrypt-cost=4');
  await withUsers(server, ['good']);
  const hostile = await connections(server, 10);
  await server.bears(
    t,
    async () => {
      const flooding = storm(hostile, FLOOD, (channel, i) => read(channel, `${LETTERS}.${i % 1000}`));
      assert.ok((await getsIn(server, 'good')) < LOGIN_MS_MAX);
      const { counts } = await flooding;
      assert.deepEqual([...counts], [[INVALID_TOKEN, FLOOD]]);
      const shapeless = await storm(hostile, 500, (channel, i) => read(channel, `x${i}`.repeat(5000)));
      assert.deepEqual([...shapeless.counts], [[INVALID_TOKEN, 500]]);
    },
    BOUNDS,
  );
  assert.equal(await refusals(server, 'unknown'), FLOOD);
  assert.equal(await refusals(server, 'shape'), 500);
  assert.equal(await metric(server, 'etcdkit_tokens'), 2);
});

/** With signatures of the right size, so that only their check tells. */
const DEAR = { RS256: 256, ES512: 132 } as const;
type Dear = keyof typeof DEAR;

function forged(algorithm: Dear, index: number): string {
  const claims = { username: 'root', revision: 1 + index };
  const [header, payload] = ['alg', 'claims'].map((what) =>
    base64url(JSON.stringify(what === 'alg' ? { alg: algorithm, typ: 'JWT' } : claims)),
  );
  const signature = randomBytes(DEAR[algorithm]);
  // Numbers below the modulus, or the order of the curve: others need no arithmetic.
  signature[0] = 0;
  signature[66] = 0;
  return `${header}.${payload}.${signature.toString('base64url')}`;
}

async function underAttackWithJwt(t: TestContext, algorithm: Dear): Promise<Attacked> {
  const folder = scratch(t);
  const { privateKey, publicKey } = pairOf(algorithm);
  const [privateFile, publicFile] = [join(folder, 'key.private'), join(folder, 'key.public')];
  writeFileSync(privateFile, pemOf(privateKey));
  writeFileSync(publicFile, pemOf(publicKey));
  const keys = `priv-key=${privateFile},pub-key=${publicFile}`;
  return underAttack(t, '--bcrypt-cost=4', `--auth-token=jwt,${keys},sign-method=${algorithm},ttl=5m`);
}

/** Fewer than may be checked at a time. */
const UNREFUSED = 120;
/** Of ES512, each takes about a millisecond of the threads that also sync the disk. */
const FLOODS: Readonly<Record<Dear, number>> = { RS256: FLOOD, ES512: 2000 };

for (const algorithm of ['RS256', 'ES512'] as const) {
  test(`a flood of JWTs with signatures that are wrong: ${algorithm}`, { timeout: 60_000 }, async (t) => {
    const server = await underAttackWithJwt(t, algorithm);
    await withUsers(server, ['good']);
    const hostile = await connections(server, 10);
    const count = FLOODS[algorithm];
    const bad = (channel: Channel, i: number): Promise<Uint8Array> => read(channel, forged(algorithm, i));
    await server.bears(
      t,
      async () => {
        const flooding = storm(hostile, count, bad, UNREFUSED);
        await until(async () => (await refusals(server, 'signature')) > 0, 'the flood has begun');
        const tookMs = await getsIn(server, 'good');
        t.diagnostic(`${tookMs} ms to log in`);
        assert.ok(tookMs < LOGIN_MS_MAX, `${tookMs} ms to log in`);
        assert.deepEqual([...(await flooding).counts], [[INVALID_TOKEN, count]]);
        assert.equal(await refusals(server, 'signature'), count);
        const outcomes = await storm(hostile, FLOOD, bad);
        assert.equal(outcomes.count(INVALID_TOKEN) + outcomes.count(TOO_MANY), FLOOD);
        assert.ok(outcomes.count(TOO_MANY) > 0);
        assert.equal(await refusals(server, 'busy'), outcomes.count(TOO_MANY));
        assert.equal(await refusals(server, 'signature'), count + outcomes.count(INVALID_TOKEN));
        t.diagnostic(`${outcomes.count(INVALID_TOKEN)} checked, ${outcomes.count(TOO_MANY)} too many`);
      },
      BOUNDS,
    );
    assert.equal(await metric(server, 'etcdkit_tokens'), 2);
  });
}

test('who has just logged in is not taken for one of the flood', { timeout: 60_000 }, async (t) => {
  const server = await underAttackWithJwt(t, 'ES512');
  await withUsers(server, ['good']);
  const hostile = await connections(server, 10);
  const bad = (channel: Channel, i: number): Promise<Uint8Array> => read(channel, forged('ES512', i));
  await server.bears(
    t,
    async () => {
      // Always more than may be checked.
      const flooding = storm(hostile, 2 * FLOOD, bad, 1000);
      await until(async () => (await refusals(server, 'busy')) > 0, 'the flood has begun');
      for (let count = 0; count < 10; count++) await getsIn(server, 'good');
      t.diagnostic(`${await refusals(server, 'busy')} were too many when ten had logged in`);
      await flooding;
    },
    BOUNDS,
  );
});

const EACH = 500;

/** By the reason for which they are refused; each is another. */
function hostileTokens(): Record<string, (index: number) => string> {
  const publicPem = pemOf(pairOf('RS256').publicKey);
  const claims = (index: number): object => ({ username: 'root', revision: 1 + index });
  const past = Math.floor(Date.now() / 1000) - 10;
  const expired = signedByNode({ algorithm: 'RS256', claims: { ...claims(1), exp: past } });
  return {
    'algorithm none': (i) => `${base64url('{"alg":"none"}')}.${base64url(JSON.stringify(claims(i)))}.`,
    'algorithm HS256': (i) => {
      const text = `${base64url('{"alg":"HS256"}')}.${base64url(JSON.stringify(claims(i)))}`;
      return `${text}.${createHmac('sha256', publicPem).update(text).digest('base64url')}`;
    },
    'time over': () => expired,
    'shape of 20,000 characters': (i) =>
      `${base64url('{"alg":"RS256"}')}.${String(i).repeat(20_000)}`.slice(0, 20_000),
    'shape of nothing': (i) => `${i}`,
  };
}

test('JWTs of another algorithm, without one, out of date, or too long', { timeout: 60_000 }, async (t) => {
  const server = await underAttackWithJwt(t, 'RS256');
  await withUsers(server, ['good']);
  const hostile = await connections(server, 10);
  await server.bears(
    t,
    async () => {
      for (const [what, tokenOf] of Object.entries(hostileTokens())) {
        const reason = what.split(' ')[0]!;
        const before = await refusals(server, reason);
        const outcomes = await storm(hostile, EACH, (channel, i) => read(channel, tokenOf(i)));
        assert.equal(outcomes.count(INVALID_TOKEN) + outcomes.count(TOO_MANY), EACH, what);
        assert.equal((await refusals(server, reason)) - before, outcomes.count(INVALID_TOKEN), what);
      }
      assert.ok((await getsIn(server, 'good')) < LOGIN_MS_MAX);
    },
    BOUNDS,
  );
  assert.equal(await refusals(server, 'signature'), 0);
});

test('tokens of 1 MiB are headers that are too large', { timeout: 60_000 }, async (t) => {
  const server = await underAttackWithJwt(t, 'RS256');
  await withUsers(server);
  const token = forged('RS256', 1).padEnd(MB, 'A');
  const head = `POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nAuthorization: ${token}\r\nContent-Length: 2\r\n\r\n{}`;
  await server.bears(
    t,
    async () => {
      const dialled = Array.from({ length: 50 }, () => server.dial(head));
      await until(() => dialled.every(({ isClosed }) => isClosed), 'all are closed');
      assert.equal(await server.refused('headers'), 50);
      await Promise.all(Array.from({ length: 20 }, () => callWith(t, server, token)));
      await until(async () => (await server.refused('headers')) >= 70, 'those over HTTP/2 are counted');
    },
    BOUNDS,
  );
});

/** Resolves when the call has ended, which must be without an answer. */
async function callWith(t: TestContext, server: Attacked, token: string): Promise<void> {
  const session = connect(server.endpoint, { maxSendHeaderBlockLength: 2 * MB });
  session.on('error', () => {});
  t.after(() => session.destroy());
  const call = session.request({ ':method': 'POST', ':path': '/etcdserverpb.KV/Range', token });
  let status: unknown;
  call.on('response', (headers) => (status = headers[':status']));
  await new Promise<void>((resolve) => {
    call.on('error', () => {});
    call.on('close', resolve);
  });
  assert.notEqual(status, 200);
}
