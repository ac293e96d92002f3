import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cursor } from '../../../src/bytes/cursor.ts';
import { Writer } from '../../../src/bytes/writer.ts';
import { CorruptError } from '../../../src/errors.ts';
import { readEnd, readTag, skipField, WIRE_TYPE, writeTag } from '../../../src/format/proto/wire.ts';

const cursorOf = (hex: string): Cursor =>
  new Cursor(Buffer.from(hex.replaceAll(' ', ''), 'hex'), { file: 'f', offset: 100 });

function malformedAt(offset: number) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof CorruptError);
    assert.equal(error.where?.offset, offset);
    return true;
  };
}

test('a tag written is the tag read', () => {
  for (const number of [1, 15, 16, 100, 1013, 9900, 2 ** 29 - 1]) {
    const writer = new Writer();
    writeTag(writer, number, WIRE_TYPE.bytes);
    assert.equal(readTag(new Cursor(writer.finish())) >>> 0, number * 8 + 2);
  }
});

test('field number 0 and tags beyond 32 bits are damage', () => {
  assert.throws(() => readTag(cursorOf('02')), malformedAt(100));
  assert.throws(() => readTag(cursorOf('ffffffffff01')), malformedAt(100));
});

test('every wire type can be stepped over', () => {
  for (const [tag, content] of [
    [0x08, 'ffffffffffffffffff01'],
    [0x09, '0102030405060708'],
    [0x0a, '03616263'],
    [0x0d, '01020304'],
    [0x0b, '1801 1200 130814 0c'.replace('130814', '13080114')],
  ] as const) {
    const cursor = cursorOf(`${content} ee`);
    skipField(cursor, tag);
    assert.equal(cursor.remaining, 1, `tag ${tag}`);
  }
});

test('a length beyond its container is damage before it is used', () => {
  assert.throws(() => readEnd(cursorOf('05 01')), malformedAt(100));
  assert.throws(() => readEnd(cursorOf('ffffffff7f 01')), malformedAt(100));
  assert.throws(() => skipField(cursorOf('0102'), 0x0d), malformedAt(100));
});

test('groups must end as themselves, and nest only so deep', () => {
  assert.throws(() => skipField(cursorOf('14'), 0x0b), malformedAt(101));
  assert.throws(() => skipField(cursorOf('0801'), 0x0b), malformedAt(102));
  skipField(cursorOf('0b'.repeat(5000) + '0c'.repeat(5001)), 0x0b);
  assert.throws(() => skipField(cursorOf('00'), 0x0c), /wire type 4/);
  assert.throws(() => skipField(cursorOf('00'), 0x0f), /wire type 7/);
});
