import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { id64, layout, u16, u32, u64 } from '../../src/bytes/layout.ts';

const SAMPLE = layout('sample', 22, { a: u16(0), b: u32(2), count: u64(6), id: id64(14) });

test('a value encoded is the one decoded, at any place of a buffer', () => {
  const value = fc.record(
    {
      a: fc.nat(0xffff),
      b: fc.nat(0xffffffff),
      count: fc.maxSafeNat(),
      id: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(value, fc.nat(9), (sample, at) => {
      const bytes = new Uint8Array(40).fill(0xee).subarray(3);
      SAMPLE.encode(sample, bytes, at);
      assert.deepEqual(SAMPLE.decode(bytes, at), sample);
      assert.ok(bytes.every((byte, i) => (i >= at && i < at + 22) || byte === 0xee));
    }),
  );
});

test('little-endian, at the offsets of the table', () => {
  const bytes = new Uint8Array(22);
  SAMPLE.encode({ a: 0x0102, b: 0x03040506, count: 7, id: 8n }, bytes);
  assert.equal(Buffer.from(bytes).toString('hex'), '02010605040307000000000000000800000000000000');
});

test('a count above 2^53 is damage, an identity is not', () => {
  const bytes = new Uint8Array(22).fill(0xff);
  assert.throws(() => SAMPLE.decode(bytes, 0, { file: 'f' }), {
    code: 'bytes.range',
    message: /^sample count is 18446744073709551615/,
    where: { file: 'f' },
  });
  bytes.fill(0, 6, 14);
  assert.equal(SAMPLE.decode(bytes).id, 2n ** 64n - 1n);
});

test('bytes that are too few', () => {
  for (const [size, at] of [
    [21, 0],
    [22, 1],
    [22, -1],
  ] as const) {
    assert.throws(() => SAMPLE.decode(new Uint8Array(size), at), { code: 'bytes.truncated' });
  }
});

test('a table with an overlap, a gap or a wrong size does not load', () => {
  assert.throws(() => layout('x', 6, { a: u32(0), b: u16(2) }), /x\.b is at 2, expected 4/);
  assert.throws(() => layout('x', 8, { a: u32(0), b: u16(6) }), /x\.b is at 6, expected 4/);
  assert.throws(() => layout('x', 8, { a: u32(0) }), /x fills 4 bytes of 8/);
});
