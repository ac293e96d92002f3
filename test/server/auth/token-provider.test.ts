import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ToolError, UsageError } from '../../../src/errors.ts';
import { JwtTokens } from '../../../src/server/auth/jwt-tokens.ts';
import { SimpleTokens } from '../../../src/server/auth/simple-tokens.ts';
import { tokenProviderOf } from '../../../src/server/auth/token-provider.ts';
import type { TokenProvider } from '../../../src/server/auth/tokens.ts';
import { FakeClock } from '../fake-clock.ts';

const NOW_MS = 1_700_000_000_000;

let folder: string;
let secret: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'etcdkit-tokens-'));
  secret = join(folder, 'secret');
  writeFileSync(secret, 'secret');
});
after(() => rmSync(folder, { recursive: true }));

interface Made {
  tokens: TokenProvider;
  clock: FakeClock;
  warnings: string[];
}

function make(authToken: string): Made {
  const [clock, warnings]: [FakeClock, string[]] = [new FakeClock(), []];
  const log = {
    debug() {},
    info() {},
    warn: (fields: object, message: string) => void warnings.push(`${message} ${JSON.stringify(fields)}`),
    error() {},
  };
  const tokens = tokenProviderOf({ authToken, simpleTtlMs: 5000, clock, nowMs: () => NOW_MS, log });
  return { tokens, clock, warnings };
}

test('simple tokens, with the time to live that is given; etcd warns of them', async () => {
  for (const authToken of ['simple', 'simple,any=thing']) {
    const { tokens, clock, warnings } = make(authToken);
    assert.equal(tokens.constructor, SimpleTokens);
    assert.deepEqual(warnings, ['simple token is not cryptographically signed {}']);
    const token = await tokens.assign('alice', tokens.prefix(), { index: 3, revision: 1 });
    assert.equal(typeof (await tokens.infoOf(token, 1)), 'object');
    await clock.advance(7000);
    assert.equal(typeof (await tokens.infoOf(token, 1)), 'string');
  }
});

test('JWTs, with their options; unknown ones are warned of', async () => {
  const { tokens, warnings } = make(`jwt,sign-method=HS256,priv-key=${secret},ttl=10s,=x,foo=`);
  assert.equal(tokens.constructor, JwtTokens);
  assert.deepEqual(warnings, ['unknown JWT options {"keys":["","foo"]}']);
  const token = await tokens.assign('alice', '', { index: 3, revision: 4 });
  assert.deepEqual(JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()), {
    exp: NOW_MS / 1000 + 10,
    revision: 4,
    username: 'alice',
  });
  assert.deepEqual(await tokens.infoOf(token, 9), { username: 'alice', revision: 4 });
});

test('without a type nobody can log in', async () => {
  for (const authToken of ['', ',a=b']) {
    const { tokens } = make(authToken);
    await assert.rejects(
      async () => tokens.assign('alice', tokens.prefix(), { index: 1, revision: 1 }),
      (error) =>
        error instanceof ToolError &&
        error.message === 'auth: authentication failed, invalid user ID or password',
    );
    assert.equal(await tokens.infoOf('.1', 1), 'unknown');
    tokens.invalidate('alice');
    tokens.clear();
    tokens.close();
  }
});

test('what etcd does not take', () => {
  const jwt = `jwt,sign-method=HS256,priv-key=${secret}`;
  const refused: Record<string, RegExp> = {
    bogus: /there is no token type "bogus"/,
    JWT: /there is no token type "JWT"/,
    ' jwt': /there is no token type " jwt"/,
    jwt: /sign-method is missing/,
    'jwt,': /"" is not name=value/,
    'simple,foo': /"foo" is not name=value/,
    [`${jwt},`]: /"" is not name=value/,
    [`${jwt},ttl=1s=2`]: /"ttl=1s=2" is not name=value/,
    [`${jwt},sign-method=HS256`]: /sign-method is given twice/,
    [`${jwt},foo=1,foo=2`]: /foo is given twice/,
    [`jwt, sign-method=HS256,priv-key=${secret}`]: /sign-method is missing/,
  };
  for (const [authToken, problem] of Object.entries(refused)) {
    assert.throws(
      () => make(authToken),
      (error) =>
        error instanceof UsageError &&
        error.code === 'server.config' &&
        error.upstream === 'auth: invalid auth options' &&
        error.message.startsWith('auth: invalid auth options: ') &&
        problem.test(error.message),
      authToken,
    );
  }
});
