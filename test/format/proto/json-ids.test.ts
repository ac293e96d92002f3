import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CorruptError } from '../../../src/errors.ts';
import { type JsonValue, parseJson, stringifyJson } from '../../../src/format/proto/json-ids.ts';

const plain = (value: JsonValue): unknown => JSON.parse(stringifyJson(value));

test('integers a number cannot hold become bigints, others numbers', () => {
  assert.equal(parseJson('9007199254740991'), 9007199254740991);
  assert.equal(parseJson('9007199254740992'), 9007199254740992n);
  assert.equal(parseJson('18446744073709551615'), 18446744073709551615n);
  assert.equal(parseJson('-9223372036854775808'), -9223372036854775808n);
  assert.equal(parseJson('1e20'), 1e20);
  assert.equal(parseJson('-0.5'), -0.5);
});

test('what JSON.parse reads, this reads alike', () => {
  fc.assert(
    fc.property(fc.json({ noUnicodeString: false }), (text) => {
      assert.deepEqual(plain(parseJson(text)), JSON.parse(JSON.stringify(JSON.parse(text))));
    }),
  );
  const spaced = ' { "a" : [ 1 , true , false , null , "\\u00e9\\n\\/" ] , "b" : { } , "c" : [ ] } ';
  assert.deepEqual(plain(parseJson(spaced)), JSON.parse(spaced));
});

test('what is not JSON is damage', () => {
  const bad = [
    '',
    '{',
    '[1,]',
    '{"a":1,}',
    '{a:1}',
    '01',
    '1.',
    '.5',
    '+1',
    'nul',
    '"',
    '"\\x"',
    '"\\u12g4"',
    '"\n"',
    '1 2',
    '[1}',
    "'a'",
    'NaN',
    '\ufeff1',
  ];
  for (const text of bad) {
    assert.throws(
      () => parseJson(text, { file: 'x' }),
      (error: unknown) => {
        assert.ok(error instanceof CorruptError, text);
        assert.equal(error.code, 'json.malformed');
        assert.equal(error.where?.file, 'x');
        return true;
      },
    );
  }
  assert.throws(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22)), /UTF-8/);
});

test('any bytes give a value or an error; depth is limited', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        parseJson(bytes);
      } catch (error) {
        assert.ok(error instanceof CorruptError);
      }
    }),
  );
  assert.throws(() => parseJson('['.repeat(100_000)), /levels/);
  assert.throws(() => parseJson('{"a":'.repeat(100_000)), /levels/);
});

test('the last of equal names counts, and __proto__ is a name', () => {
  const value = parseJson('{"a":1,"a":2,"__proto__":{"b":3}}') as Record<string, JsonValue>;
  assert.equal(value['a'], 2);
  assert.deepEqual(Object.keys(value), ['a', '__proto__']);
  assert.equal(value['b'], undefined);
});

test('text is escaped as Go escapes it', () => {
  assert.equal(
    stringifyJson('a<b>&"\\\u2028\u2029\n\r\t\u0001\u007fé'),
    String.raw`"a\u003cb\u003e\u0026\"\\\u2028\u2029\n\r\t\u0001` + '\u007fé"',
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => assert.equal(JSON.parse(stringifyJson(text)), text)),
  );
});

test('writing leaves out what is undefined and keeps the order of a map', () => {
  assert.equal(stringifyJson({ b: undefined, a: [1n, 2, 'x', null, true] }), '{"a":[1,2,"x",null,true]}');
  assert.equal(
    stringifyJson(
      new Map([
        ['20', 1],
        ['3', 2],
      ]),
    ),
    '{"20":1,"3":2}',
  );
});
