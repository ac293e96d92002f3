import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CorruptError } from '../../../src/errors.ts';
import { encodeIndex, indexOf, readRows } from '../../../src/store/schema/rows.ts';
import { buildDatabase, openBytes, type Pair, text } from '../database-builder.ts';

test('rows come in order from any number of pages, each with its place in the file', () => {
  const users = Array.from({ length: 300 }, (_, i): Pair => [
    text(`user-${1000 + i}`),
    text(`value ${i} ${'x'.repeat(i % 50)}`),
  ]);
  const bytes = buildDatabase({ buckets: { authUsers: users }, pageSize: 1024 });
  const rows = readRows(openBytes(bytes), 'authUsers');
  assert.deepEqual(
    rows.map(({ key, value }) => [Buffer.from(key), Buffer.from(value)]),
    users,
  );
  assert.ok(new Set(rows.map(({ pageId }) => pageId)).size > 10);
  for (const { key, offset, pageId } of rows) {
    assert.deepEqual(Buffer.from(bytes.subarray(offset, offset + key.length)), Buffer.from(key));
    assert.ok(Math.floor(offset / 1024) >= pageId);
  }
});

test('rows of an inline bucket have their place too', () => {
  const bytes = buildDatabase({ buckets: { members_removed: [[text('abc'), text('removed')]] } });
  const [row] = readRows(openBytes(bytes), 'members_removed');
  assert.equal(Buffer.from(bytes.subarray(row!.offset, row!.offset + 10)).toString(), 'abcremoved');
});

test('a bucket that is empty or not there has no rows', () => {
  const bolt = openBytes(buildDatabase({ buckets: { alarm: [], lease: undefined } }));
  assert.deepEqual([readRows(bolt, 'alarm'), readRows(bolt, 'lease')], [[], []]);
});

test('indexes read as they were written', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (index) => assert.equal(indexOf(encodeIndex(index), 'term'), index)),
  );
  assert.deepEqual(Buffer.from(encodeIndex(0x0102030405)), Buffer.from('0000000102030405', 'hex'));
});

const malformed: Array<[what: string, hex: string, message: RegExp]> = [
  ['empty', '', /^term is 0 bytes long, expected 8/],
  ['seven bytes', '00000000000001', /7 bytes long/],
  ['nine bytes', '000000000000000001', /9 bytes long/],
  ['2^53', '0020000000000000', /^term is 9007199254740992/],
  ['all ones', 'ffffffffffffffff', /^term is 18446744073709551615/],
];
for (const [what, hex, message] of malformed) {
  test(`an index that is malformed: ${what}`, () => {
    assert.throws(
      () => indexOf(Buffer.from(hex, 'hex'), 'term'),
      (error: unknown) => {
        assert.ok(error instanceof CorruptError);
        assert.equal(error.code, 'schema.meta');
        assert.match(error.message, message);
        return true;
      },
    );
  });
}
