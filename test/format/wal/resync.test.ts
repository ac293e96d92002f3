import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource } from '../../../src/bytes/source.ts';
import { Writer } from '../../../src/bytes/writer.ts';
import { RECORD_TYPE } from '../../../src/format/wal/layout.ts';
import { findFrame } from '../../../src/format/wal/resync.ts';
import { encodeRecord } from '../../../src/format/wal/writer.ts';

/** Where the frames of a log of `count` records are, behind `lead` bytes of noise. */
function build(lead: number, count: number): { bytes: Uint8Array; offsets: number[] } {
  const writer = new Writer();
  for (let i = 0; i < lead; i++) writer.u8((i * 7 + 3) & 0xff);
  const offsets: number[] = [];
  let crc = 12345;
  for (let i = 0; i < count; i++) {
    offsets.push(writer.size);
    crc = encodeRecord(writer, { type: RECORD_TYPE.entry, data: new Uint8Array(50 + i).fill(i), crc });
  }
  return { bytes: writer.finish(), offsets };
}

test('the next frame is found, wherever the search begins', () => {
  const { bytes, offsets } = build(64, 5);
  const source = new MemorySource(bytes);
  assert.equal(findFrame(source, 0), offsets[0]);
  assert.equal(findFrame(source, offsets[0]! + 1), offsets[1]);
  assert.equal(findFrame(source, offsets[4]!), offsets[4]);
  assert.equal(findFrame(source, offsets[4]! + 1), undefined);
  assert.equal(findFrame(source, bytes.length), undefined);
});

test('also far behind', () => {
  const { bytes, offsets } = build(3 << 20, 2);
  assert.equal(findFrame(new MemorySource(bytes), 8), offsets[0]);
});

test('a record whose follower does not continue its CRC is not taken; its own data cannot be checked', () => {
  const { bytes, offsets } = build(0, 3);
  bytes[offsets[1]! + 30]! ^= 1;
  assert.equal(findFrame(new MemorySource(bytes), 0), offsets[1]);
});

test('many false frames end the search', () => {
  const { bytes } = build(0, 1);
  const frame = bytes.slice();
  frame[frame.length - 1] = 1;
  const many = Buffer.concat(Array.from({ length: 3000 }, () => frame));
  const started = performance.now();
  assert.equal(findFrame(new MemorySource(Buffer.concat([many, build(0, 3).bytes])), 0), undefined);
  assert.ok(performance.now() - started < 5000);
});
