import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Cursor } from '../../src/bytes/cursor.ts';
import { setU64be, Writer } from '../../src/bytes/writer.ts';

type Step =
  | { type: 'number'; method: 'u8' | 'u16' | 'u32'; value: number }
  | { type: 'bigint'; method: 'u64' | 'u64be' | 'varint'; value: bigint }
  | { type: 'zeros'; value: number }
  | { type: 'bytes'; value: Uint8Array };

const number = (method: 'u8' | 'u16' | 'u32', max: number): fc.Arbitrary<Step> =>
  fc.nat(max).map((value) => ({ type: 'number', method, value }));
const step: fc.Arbitrary<Step> = fc.oneof(
  number('u8', 0xff),
  number('u16', 0xffff),
  number('u32', 0xffffffff),
  fc.record({
    type: fc.constant('bigint' as const),
    method: fc.constantFrom('u64' as const, 'u64be' as const, 'varint' as const),
    value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  }),
  fc.record({ type: fc.constant('zeros' as const), value: fc.nat(600) }),
  fc.record({ type: fc.constant('bytes' as const), value: fc.uint8Array({ maxLength: 700 }) }),
);

test('what is written is read back, however often the buffer grows', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(0, 1, 4, 256), (steps, capacity) => {
      const writer = new Writer(capacity);
      for (const one of steps) apply(writer, one);
      const cursor = new Cursor(writer.finish());
      for (const one of steps) assert.deepEqual(readBack(cursor, one), one.value);
      assert.equal(cursor.remaining, 0);
      assert.equal(writer.size, cursor.at);
    }),
  );
});

function apply(writer: Writer, step: Step): void {
  if (step.type === 'bytes') writer.bytes(step.value);
  else if (step.type === 'zeros') writer.zeros(step.value);
  else if (step.type === 'bigint') writer[step.method](step.value);
  else writer[step.method](step.value);
}

function readBack(cursor: Cursor, step: Step): unknown {
  if (step.type === 'bytes') return cursor.take(step.value.length).slice();
  if (step.type !== 'zeros') return cursor[step.method]();
  assert.ok(cursor.take(step.value).every((byte) => byte === 0));
  return step.value;
}

test('each write grows a buffer that is full', () => {
  const writes: Array<[(writer: Writer) => Writer, string]> = [
    [(writer) => writer.u8(0x11), '11'],
    [(writer) => writer.u16(0x2211), '1122'],
    [(writer) => writer.u32(0x44332211), '11223344'],
    [(writer) => writer.u64(1n), '0100000000000000'],
    [(writer) => writer.u64(2 ** 40), '0000000000010000'],
    [(writer) => writer.u64be(1), '0000000000000001'],
    [(writer) => writer.bytes(Uint8Array.of(1, 2, 3)), '010203'],
    [(writer) => writer.zeros(3), '000000'],
    [(writer) => writer.varint(300), 'ac02'],
    [(writer) => writer.varint(2 ** 35 + 1), '818080808001'],
    [(writer) => writer.varint(2 ** 31), '8080808008'],
    [(writer) => writer.varint(-1n), 'ffffffffffffffffff01'],
  ];
  for (const [write, expected] of writes) {
    const writer = new Writer(4).u32(0xddccbbaa);
    assert.equal(Buffer.from(write(writer).finish()).toString('hex'), `aabbccdd${expected}`);
  }
});

test('lengths are patched in afterwards; a cleared writer starts over, with clean zeros', () => {
  const writer = new Writer(4).u32(0).u8(7);
  writer.patchU32(0, writer.size);
  assert.deepEqual([...writer.view()], [5, 0, 0, 0, 7]);
  const copy = writer.finish();
  writer.clear();
  assert.equal(writer.size, 0);
  assert.deepEqual([...writer.zeros(2).view()], [0, 0]);
  assert.deepEqual([...copy], [5, 0, 0, 0, 7]);
});

test('the length of what was written comes before it, however long that is', () => {
  for (const length of [0, 1, 127, 128, 16_383, 16_384, 70_000]) {
    const writer = new Writer(4).u8(0xaa);
    const content = Uint8Array.from({ length }, (_, i) => i % 251);
    const start = writer.size;
    writer.bytes(content).prefixLength(start).u8(0xbb);
    const expected = new Writer().u8(0xaa).varint(length).bytes(content).u8(0xbb);
    assert.deepEqual(writer.finish(), expected.finish());
  }
});

test('64-bit numbers around every boundary of a byte are written as they are read', () => {
  for (let bits = 0n; bits <= 64n; bits++) {
    for (const value of [(1n << bits) - 1n, 1n << bits, (1n << bits) + 1n]) {
      if (value >> 64n !== 0n) continue;
      assert.equal(new Cursor(new Writer().varint(value).finish()).varint(), value);
    }
  }
});

test('numbers up to 2^53 are written in place, big end first', () => {
  const cases: Array<[number, string]> = [
    [0, '0000000000000000'],
    [258, '0000000000000102'],
    [2 ** 32 - 1, '00000000ffffffff'],
    [2 ** 32, '0000000100000000'],
    [2 ** 53 - 1, '001fffffffffffff'],
  ];
  for (const [value, expected] of cases) {
    const bytes = new Uint8Array(10).fill(9);
    setU64be(bytes, 1, value);
    assert.equal(Buffer.from(bytes).toString('hex'), `09${expected}09`);
  }
});
