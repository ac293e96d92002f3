import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { RpcError, STATUS } from '../../../src/rpc/status.ts';
import { JsonCutter } from '../../../src/server/gateway/json-cutter.ts';

/** The values in a text that comes in pieces of a size. */
function cut(bytes: Uint8Array, pieceSize: number, sizeMax = 1 << 20): string[] {
  const cutter = new JsonCutter(sizeMax);
  const values: string[] = [];
  const take = (next: () => Uint8Array | undefined): void => {
    for (let value = next(); value !== undefined; value = next()) values.push(Buffer.from(value).toString());
  };
  for (let at = 0; at < bytes.length; at += pieceSize) {
    cutter.push(bytes.subarray(at, at + pieceSize));
    take(() => cutter.next());
  }
  take(() => cutter.last());
  return values;
}

const faultOf = (text: string): string => {
  try {
    cut(Buffer.from(text), 3);
    return '';
  } catch (error) {
    assert.ok(error instanceof RpcError);
    assert.equal(error.status, STATUS.invalidArgument);
    return error.message;
  }
};

test('values are cut as they were joined, whatever the pieces', () => {
  const space = fc.constantFrom('', ' ', '\n', ' \r\n\t');
  const value = fc.oneof(
    fc.json(),
    fc.json().map((json) => `[${json}]`),
  );
  const property = fc.property(
    fc.array(fc.tuple(value, space), { maxLength: 5 }),
    fc.integer({ min: 1, max: 20 }),
    (parts, pieceSize) => {
      // Between two numbers there must be something.
      const text = parts
        .map(([json, blank]) => `${json}${/[\]}"]$/.test(json) ? blank : `${blank} `}`)
        .join('');
      assert.deepEqual(
        cut(Buffer.from(text), pieceSize),
        parts.map(([json]) => json),
      );
    },
  );
  fc.assert(property, { numRuns: 500 });
});

test('what JSON.parse refuses is refused, and nothing else', () => {
  const damaged = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom(...Array.from('{}[],:"\\0159.-+eutfn x\u0001')))
    .map(([json, at, other]) => {
      const where = at % (json.length + 1);
      return `[${json.slice(0, where)}${other}${json.slice(where + 1)}]`;
    });
  const property = fc.property(damaged, (text) => {
    let isGood = true;
    try {
      JSON.parse(text);
    } catch {
      isGood = false;
    }
    // A value may be followed by anything; these begin with a bracket that only the last one closes.
    if (isGood) assert.equal(faultOf(text), '', text);
    else {
      const [first] = faultOf(text) === '' ? cut(Buffer.from(text), 3) : [];
      if (first === undefined) assert.notEqual(faultOf(text), '', text);
      else assert.doesNotThrow(() => JSON.parse(first), text);
    }
  });
  fc.assert(property, { numRuns: 2000 });
});

test('what is wrong is said as Go says it', () => {
  const byText: Record<string, string> = {
    x: "invalid character 'x' looking for beginning of value",
    '{x': "invalid character 'x' looking for beginning of object key string",
    '{"a"x': "invalid character 'x' after object key",
    '{"a":1x': "invalid character 'x' after object key:value pair",
    '[1 2': "invalid character '2' after array element",
    '["\n': String.raw`invalid character '\n' in string literal`,
    '["\u007f\u0001': String.raw`invalid character '\x01' in string literal`,
    [String.raw`["\'`]: String.raw`invalid character '\'' in string escape code`,
    [String.raw`["\u00g`]: String.raw`invalid character 'g' in \u hexadecimal character escape`,
    '[-x': "invalid character 'x' in numeric literal",
    '[1.x': "invalid character 'x' after decimal point in numeric literal",
    '[1ex': "invalid character 'x' in exponent of numeric literal",
    '[trux': "invalid character 'x' in literal true (expecting 'e')",
    é: "invalid character 'Ã' looking for beginning of value",
    '[1': 'unexpected EOF',
    '"a': 'unexpected EOF',
    '-': 'unexpected EOF',
  };
  for (const [text, fault] of Object.entries(byText)) assert.equal(faultOf(text), fault, text);
});

test('a value longer than allowed is refused when so much of it has come', () => {
  const cutter = new JsonCutter(10);
  cutter.push(Buffer.from('["12345678'));
  assert.equal(cutter.next(), undefined);
  cutter.push(Buffer.from('9'));
  assert.throws(() => cutter.next(), { status: STATUS.resourceExhausted });
});

test('white space is not kept', () => {
  const cutter = new JsonCutter(10);
  for (let i = 0; i < 1000; i++) {
    cutter.push(Buffer.from('  \n  '));
    assert.equal(cutter.next(), undefined);
  }
  assert.equal(cutter.size, 0);
});
