import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestIds } from '../../../src/server/start/request-ids.ts';

test('ids hold the low bits of the member, the time of the start, and a counter', () => {
  const ids = new RequestIds(0xbdae_9bbc_11dd_390dn, 0x1_9a2b_3c4d_5e6f);
  assert.equal(ids.next().toString(16), '390d2b3c4d5e6f01');
  assert.equal(ids.next().toString(16), '390d2b3c4d5e6f02');
});

test('a counter that is exhausted goes on in the time, never in the member', () => {
  const ids = new RequestIds(0xffffn, 2 ** 40 - 1);
  let last = 0n;
  for (let i = 0; i < 256; i++) last = ids.next();
  assert.equal(last, 0xffff_0000_0000_0000n);
});
