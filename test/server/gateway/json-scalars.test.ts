import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesOf, integerOf } from '../../../src/server/gateway/json-scalars.ts';

const numbers: Array<[text: string, value: bigint | undefined]> = [
  ['0', 0n],
  ['-0', 0n],
  ['1e3', 1000n],
  ['10.0', 10n],
  ['1.50e1', 15n],
  ['1.5', undefined],
  ['100e-2', 1n],
  ['-9223372036854775808', -(2n ** 63n)],
  ['1e400', undefined],
  ['01', undefined],
  ['', undefined],
];
for (const [text, value] of numbers) {
  test(`${JSON.stringify(text)} is ${value}`, () => assert.equal(integerOf(text), value));
}

test('a number of a million digits takes no time', () => {
  const zeros = '0'.repeat(1_000_000);
  const began = performance.now();
  assert.equal(integerOf(`0.${zeros}1`), undefined);
  assert.equal(integerOf(`1.${zeros}`), 1n);
  assert.equal(integerOf(`1${zeros}`), undefined);
  assert.ok(performance.now() - began < 1000);
});

test('base64 comes in both alphabets, padded or not', () => {
  for (const text of ['-_-_', '+/+/', '+/+/YQ==', 'YQ'])
    assert.deepEqual(bytesOf(text), Buffer.from(text, 'base64'));
  assert.equal(bytesOf('-/'), undefined);
  assert.equal(bytesOf('YQ='), undefined);
});
