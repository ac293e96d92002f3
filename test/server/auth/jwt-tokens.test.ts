import assert from 'node:assert/strict';
import { createHmac, createPublicKey, createSecretKey } from 'node:crypto';
import { test } from 'node:test';
import { jwtVerify, SignJWT } from 'jose';
import { ToolError } from '../../../src/errors.ts';
import { JWT_ALGORITHMS, type JwtAlgorithm } from '../../../src/server/auth/jwt-options.ts';
import { JwtTokens, type JwtTokensOptions } from '../../../src/server/auth/jwt-tokens.ts';
import type { AuthInfo, TokenRefusal } from '../../../src/server/auth/tokens.ts';
import { GO_EXPIRY_MS, GO_PUBLIC_KEYS, GO_SECRET, GO_TOKENS } from './go-tokens.ts';
import { base64url, keysOf, OTHER_RSA_PAIR, pairOf, pemOf, RSA_PAIR, SECRET, signedByNode } from './keys.ts';

const NOW_MS = 1_700_000_000_000;
const NOW = NOW_MS / 1000;
const POINT = { index: 12, revision: 5 };
const CLAIMS = { username: 'alice', revision: 5, exp: NOW + 60 };

interface Bench {
  tokens: JwtTokens;
  time: { ms: number };
}

function bench(algorithm: JwtAlgorithm, options: Partial<JwtTokensOptions> = {}): Bench {
  const time = { ms: NOW_MS };
  const keys = keysOf(algorithm);
  const tokens = new JwtTokens({ algorithm, keys, ttlMs: 300_000, nowMs: () => time.ms, ...options });
  return { tokens, time };
}

function payloadOf(token: string): unknown {
  return JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
}

for (const algorithm of JWT_ALGORITHMS) {
  const alice = { username: 'alice', revision: 5 };

  test(`${algorithm}: a token of ours is taken, by us and by others`, async () => {
    const { tokens } = bench(algorithm);
    assert.equal(tokens.prefix(), '');
    const token = await tokens.assign('alice', '', POINT);
    assert.deepEqual(payloadOf(token), { exp: NOW + 300, revision: 5, username: 'alice' });
    assert.deepEqual(await tokens.infoOf(token), alice);
    const { payload, protectedHeader } = await jwtVerify(token, pairOf(algorithm).publicKey, {
      currentDate: new Date(NOW_MS),
    });
    assert.equal(payload['username'], 'alice');
    assert.deepEqual(protectedHeader, { alg: algorithm, typ: 'JWT' });
  });

  test(`${algorithm}: a token that another signed is taken`, async () => {
    const byJose = await new SignJWT({ username: 'alice', revision: 5 })
      .setProtectedHeader({ alg: algorithm })
      .setExpirationTime(NOW + 60)
      .sign(pairOf(algorithm).privateKey);
    assert.deepEqual(await bench(algorithm).tokens.infoOf(byJose), alice);
    const byNode = signedByNode({ algorithm, claims: CLAIMS });
    assert.deepEqual(await bench(algorithm).tokens.infoOf(byNode), alice);
  });

  test(`${algorithm}: a token that Go signed is taken until its last millisecond`, async () => {
    const keyName =
      { ES256: 'p256', ES384: 'p384', ES512: 'p521', EdDSA: 'ed' }[algorithm as string] ?? 'rsa';
    const verify = algorithm.startsWith('HS')
      ? createSecretKey(Buffer.from(GO_SECRET))
      : createPublicKey(GO_PUBLIC_KEYS[keyName as keyof typeof GO_PUBLIC_KEYS]);
    const { tokens, time } = bench(algorithm, { keys: { verify, sign: undefined } });
    time.ms = GO_EXPIRY_MS - 1;
    assert.deepEqual(await tokens.infoOf(GO_TOKENS[algorithm]), { username: 'go', revision: 7 });
    time.ms = GO_EXPIRY_MS;
    assert.equal(await tokens.infoOf(GO_TOKENS[algorithm]), 'time');
  });

  test(`${algorithm}: a token with any bit of its signature changed is refused`, async () => {
    const { tokens } = bench(algorithm);
    const token = signedByNode({ algorithm, claims: CLAIMS });
    const [header, payload, signature] = token.split('.');
    for (const position of [0, 7, -1]) {
      const bytes = Buffer.from(signature!, 'base64url');
      const at = position < 0 ? bytes.length - 1 : position;
      bytes[at] = bytes[at]! ^ 1;
      assert.equal(await tokens.infoOf(`${header}.${payload}.${bytes.toString('base64url')}`), 'signature');
    }
    assert.equal(tokens.count, 0);
  });

  test(`${algorithm}: a token of another algorithm, though of the right key, is refused`, async () => {
    const { tokens } = bench(algorithm);
    for (const other of JWT_ALGORITHMS.filter((one) => one !== algorithm)) {
      const token = signedByNode({ algorithm: other, claims: CLAIMS });
      assert.equal(await tokens.infoOf(token), 'algorithm', other);
      const disguised = signedByNode({ algorithm: other, claims: CLAIMS, header: { alg: algorithm } });
      assert.equal(await tokens.infoOf(disguised), 'signature', `${other} as ${algorithm}`);
    }
  });
}

