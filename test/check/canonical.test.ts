import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCanonical } from '../../src/check/canonical.ts';
import { role, user } from '../../src/format/proto/authpb.ts';

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex');

const cases: Array<[what: string, message: typeof user | typeof role, bytes: string, is: boolean]> = [
  ['a user as etcd writes it', user, '0a0175 120178 1a0172 2200', true],
  ['one without options, as before 3.4', user, '0a0175 120178', true],
  ['no bytes at all', user, '', true],
  ['a role', role, '0a0172 12070802 120161 1a00', false],
  ['a role as etcd writes it', role, '0a0172 1208 0802 120161 1a0162', true],
  ['fields in another order', user, '120178 0a0175', false],
  ['an unknown field', user, '0a0175 2801', false],
  ['an unknown field in a message within', user, '0a0175 2202 1001', false],
  ['an empty field written out', user, '0a0175 1200', false],
  ['a field twice', user, '0a0174 0a0175', false],
  ['a length in two bytes', user, '0a8100 75', false],
  ['what does not decode', user, '0a05 75', false],
];
for (const [what, message, bytes, is] of cases) {
  test(`${what}: ${is}`, () => assert.equal(isCanonical(message as typeof user, hex(bytes)), is));
}

test('a defect is no damage', () => {
  const broken = { decode: () => ({}), encode: () => assert.fail('defect') };
  assert.throws(() => isCanonical(broken, new Uint8Array()), /defect/);
});
