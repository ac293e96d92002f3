import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CorruptError } from '../../../src/errors.ts';
import type { Field, Message } from '../../../src/format/proto/field.ts';
import { compare, putRequest, rangeRequest, txnRequest } from '../../../src/format/proto/rpcpb.ts';
import { watchRequest } from '../../../src/format/proto/watchpb.ts';
import { RpcError } from '../../../src/rpc/status.ts';
import { encodeJson } from '../../../src/server/gateway/from-json.ts';
import { namesOf } from '../../../src/server/gateway/json-names.ts';
import { ROUTES } from '../../../src/server/gateway/routes.ts';
import { jsonOf } from '../../../src/server/gateway/to-json.ts';

const decode = <V>(of: Message<V>, json: string): V => of.decode(encodeJson(of, Buffer.from(json)));

function refusalOf(of: Message<unknown>, json: string): string {
  try {
    encodeJson(of, Buffer.from(json));
    return '';
  } catch (error) {
    assert.ok(error instanceof RpcError);
    return error.message;
  }
}

/** Any value of a field. */
function anyOf(field: Field): fc.Arbitrary<unknown> {
  const one = anyOne(field);
  return field.isRepeated ? fc.array(one, { maxLength: 3 }) : one;
}

function anyOne(field: Field): fc.Arbitrary<unknown> {
  switch (field.kind) {
    case 'message':
      return anyMessage(typeof field.of === 'function' ? field.of() : field.of!);
    case 'bytes':
      return fc.uint8Array({ maxLength: 20 });
    case 'text':
      return fc.string({ unit: 'binary' });
    case 'bool':
      return fc.boolean();
    case 'int64':
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    case 'uint64':
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    case 'count':
      return fc.nat({ max: Number.MAX_SAFE_INTEGER });
    case 'uint32':
      return fc.nat({ max: 2 ** 32 - 1 });
    default:
      return fc.integer({ min: -3, max: 8 });
  }
}

function anyMessage(of: Message<unknown>): fc.Arbitrary<unknown> {
  // Of a group one may be set; a transaction within one would not end.
  const isChosen = ({ group }: Field, at: number): boolean => group === undefined || at % 2 === 0;
  const fields = Object.entries(of.fields).filter(([, field], at) => isChosen(field, at));
  const groups = new Set<string>();
  const alone = fields.filter(([, { group }]) => {
    if (group === undefined) return true;
    const isFirst = !groups.has(group);
    groups.add(group);
    return isFirst;
  });
  return fc.record(Object.fromEntries(alone.map(([key, field]) => [key, anyOf(field)])), {
    requiredKeys: [],
  });
}

test('what is written is read back, for every request', () => {
  for (const { method, request } of ROUTES.values()) {
    const property = fc.property(anyMessage(request), (value) => {
      const bytes = request.encode(value as never);
      const json = jsonOf(request, bytes);
      assert.deepEqual(encodeJson(request, Buffer.from(json)), bytes, `${method} ${json}`);
      const camel = json.replaceAll(/"([a-z]+_[a-z_]+)":/g, (whole, name: string) => {
        const named = namesOf(request).byName.get(name);
        return named === undefined ? whole : `"${named.jsonName}":`;
      });
      assert.deepEqual(encodeJson(request, Buffer.from(camel)), bytes, `${method} ${camel}`);
    });
    fc.assert(property, { numRuns: 30 });
  }
});

test('whatever comes instead is read or refused, and breaks nothing', () => {
  const property = fc.property(
    fc.json({ maxDepth: 4 }),
    fc.constantFrom('compare', 'success', 'key'),
    (json, name) => {
      for (const text of [json, `{"${name}":${json}}`, `{"success":[{"request_put":${json}}]}`]) {
        try {
          encodeJson(txnRequest as Message<unknown>, Buffer.from(text));
        } catch (error) {
          assert.ok(error instanceof RpcError && !(error instanceof CorruptError), text);
        }
      }
    },
  );
  fc.assert(property, { numRuns: 500 });
});

test('names in both spellings, nulls, enums by name and number', () => {
  const read = (json: string) => decode(rangeRequest, json);
  assert.deepEqual(read('{"range_end":"Yg==","keysOnly":true}'), read('{"rangeEnd":"Yg","keys_only":true}'));
  assert.equal(read('{"sort_order":"DESCEND"}').sortOrder, 2);
  assert.equal(read('{"sortOrder":-7}').sortOrder, -7);
  assert.deepEqual(read('{"key":null,"sort_order":"SIDEWAYS","unknown":[{"key":1}]}'), read('{}'));
  const { createRequest } = decode(watchRequest, '{"create_request":{"filters":["NODELETE","NONE",0]}}');
  assert.deepEqual(createRequest?.filters, [1, 0]);
});

test('of a group one may be given, and a null is none', () => {
  const both = '{"version":1,"lease":2}';
  assert.match(
    refusalOf(compare as Message<unknown>, both),
    /oneof etcdserverpb.Compare.target_union is already set/,
  );
  assert.equal(decode(compare, '{"version":null,"lease":"2"}').lease, 2n);
  assert.match(refusalOf(compare as Message<unknown>, '{"lease":1,"lease":1}'), /duplicate field "lease"/);
});

test('bytes in both alphabets', () => {
  const read = (text: string): string =>
    Buffer.from(decode(putRequest, JSON.stringify({ key: text })).key).toString('hex');
  assert.equal(read('+/8='), 'fbff');
  assert.equal(read('-_8'), 'fbff');
  assert.equal(read('-_8=\n\n\n\n'), 'fbff');
  for (const wrong of ['-/8=', '+/8==', 'A', '=', 'A===', 'é'])
    assert.match(
      refusalOf(putRequest as Message<unknown>, JSON.stringify({ key: wrong })),
      /invalid value for bytes/,
    );
});

test('whole numbers of 64 bits', () => {
  const read = (text: string): bigint => decode(rangeRequest, `{"limit":${text}}`).limit;
  assert.equal(read('9223372036854775807'), 2n ** 63n - 1n);
  assert.equal(read('"-9223372036854775808"'), -(2n ** 63n));
  assert.equal(read('12.50e1'), 125n);
  assert.equal(read('1200e-2'), 12n);
  assert.equal(read('"7,"'), 7n);
  for (const wrong of ['9223372036854775808', '1.5', '1e30', '"1 "', '""', 'true', '15e-1', '1e99999999999'])
    assert.match(
      refusalOf(rangeRequest as Message<unknown>, `{"limit":${wrong}}`),
      /invalid value for int64/,
      wrong,
    );
});

test('where it is wrong, by line and column of characters', () => {
  const json = '{"é":"é",\n "é": 1, "limit": {}}';
  assert.equal(
    refusalOf(rangeRequest as Message<unknown>, json),
    'proto: (line 2:19): invalid value for int64 field limit: {',
  );
});

test('text that is none', () => {
  const refusal = (bytes: Buffer): string => {
    try {
      encodeJson(rangeRequest as Message<unknown>, bytes);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  const damaged = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff]), Buffer.from('"}')]);
  assert.equal(refusal(damaged), 'proto: syntax error (line 1:6): invalid UTF-8 in string');
  assert.equal(refusal(Buffer.from(String.raw`{"a":"\ud800"}`)), 'proto: unexpected EOF');
  assert.match(refusal(Buffer.from(String.raw`{"a":"\ud800 abcdefg"}`)), /invalid escape code " abcde"/);
  assert.equal(refusal(Buffer.from(String.raw`{"a":"\ud83d\ude00 \\ud800"}`)), '');
});
