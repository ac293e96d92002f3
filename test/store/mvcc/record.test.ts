import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { keyValue } from '../../../src/format/proto/mvccpb.ts';
import { encodeRevision, RecordView } from '../../../src/store/mvcc/record.ts';

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex');

function decodeRevision(bytes: Uint8Array): { problem: string | undefined; record: RecordView } {
  const record = new RecordView();
  return { problem: record.decodeRevision(bytes, 0, bytes.length), record };
}

describe('revision keys', () => {
  test('decode to what was encoded, anywhere in a buffer', () => {
    const revision = fc.record({
      main: fc.maxSafeNat(),
      sub: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      isTombstone: fc.boolean(),
      before: fc.nat(40),
    });
    fc.assert(
      fc.property(revision, ({ main, sub, isTombstone, before }) => {
        const key = encodeRevision(main, sub, isTombstone);
        const bytes = new Uint8Array(before + key.length + 1).fill(0xff);
        bytes.set(key, before);
        const record = new RecordView();
        assert.equal(record.decodeRevision(bytes, before, key.length), undefined);
        assert.deepEqual([record.main, record.sub, record.isTombstone], [main, sub, isTombstone]);
      }),
    );
  });

  test('sort as bytes like their numbers', () => {
    const keys = [
      [1, 0],
      [2, 0],
      [2, 1],
      [2, 256],
      [255, 0],
      [256, 0],
      [2 ** 32, 0],
      [2 ** 40 + 1, 3],
    ].map(([main, sub]) => encodeRevision(main!, sub!));
    for (let i = 1; i < keys.length; i++) assert.ok(Buffer.compare(keys[i - 1]!, keys[i]!) < 0, `key ${i}`);
  });

  test('are the bytes etcd writes', () => {
    assert.deepEqual(Buffer.from(encodeRevision(258, 1)), hex('0000000000000102 5f 0000000000000001'));
    assert.deepEqual(Buffer.from(encodeRevision(2, 0, true)), hex('0000000000000002 5f 0000000000000000 74'));
  });

  const malformed: Array<[what: string, key: Uint8Array, problem: RegExp]> = [
    ['empty', hex(''), /has 0 bytes/],
    ['too short', encodeRevision(2, 0).subarray(0, 16), /has 16 bytes/],
    ['too long', hex(`${'00'.repeat(8)}5f${'00'.repeat(8)}7400`), /has 19 bytes/],
    ['another separator', hex(`${'00'.repeat(8)}60${'00'.repeat(8)}`), /no "_"/],
    ['another mark', hex(`${'00'.repeat(8)}5f${'00'.repeat(8)}75`), /last byte .* is not "t"/],
    ['a negative main', hex(`ff${'00'.repeat(7)}5f${'00'.repeat(8)}`), /negative or larger than 2\^53/],
    ['2^53', hex(`0020${'00'.repeat(6)}5f${'00'.repeat(8)}`), /negative or larger than 2\^53/],
    ['a negative sub', hex(`${'00'.repeat(8)}5fff${'00'.repeat(7)}`), /sub revision is negative/],
    ['a sub of 2^32', hex(`${'00'.repeat(8)}5f00000001${'00'.repeat(4)}`), /larger than 2\^32/],
  ];
  for (const [what, key, problem] of malformed) {
    test(`malformed: ${what}`, () => assert.match(decodeRevision(key).problem ?? 'accepted', problem));
  }
});