test('tokens that are hostile are refused', async () => {
  const good = signedByNode({ algorithm: 'RS256', claims: CLAIMS });
  const [header, payload, signature] = good.split('.');
  const publicPem = pemOf(RSA_PAIR.publicKey);
  const confused = `${base64url('{"alg":"HS256"}')}.${payload}`;
  const hmacByPublicKey = createHmac('sha256', publicPem).update(confused).digest('base64url');
  const withHeader = (extra: object): string =>
    signedByNode({ algorithm: 'RS256', claims: CLAIMS, header: { alg: 'RS256', ...extra } });
  const hostile: Record<string, string> = {
    'no algorithm': `${base64url('{"alg":"none"}')}.${payload}.`,
    'no algorithm, with a signature': `${base64url('{"alg":"none"}')}.${payload}.${signature}`,
    'the public key as a secret': `${confused}.${hmacByPublicKey}`,
    'the key of another': signedByNode({
      algorithm: 'RS256',
      claims: CLAIMS,
      key: OTHER_RSA_PAIR.privateKey,
    }),
    'its own key': signedByNode({
      algorithm: 'RS256',
      claims: CLAIMS,
      key: OTHER_RSA_PAIR.privateKey,
      header: { alg: 'RS256', kid: '1', jwk: OTHER_RSA_PAIR.publicKey.export({ format: 'jwk' }) },
    }),
    'an extension that must be understood': withHeader({ crit: ['x'], x: 1 }),
    'cut by a character': good.slice(0, -1),
    'without signature': `${header}.${payload}.`,
    'without its last part': `${header}.${payload}`,
    'four parts': `${good}.AA`,
    padded: `${good}=`,
    'white space': ` ${good}`,
    empty: '',
    dots: '..',
  };
  for (const [what, token] of Object.entries(hostile)) {
    const { tokens } = bench('RS256');
    assert.match((await tokens.infoOf(token)) as string, /^(?:shape|algorithm|signature)$/, what);
    assert.equal(tokens.count, 0, what);
  }
  assert.deepEqual(await bench('RS256').tokens.infoOf(withHeader({ kid: '../../key' })), {
    username: 'alice',
    revision: 5,
  });
});

test('a token that is too long, past its time or not for now is refused without looking at its signature', () => {
  const { tokens } = bench('HS256', { checksMax: 0 });
  const refused: [TokenRefusal, string][] = [
    ['shape', 'x'.repeat(1 << 20)],
    ['shape', signedByNode({ algorithm: 'HS256', claims: { ...CLAIMS, padding: 'x'.repeat(1 << 20) } })],
    ['time', signedByNode({ algorithm: 'HS256', claims: { ...CLAIMS, exp: NOW } })],
    ['time', signedByNode({ algorithm: 'HS256', claims: { ...CLAIMS, exp: NOW - 1 } })],
    ['time', signedByNode({ algorithm: 'HS256', claims: { ...CLAIMS, nbf: NOW + 1 } })],
    ['shape', signedByNode({ algorithm: 'HS256', claims: { ...CLAIMS, username: 1 } })],
    ['shape', signedByNode({ algorithm: 'HS256', claims: { ...CLAIMS, revision: '5' } })],
  ];
  for (const [reason, token] of refused) assert.equal(tokens.infoOf(token), reason);
});

test('only the first request with a token waits; others meanwhile share its check', async () => {
  const { tokens } = bench('ES256');
  const token = signedByNode({ algorithm: 'ES256', claims: CLAIMS });
  const first = tokens.infoOf(token);
  assert.ok(first instanceof Promise);
  assert.equal(tokens.infoOf(token), first);
  const info = await first;
  assert.deepEqual(tokens.infoOf(token), info);
  assert.equal(tokens.count, 1);
  tokens.clear();
  assert.ok(tokens.infoOf(token) instanceof Promise);
});

