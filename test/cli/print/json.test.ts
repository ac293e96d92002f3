import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeJson, printJson } from '../../../src/cli/print/json.ts';

test('strings as encoding/json escapes them', () => {
  const known: Record<string, string> = {
    'a"b\\': String.raw`"a\"b\\"`,
    '<&>': String.raw`"\u003c\u0026\u003e"`,
    '\u2028\u2029': String.raw`"\u2028\u2029"`,
    '\n\r\t\u0001': String.raw`"\n\r\t\u0001"`,
    'ключ/日本': '"ключ/日本"',
    '\ud800x': '"\ufffdx"',
  };
  for (const [text, json] of Object.entries(known)) assert.equal(encodeJson(text), json);
});

test('values, in the order given, without blanks; or as zap has them', () => {
  const value = { b: 1, a: [true, null, 2n ** 64n - 1n], gone: undefined, c: { x: '<' } };
  assert.equal(
    encodeJson(value),
    String.raw`{"b":1,"a":[true,null,18446744073709551615],"c":{"x":"\u003c"}}`,
  );
  assert.equal(
    encodeJson(value, { isSpaced: true }),
    '{"b": 1, "a": [true, null, 18446744073709551615], "c": {"x": "<"}}',
  );
});

test('one entry is an object, several are a list', () => {
  const entry = (value: number) => [
    { json: 'n', value },
    { column: 'not in json', value },
  ];
  assert.equal(printJson({ entries: [entry(1)] }), '{"n":1}\n');
  assert.equal(printJson({ entries: [entry(1)], isList: true }), '[{"n":1}]\n');
  assert.equal(printJson({ entries: [entry(1), entry(2)] }), '[{"n":1},{"n":2}]\n');
});
