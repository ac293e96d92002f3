import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import portable from 'crc-32/crc32c.js';
import { BackwardCrc32c, crc32c } from '../../src/bytes/crc32c.ts';

const text = (value: string): Uint8Array => Buffer.from(value);

test('known values', () => {
  assert.equal(crc32c(text('123456789')), 0xe3069283);
  assert.equal(crc32c(text('')), 0);
  assert.equal(crc32c(text(''), 0x12345678), 0x12345678);
  // RFC 3720, B.4.
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
});

test('long runs, which the native version takes where it is, give what the portable one gives', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4000, size: 'max' }), fc.nat(0xffffffff), (bytes, seed) => {
      assert.equal(crc32c(bytes, seed), portable.buf(bytes, seed) >>> 0);
    }),
  );
});

test('it rolls: any cut gives the same, and a range is its part', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 3000, size: 'max' }), fc.nat(), (bytes, cut) => {
      const at = cut % bytes.length;
      const whole = crc32c(bytes);
      assert.equal(crc32c(bytes.subarray(at), crc32c(bytes.subarray(0, at))), whole);
      assert.equal(crc32c(bytes, crc32c(bytes, 0, 0, at), at), whole);
      assert.equal(crc32c(bytes, 7, at, bytes.length), crc32c(bytes.slice(at), 7));
    }),
  );
});

test('the last run first: the same as forward, also beyond what 16 bits count', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 700, size: 'max' }), { maxLength: 12 }), (runs) => {
      const backward = new BackwardCrc32c();
      for (const run of runs.toReversed()) backward.prepend(run);
      assert.equal(backward.value, crc32c(Buffer.concat(runs)));
    }),
  );
  const long = Uint8Array.from({ length: 3 * 65_536 + 77 }, (_, i) => (i * 31) >>> 3);
  for (const cut of [0, 1, 255, 256, 65_535, 65_536, 65_537, long.length]) {
    const backward = new BackwardCrc32c();
    backward.prepend(long, cut);
    backward.prepend(long, 0, cut);
    assert.equal(backward.value, crc32c(long), String(cut));
  }
});
