import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { decodeFrame, encodeFrame, paddingOf } from '../../../src/format/wal/layout.ts';

test('a length word written is the one read', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 40 }), (length) => {
      const { low, high } = encodeFrame(length);
      assert.deepEqual(decodeFrame(low, high), { length, padding: paddingOf(length) });
      assert.equal((length + paddingOf(length)) % 8, 0);
    }),
  );
});

test('the first frame of every log', () => {
  assert.deepEqual(encodeFrame(4), { low: 4, high: 0x84000000 });
});

test('words no writer writes', () => {
  for (const [low, high] of [
    [4, 0], // unpadded, but not a multiple of 8
    [4, 0x83000000], // three bytes where four are needed
    [4, 0x04000000], // padding without the mark
    [8, 0x80000000], // a mark without padding
    [4, 0xc4000000], // a bit that has no meaning
  ] as const) {
    assert.equal(decodeFrame(low, high), undefined);
  }
});
