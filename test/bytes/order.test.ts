import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compareBytes, compareRuns, latin1, prefixEnd, showBytes } from '../../src/bytes/order.ts';

const short = fc.uint8Array({ maxLength: 4, max: 3 });

test('runs compare as bytes do', () => {
  const sign = Math.sign;
  fc.assert(
    fc.property(short, short, fc.nat(3), (a, b, skip) => {
      const padded = Uint8Array.from([...Array<number>(skip).fill(9), ...b, 9]);
      assert.equal(
        sign(compareRuns(a, 0, a.length, padded, skip, skip + b.length)),
        sign(compareBytes(a, b)),
      );
      assert.equal(sign(compareBytes(a, b)), sign(Buffer.compare(a, b)));
    }),
  );
  assert.ok(compareBytes(Uint8Array.of(0x80), Uint8Array.of(0x7f)) > 0);
  assert.ok(compareBytes(Uint8Array.of(1), Uint8Array.of(1, 0)) < 0);
});

test('the end of a prefix lies above all that start with it, and below all that come after', () => {
  assert.deepEqual([...prefixEnd(Uint8Array.of(1, 2))], [1, 3]);
  assert.deepEqual([...prefixEnd(Uint8Array.of(1, 0xff, 0xff))], [2]);
  assert.deepEqual([...prefixEnd(Uint8Array.of(0xff, 0xff))], []);
  assert.deepEqual([...prefixEnd(Uint8Array.of())], []);
  const any = fc.uint8Array({ maxLength: 4, min: 0xfd });
  fc.assert(
    fc.property(any, any, (prefix, key) => {
      const end = prefixEnd(prefix);
      const isInside = compareBytes(key, prefix) >= 0 && (end.length === 0 || compareBytes(key, end) < 0);
      assert.equal(isInside, Buffer.from(key).subarray(0, prefix.length).equals(prefix));
    }),
  );
});

test('a prefix is not changed by asking for its end, also when it is a Buffer', () => {
  const prefix = Buffer.from('ab');
  assert.equal(Buffer.from(prefixEnd(prefix)).toString(), 'ac');
  assert.equal(prefix.toString(), 'ab');
});

test('bytes are shown as text when they are text, as hex otherwise, and cut when they are long', () => {
  assert.equal(showBytes(Buffer.from('/registry/a b"')), '"/registry/a b\\""');
  assert.equal(showBytes(Uint8Array.of(0, 0x61)), '0x0061');
  assert.equal(showBytes(Buffer.from('é')), '0xc3a9');
  assert.equal(showBytes(Uint8Array.of()), '""');
  assert.equal(showBytes(Buffer.alloc(97, 'a')), `"${'a'.repeat(96)}"… (97 bytes)`);
});

test('latin1 holds every byte, also of a part, whatever memory the bytes lie in', () => {
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  const expected = String.fromCharCode(...all);
  for (const bytes of [all, Buffer.from(all), Buffer.concat([Buffer.from('x'), all]).subarray(1)]) {
    assert.equal(latin1(bytes), expected);
    assert.equal(latin1(bytes, 60, 250), expected.slice(60, 250));
  }
  assert.equal(latin1(Uint8Array.of(1, 255)), '\x01\xff');
  assert.equal(latin1(new Uint8Array()), '');
});