test('what is known does not outlive the token, and comes not before it, whatever the clock does', async () => {
  const { tokens, time } = bench('HS256');
  const token = signedByNode({ algorithm: 'HS256', claims: { ...CLAIMS, nbf: NOW - 10 } });
  assert.equal(typeof (await tokens.infoOf(token)), 'object');
  time.ms = (NOW - 10) * 1000 - 1;
  assert.equal(tokens.infoOf(token), 'time', 'a clock set back to before nbf');
  time.ms = NOW_MS;
  assert.equal(typeof tokens.infoOf(token), 'object');
  time.ms = (NOW + 60) * 1000 - 1;
  assert.equal(typeof tokens.infoOf(token), 'object', 'the last millisecond');
  time.ms++;
  assert.equal(tokens.infoOf(token), 'time', 'a millisecond later');
  assert.equal(tokens.count, 0);
  time.ms = NOW_MS;
  assert.equal(typeof (await tokens.infoOf(token)), 'object', 'a clock set back, as with etcd');
});

test('a token that expires while it is checked is refused', async () => {
  const { tokens, time } = bench('RS256');
  const answer = tokens.infoOf(signedByNode({ algorithm: 'RS256', claims: CLAIMS }));
  time.ms = CLAIMS.exp * 1000;
  assert.equal(await answer, 'time');
});

test('what is known has a bound, and the oldest goes first', async () => {
  const { tokens } = bench('HS256', { knownMax: 2 });
  const three = ['a', 'b', 'c'].map((username) =>
    signedByNode({ algorithm: 'HS256', claims: { ...CLAIMS, username } }),
  );
  for (const token of three) assert.equal(typeof (await tokens.infoOf(token)), 'object');
  assert.equal(tokens.count, 2);
  assert.ok(tokens.infoOf(three[0]!) instanceof Promise);
  assert.equal((tokens.infoOf(three[2]!) as { username: string }).username, 'c');
});

test('more checks at one time than there may be are refused, and known tokens are not', async () => {
  const { tokens } = bench('HS256', { checksMax: 2 });
  const [known, ...others] = ['k', 'a', 'b', 'c'].map((username) =>
    signedByNode({ algorithm: 'HS256', claims: { ...CLAIMS, username } }),
  );
  await tokens.infoOf(known!);
  const running = others.slice(0, 2).map(async (token) => tokens.infoOf(token));
  assert.equal(tokens.infoOf(others[2]!), 'busy');
  assert.equal(typeof tokens.infoOf(known!), 'object');
  assert.deepEqual(
    (await Promise.all(running)).map((info) => (info as AuthInfo).username),
    ['a', 'b'],
  );
  assert.equal(typeof (await tokens.infoOf(others[2]!)), 'object');
});

test('with the public key alone, tokens are read and none is made', async () => {
  const { publicKey } = pairOf('ES256');
  const { tokens } = bench('ES256', { keys: { verify: publicKey, sign: undefined } });
  assert.equal(typeof (await tokens.infoOf(signedByNode({ algorithm: 'ES256', claims: CLAIMS }))), 'object');
  await assert.rejects(
    async () => tokens.assign('alice', '', POINT),
    (error) =>
      error instanceof ToolError &&
      error.code === 'server.token' &&
      error.message === 'auth: token signing attempted with verify-only key',
  );
});

test('a secret is taken as it is, of any length and with its line end', async () => {
  const claims = CLAIMS;
  for (const text of ['s', `${SECRET}\n`, 'x'.repeat(500), '\0\u00ff']) {
    const secret = createSecretKey(Buffer.from(text));
    const { tokens } = bench('HS512', { keys: { verify: secret, sign: secret } });
    assert.equal(
      typeof (await tokens.infoOf(signedByNode({ algorithm: 'HS512', claims, key: secret }))),
      'object',
    );
    assert.equal(await tokens.infoOf(signedByNode({ algorithm: 'HS512', claims })), 'signature');
  }
});

test('a user who is deleted keeps a token that says the revision it is of, as with etcd', async () => {
  const { tokens } = bench('HS256');
  const token = await tokens.assign('alice', '', POINT);
  tokens.invalidate('alice');
  assert.deepEqual(await tokens.infoOf(token), { username: 'alice', revision: POINT.revision });
  tokens.close();
});

test('a token that was made here is known at once, however many others are being checked', async () => {
  const { tokens } = bench('RS256', { checksMax: 0 });
  const token = await tokens.assign('alice', '', POINT);
  assert.deepEqual(tokens.infoOf(token), { username: 'alice', revision: POINT.revision });
  assert.equal(tokens.count, 1);
});
