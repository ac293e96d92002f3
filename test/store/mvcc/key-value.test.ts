import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CorruptError } from '../../../src/errors.ts';
import { type KeyValue, keyValue } from '../../../src/format/proto/mvccpb.ts';
import {
  encodeKeyValue,
  joinLease,
  leaseWords,
  valueOf,
  viewKeyValue,
  withoutValue,
} from '../../../src/store/mvcc/key-value.ts';

const bytes = (max: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength: max });
const revision = fc.oneof(fc.nat(300), fc.maxSafeNat());
const lease = fc.oneof(
  fc.constantFrom(0n, 1n, -1n, 127n, 128n, 2n ** 32n, 2n ** 63n - 1n),
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
);
const keyValues: fc.Arbitrary<KeyValue> = fc.record({
  key: bytes(200),
  createRevision: revision,
  modRevision: revision,
  version: revision,
  value: fc.oneof(bytes(300), fc.constantFrom(new Uint8Array(127), new Uint8Array(20_000).fill(7))),
  lease,
});

const encode = ({ lease: id, ...rest }: KeyValue): Uint8Array =>
  encodeKeyValue({ ...rest, ...leaseWords(id) });
const hex = (encoded: Uint8Array): string => Buffer.from(encoded).toString('hex');

test('is encoded as its table does', () => {
  fc.assert(
    fc.property(keyValues, (one) => assert.equal(hex(encode(one)), hex(keyValue.encode(one)))),
    { numRuns: 500 },
  );
});

test('gives its value, and all but its value', () => {
  fc.assert(
    fc.property(keyValues, (one) => {
      const encoded = encode(one);
      assert.equal(hex(valueOf(encoded)), hex(one.value));
      assert.equal(hex(withoutValue(encoded)), hex(keyValue.encode({ ...one, value: new Uint8Array() })));
      assert.equal(hex(encoded), hex(keyValue.encode(one)), 'nothing was changed');
    }),
    { numRuns: 300 },
  );
});

test('a lease is the same in one piece and in two words', () => {
  fc.assert(
    fc.property(lease, (id) => {
      const { leaseLow, leaseHigh } = leaseWords(id);
      assert.equal(joinLease(leaseLow, leaseHigh), id);
    }),
  );
});

test('one that is malformed is damage', () => {
  assert.throws(() => viewKeyValue(Uint8Array.of(0x0a, 9)), CorruptError);
});
