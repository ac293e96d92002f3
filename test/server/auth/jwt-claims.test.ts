import assert from 'node:assert/strict';
import { test } from 'node:test';
import { claimsOf, isTimely } from '../../../src/server/auth/jwt-claims.ts';
import { base64url } from './keys.ts';

const tokenOf = (payload: string): string => `${base64url('{"alg":"HS256"}')}.${base64url(payload)}.AAAA`;
const withClaim = (claim: string): string => tokenOf(`{"username":"u","revision":3${claim && `,${claim}`}}`);

/** What golang-jwt 5.3.1 says of the same tokens when the clock shows 100 seconds. */
const TIMES: Record<string, boolean> = {
  '': true,
  '"exp":101': true,
  '"exp":100': false,
  '"exp":101.9': true,
  '"exp":100.9': false,
  '"exp":0': true,
  '"exp":-0': true,
  '"exp":0.5': false,
  '"exp":-1': false,
  '"exp":1e18': true,
  '"exp":1e300': false,
  '"exp":1e999': false,
  '"exp":"101"': false,
  '"exp":null': false,
  '"exp":true': false,
  '"nbf":100': true,
  '"nbf":100.9': true,
  '"nbf":101': false,
  '"nbf":0': true,
  '"nbf":-5': true,
  '"nbf":"x"': false,
  '"nbf":null': false,
  '"iat":5000': true,
  '"iat":"x"': true,
  '"iss":3': true,
  '"sub":3': true,
  '"aud":3': true,
};

test('when a token is valid', () => {
  for (const [claim, isValid] of Object.entries(TIMES)) {
    const claims = claimsOf(withClaim(claim));
    assert.equal(claims !== undefined && isTimely(claims, 100_000), isValid, claim);
  }
});

test('an nbf that no clock reaches is refused, where Go wraps around', () => {
  assert.equal(claimsOf(withClaim('"nbf":1e300')), undefined);
});

test('whose a token is, and of which revision', () => {
  const valid: Record<string, { username: string; revision: number }> = {
    '{"username":"u","revision":3}': { username: 'u', revision: 3 },
    '{"username":"","revision":0}': { username: '', revision: 0 },
    '{"username":"u","revision":3.9}': { username: 'u', revision: 3 },
    '{"username":"a","username":"u","revision":3} ': { username: 'u', revision: 3 },
    '{"username":"\\u0075\u00fc","revision":3e0}': { username: 'uü', revision: 3 },
  };
  for (const [payload, info] of Object.entries(valid))
    assert.deepEqual(claimsOf(tokenOf(payload))?.info, info, payload);
});

test('what is no token of etcd', () => {
  const payloads = [
    '',
    'null',
    '[]',
    '"x"',
    '{}',
    '{"username":"u","revision":3',
    '{"username":"u","revision":3}x',
    "{'username':'u','revision':3}",
    '\uFEFF{"username":"u","revision":3}',
    '{"revision":3}',
    '{"username":3,"revision":3}',
    '{"username":null,"revision":3}',
    '{"Username":"u","revision":3}',
    '{"__proto__":{"username":"u","revision":3}}',
    '{"username":"u"}',
    '{"username":"u","revision":"3"}',
    '{"username":"u","revision":true}',
    '{"username":"u","revision":1e999}',
    '{"username":"u","revision":-1}',
    '{"username":"u","revision":9007199254740992}',
  ];
  for (const payload of payloads) assert.equal(claimsOf(tokenOf(payload)), undefined, payload);
  const good = tokenOf('{"username":"u","revision":3}');
  const [header, payload, signature] = good.split('.');
  for (const token of [
    '',
    '.',
    '..',
    `${header}.${payload}`,
    `${good}.`,
    `${good}=`,
    ` ${good}`,
    `${good}\n`,
  ])
    assert.equal(claimsOf(token), undefined, JSON.stringify(token));
  assert.equal(claimsOf(`${header}.${payload}=.${signature}`), undefined);
});
