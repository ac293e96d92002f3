import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Cursor, joinU64, safeNumber } from '../../src/bytes/cursor.ts';
import { Writer } from '../../src/bytes/writer.ts';

const over = (...bytes: number[]): Cursor => new Cursor(Uint8Array.from(bytes));

test('numbers of every width, in order', () => {
  const cursor = over(1, 2, 3, 4, 5, 6, 7, ...Array<number>(8).fill(0xff), 0, 0, 0, 0, 0, 0, 1, 2);
  assert.equal(cursor.u8(), 1);
  assert.equal(cursor.u16(), 0x0302);
  assert.equal(cursor.u32(), 0x07060504);
  assert.equal(cursor.u64(), 2n ** 64n - 1n);
  assert.equal(cursor.u64be(), 0x102n);
  assert.equal(cursor.remaining, 0);
});

test('what ends too early says where, counted from the start of the file', () => {
  const bytes = Uint8Array.from([1, 2, 3, 4, 5]);
  const reads: Array<(cursor: Cursor) => unknown> = [
    (cursor) => cursor.u16(),
    (cursor) => cursor.u32(),
    (cursor) => cursor.u64(),
    (cursor) => cursor.u64be(),
    (cursor) => cursor.take(2),
    (cursor) => cursor.skip(2),
    (cursor) => cursor.take(-1),
  ];
  for (const read of reads) {
    const cursor = new Cursor(bytes, { file: 'f', offset: 1000 }, 1, 4);
    cursor.skip(2);
    assert.throws(
      () => read(cursor),
      (error) => {
        const { code, where } = error as { code?: string; where?: unknown };
        assert.deepEqual({ code, where }, { code: 'bytes.truncated', where: { file: 'f', offset: 1003 } });
        return true;
      },
    );
    // A read that failed takes nothing.
    assert.equal(cursor.at, 3);
    assert.equal(cursor.u8(), 4);
  }
});

test('a part of a larger buffer, also one that is itself a view', () => {
  const whole = Uint8Array.from([9, 9, 1, 0, 0, 0, 2, 9]);
  const cursor = new Cursor(whole.subarray(1), {}, 1, 6);
  assert.equal(cursor.u32(), 1);
  const taken = cursor.take(1);
  assert.deepEqual([...taken], [2]);
  assert.equal(taken.buffer, whole.buffer);
  assert.throws(() => cursor.u8(), { code: 'bytes.truncated' });
});

test('any varint that was written is read', () => {
  const any = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.integer({ min: 0, max: 63 }).map((bit) => 1n << BigInt(bit)),
  );
  fc.assert(
    fc.property(any, (value) => {
      const bytes = new Writer().varint(value).finish();
      const cursor = new Cursor(bytes);
      assert.equal(cursor.varint(), value);
      assert.equal(cursor.remaining, 0);
      if (value <= BigInt(Number.MAX_SAFE_INTEGER))
        assert.equal(new Cursor(bytes).varintNumber(), Number(value));
      else assert.throws(() => new Cursor(bytes).varintNumber(), { code: 'bytes.range' });
    }),
  );
});

test('varints that are too long, or end too early', () => {
  const ff = (count: number, last: number): number[] => [...Array<number>(count).fill(0xff), last];
  assert.equal(over(...ff(9, 1)).varint(), 2n ** 64n - 1n);
  for (const bytes of [ff(9, 2), ff(10, 0), ff(20, 1)]) {
    assert.throws(() => new Cursor(Uint8Array.from([0, ...bytes]), { offset: 7 }, 1).varint(), {
      code: 'bytes.varint',
      where: { offset: 8 },
    });
  }
  assert.throws(() => over(0x80).varint(), { code: 'bytes.truncated' });
  assert.throws(() => over(0x80).varintNumber(), { code: 'bytes.truncated' });
  // 2^53 is the first that does not fit.
  assert.throws(() => over(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10).varintNumber(), {
    code: 'bytes.range',
  });
  assert.throws(() => over(...ff(9, 1)).varintNumber(), { code: 'bytes.range' });
  // Padded with zeros, a small one still reads.
  assert.equal(over(0x81, 0x80, 0).varint(), 1n);
  assert.equal(over(0x81, 0x80, 0).varintNumber(), 1);
});

test('a 64-bit number above 2^53 is damage', () => {
  assert.equal(joinU64(5, 0), 5);
  assert.equal(joinU64(0xffffffff, 0x1fffff), Number.MAX_SAFE_INTEGER);
  assert.throws(() => joinU64(0, 0x200000, { file: 'f' }), { code: 'bytes.range', where: { file: 'f' } });
  assert.equal(safeNumber(2n ** 53n - 1n, 'x'), Number.MAX_SAFE_INTEGER);
  assert.throws(() => safeNumber(2n ** 53n, 'the page'), {
    code: 'bytes.range',
    message: /^the page is 9007199254740992/,
  });
  assert.throws(() => safeNumber(-1n, 'x'), { code: 'bytes.range' });
});
