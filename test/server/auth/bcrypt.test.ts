import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashSync } from 'bcryptjs';
import { bcryptCostOf, hasDigest, parseHash } from '../../../src/server/auth/bcrypt.ts';

const SALT = 'ccQ9rk3pir1GCmjgIRw4Ae';
const DIGEST = '07.yPCt12xTV6SNM6UjNikp1Py73Hcy';

/** Whether x/crypto 0.58.0 takes them as hashes of `pass`. */
const HASHES: Record<string, boolean> = {
  [`$2a$05$${SALT}${DIGEST}`]: true,
  [`$2b$05$${SALT}${DIGEST}`]: true,
  [`$2y$05$${SALT}${DIGEST}`]: true,
  [`$2x$05$${SALT}${DIGEST}`]: true,
  [`$2$05$${SALT}${DIGEST}`]: true,
  [`$1a$05$${SALT}${DIGEST}`]: true,
  [`$3a$05$${SALT}${DIGEST}`]: false,
  [`$2aa$05$${SALT}${DIGEST}`]: false,
  [`2a$05$${SALT}${DIGEST}xx`]: false,
  [`$2a$+5$${SALT}${DIGEST}`]: true,
  [`$2a$ 5$${SALT}${DIGEST}`]: false,
  [`$2a$5$${SALT}${DIGEST}`]: false,
  [`$2a$03$${SALT}${DIGEST}`]: false,
  [`$2a$06$${SALT}${DIGEST}`]: false,
  [`$2a$32$${SALT}${DIGEST}`]: false,
  [`$2a$05x${SALT}${DIGEST}`]: true,
  [`$2a#05$${SALT}${DIGEST}`]: true,
  [`$2a$05$${SALT}${DIGEST}\n`]: true,
  [`$2a$05$${SALT}${DIGEST}junk`]: true,
  [`$2a$05$${SALT}${DIGEST.slice(0, -1)}`]: false,
  [`$2a$05$${SALT}${DIGEST.slice(0, -2)}`]: false,
  [`$2a$05$${SALT}${DIGEST.slice(0, -1)}z`]: false,
  [`$2a$05$${SALT}${DIGEST.slice(0, -1)}!`]: false,
  [`$2a$05$${SALT.slice(0, -1)}f${DIGEST}`]: true,
  [`$2a$05$!${SALT.slice(1)}${DIGEST}`]: false,
  [`$2a$05$${SALT.slice(0, -1)}=${DIGEST}`]: false,
  '': false,
  $: false,
};

test('hashes as Go takes them', () => {
  for (const [text, matches] of Object.entries(HASHES)) {
    const hash = parseHash(text);
    assert.equal(hash !== undefined && hasDigest(hashSync('pass', hash.salt), hash), matches, text);
  }
});

test('a cost that bcrypt does not have is warned of as etcd warns, and etcd’s default is taken', () => {
  const warnings: unknown[] = [];
  const log = {
    debug() {},
    info() {},
    warn: (fields: object, message: string) => void warnings.push({ ...fields, message }),
    error() {},
  };
  for (const cost of [4, 10, 31]) assert.equal(bcryptCostOf(cost, log), cost);
  assert.deepEqual(warnings, []);
  for (const cost of [3, 32, 0, -1, 4.5, NaN]) assert.equal(bcryptCostOf(cost, log), 10);
  assert.equal(warnings.length, 6);
  assert.deepEqual(warnings[0], {
    'min-cost': 4,
    'max-cost': 31,
    'default-cost': 10,
    'given-cost': 3,
    message: 'use default bcrypt cost instead of the invalid given cost',
  });
});
