import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fnv64 } from '../../src/bytes/fnv64.ts';
import { readFixture } from '../support/fixtures.ts';

test('known values', () => {
  assert.equal(fnv64(Buffer.from('')), 0xcbf29ce484222325n);
  assert.equal(fnv64(Buffer.from('a')), 0xaf63dc4c8601ec8cn);
  assert.equal(fnv64(Buffer.from('foobar')), 0x85944171f73967e8n);
  assert.equal(fnv64(Buffer.from('xfoobarx'), 1, 7), 0x85944171f73967e8n);
});

test('the checksum of a meta that bbolt wrote', () => {
  const page = readFixture('bbolt/init.db');
  assert.equal(fnv64(page, 16, 72), page.readBigUInt64LE(72));
});