describe('values', () => {
  const count = fc.maxSafeNat();
  const kv = fc.record({
    key: fc.uint8Array({ maxLength: 300 }),
    createRevision: count,
    modRevision: count,
    version: count,
    value: fc.uint8Array({ maxLength: 300 }),
    lease: fc.oneof(fc.constant(0n), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  });

  test('decode to what the message table encodes', () => {
    const record = new RecordView();
    fc.assert(
      fc.property(kv, fc.nat(40), (value, before) => {
        const encoded = keyValue.encode(value);
        const bytes = new Uint8Array(before + encoded.length + 8).fill(0xff);
        bytes.set(encoded, before);
        assert.equal(record.decodeValue(bytes, before, before + encoded.length), undefined);
        assert.deepEqual(record.createRevision, value.createRevision);
        assert.deepEqual(record.modRevision, value.modRevision);
        assert.deepEqual(record.version, value.version);
        assert.equal(record.lease, BigInt.asUintN(64, value.lease));
        assert.equal(record.hasLease, value.lease !== 0n);
        assert.equal(record.isEmpty, encoded.length === 0);
        assert.deepEqual(bytes.slice(record.keyStart, record.keyEnd), value.key);
        assert.deepEqual(bytes.slice(record.valueStart, record.valueEnd), value.value);
      }),
    );
  });

  test('leave nothing behind for the next one', () => {
    const record = new RecordView();
    const full = keyValue.encode({
      key: Buffer.from('k'),
      createRevision: 2,
      modRevision: 3,
      version: 4,
      value: Buffer.from('v'),
      lease: -1n,
    });
    assert.equal(record.decodeValue(full, 0, full.length), undefined);
    assert.equal(record.decodeValue(full, 0, 0), undefined);
    const { createRevision, modRevision, version, lease, keyStart, keyEnd, valueStart, valueEnd } = record;
    assert.deepEqual([createRevision, modRevision, version, lease], [0, 0, 0, 0n]);
    assert.deepEqual([keyEnd - keyStart, valueEnd - valueStart, record.isEmpty], [0, 0, true]);
  });

  test('are never accepted when cut short', () => {
    const whole = keyValue.encode({
      key: Buffer.from('key'),
      createRevision: 300,
      modRevision: 300,
      version: 1,
      value: Buffer.from('v'),
    });
    const record = new RecordView();
    const boundaries = [0, 5, 8, 11, 13, whole.length];
    const accepted = Array.from({ length: whole.length + 1 }, (_, end) => end).filter(
      (end) => record.decodeValue(whole, 0, end) === undefined,
    );
    assert.deepEqual(accepted, boundaries);
  });

  const malformed: Array<[what: string, value: string, problem: RegExp]> = [
    ['field 0', '00 01', /field 0 of the value stands after field 0/],
    ['a field twice', '10 02 10 02', /field 2 .* after field 2/],
    ['fields out of order', '18 02 10 02', /field 2 .* after field 3/],
    ['an unknown field', '38 01', /unknown field 7 of wire type 0/],
    ['a tag of two bytes', '80 01 01', /unknown field 16/],
    ['a key that is a number', '08 01', /field 1 .* wire type 0/],
    ['a value of fixed size', '2d 01020304', /field 5 .* wire type 5/],
    ['a revision of fixed size', '11 0102030405060708', /unknown field 2 of wire type 1/],
    ['a lease that is bytes', '32 01 00', /unknown field 6 of wire type 2/],
    ['an empty key written out', '0a 00', /field 1 .* claims 0/],
    ['an empty value written out', '0a 01 6b 2a 00', /field 5 .* claims 0/],
    ['a key longer than the row', '0a 02 6b', /field 1 .* claims 2 of 1 bytes/],
    ['a length of 2^63', `0a ${'80'.repeat(9)}01 6b`, /field 1 .* claims 9223372036854776000 of 1/],
    ['a length cut off', '0a 80', /the length of field 1 .* is malformed/],
    ['a tag and nothing else', '10', /field 2 .* is cut off/],
    ['a zero written out', '10 00', /field 2 .* is 0/],
    ['an overlong varint', '10 81 00', /field 2 .* cut off or longer/],
    ['a varint of 65 bits', `10 ${'ff'.repeat(9)}02`, /field 2 .* cut off or longer/],
    ['a varint of eleven bytes', `10 ${'ff'.repeat(10)}01`, /field 2 .* cut off or longer/],
    ['a negative revision', `18 ${'ff'.repeat(9)}01`, /field 3 of the value is 18446744073709/],
    ['a version of 2^53', '20 80808080808080 10', /field 4 of the value is 9007199254740992/],
    ['a lease of zero written out', '30 00', /lease .* written although it is 0/],
    ['a lease of 65 bits', `30 ${'ff'.repeat(9)}02`, /field 6 .* cut off or longer/],
  ];
  for (const [what, value, problem] of malformed) {
    test(`malformed: ${what}`, () => {
      const bytes = hex(value);
      assert.match(new RecordView().decodeValue(bytes, 0, bytes.length) ?? 'accepted', problem);
    });
  }
});
