import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { MemorySource } from '../../../src/bytes/source.ts';
import { Writer } from '../../../src/bytes/writer.ts';
import { ToolError } from '../../../src/errors.ts';
import { RECORD_TYPE } from '../../../src/format/wal/layout.ts';
import { listSegments, type Segment } from '../../../src/format/wal/log.ts';
import { type SegmentEnd, SegmentReader, type WalRecord } from '../../../src/format/wal/segment.ts';
import { encodeRecord } from '../../../src/format/wal/writer.ts';
import { memberDir, readFixture, unpacked, VERSIONS } from '../../support/fixtures.ts';

const LETTER = { 1: 'META', 2: 'ENTRY', 3: 'STATE', 4: 'CRC', 5: 'SNAP' } as Record<number, string>;
const hex8 = (crc: number): string => crc.toString(16).padStart(8, '0');

function lineOf({ offset, size, type, crc, data, fault }: WalRecord, bytes: Buffer): string {
  const padding = (bytes[offset + 7]! & 0x80) === 0 ? 0 : bytes[offset + 7]! & 7;
  const shown = Buffer.from(data.subarray(0, 60)).toString('hex');
  return `${offset} ${size - 8 - padding} ${padding} ${LETTER[type]} ${hex8(crc)} ${fault ? 'False' : 'True'} ${shown}`.trim();
}

for (const version of VERSIONS) {
  test(`every record of ${version}, against an independent reader`, () => {
    const expected = readFixture(`expected/wal-${version}.txt`)
      .toString()
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
    const bytes = readFileSync(join(memberDir(version), 'wal', '0000000000000000-0000000000000000.wal'));
    const reader = new SegmentReader(new MemorySource(bytes));
    const lines: string[] = [];
    for (let record = reader.next(); record; record = reader.next()) {
      assert.ok(record.isPaddingClean);
      lines.push(lineOf(record, bytes));
    }
    assert.deepEqual(reader.end, { verdict: 'preallocated', offset: reader.offset });
    lines.push(`end ${reader.offset} size ${bytes.length} finalCrc ${hex8(reader.crc)}`);
    assert.deepEqual(lines, expected);
  });
}

test('the CRC runs through three segments, and each can be read by itself', () => {
  const { segments } = listSegments(unpacked('wal/multisegment-3.7.tar.gz', 'seg3.7/member/wal'));
  const read = (segment: Segment, crc: number): SegmentReader => {
    const source = segment.open();
    const reader = new SegmentReader(source, { crc });
    for (let record = reader.next(); record; record = reader.next()) assert.equal(record.fault, undefined);
    source.close();
    return reader;
  };
  let crc = 0;
  const ends: unknown[] = [];
  for (const segment of segments) {
    const reader = read(segment, crc);
    assert.equal(read(segment, 0).crc, reader.crc);
    crc = reader.crc;
    ends.push([reader.end!.verdict, reader.end!.offset]);
  }
  assert.deepEqual(ends, [
    ['end', 64805784],
    ['end', 64805288],
    ['preallocated', 4800480],
  ]);
});

test('a chain that does not continue the segment before is damage', () => {
  const source = new MemorySource(build([5]).bytes);
  const reader = new SegmentReader(source, { crc: 77 });
  assert.equal(reader.next()!.fault!.code, 'wal.record.crc');
  assert.equal(reader.next()!.fault, undefined);
});

/** A log of a few records of the given sizes, preallocated by `rest` zeros. */
function build(sizes: readonly number[], rest = 0): { bytes: Uint8Array; offsets: number[] } {
  const writer = new Writer();
  const offsets: number[] = [];
  let crc = encodeRecord(writer, { type: RECORD_TYPE.crc, crc: 0 });
  for (const [i, size] of sizes.entries()) {
    offsets.push(writer.size);
    crc = encodeRecord(writer, { type: RECORD_TYPE.entry, data: new Uint8Array(size).fill(i + 1), crc });
  }
  return { bytes: writer.zeros(rest).finish(), offsets };
}

function readAll(
  bytes: Uint8Array,
  windowBytes?: number,
): { records: WalRecord[]; end: SegmentEnd; crc: number } {
  const reader = new SegmentReader(new MemorySource(bytes), windowBytes === undefined ? {} : { windowBytes });
  const records: WalRecord[] = [];
  for (let record = reader.next(); record; record = reader.next())
    records.push({ ...record, data: record.data.slice() });
  return { records, end: reader.end!, crc: reader.crc };
}

test('records of any size are read through a window of any size', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 30 }),
      fc.integer({ min: 8, max: 500 }),
      (sizes, windowBytes) => {
        const { bytes } = build(sizes, 100 * 8);
        const { records, end } = readAll(bytes, windowBytes);
        assert.deepEqual(
          records.slice(1).map(({ data }) => data.length),
          sizes,
        );
        for (const [i, { data, fault, dataOffset }] of records.slice(1).entries()) {
          assert.equal(fault, undefined);
          assert.ok(data.every((byte) => byte === i + 1));
          assert.deepEqual(data, bytes.slice(dataOffset, dataOffset + data.length));
        }
        assert.deepEqual(end, { verdict: 'preallocated', offset: bytes.length - 800 });
      },
    ),
  );
});

test('four ways to end', () => {
  const { bytes, offsets } = build([100, 200, 300]);
  const last = offsets[2]!;
  assert.equal(readAll(bytes).end.verdict, 'end');
  assert.equal(readAll(new Uint8Array()).end.verdict, 'end');
  assert.equal(readAll(build([1], 64).bytes).end.verdict, 'preallocated');
  for (const size of [last + 1, last + 7, last + 8, last + 100, bytes.length - 1]) {
    const { end, records } = readAll(bytes.slice(0, size));
    assert.deepEqual([end.verdict, end.offset, records.length], ['torn', last, 3], `cut at ${size}`);
  }
  const behind = build([1], 4096).bytes;
  behind[behind.length - 1] = 1;
  const hidden = readAll(behind, 64).end;
  assert.equal(hidden.verdict, 'torn');
  assert.match(hidden.message!, new RegExp(`follow at ${behind.length - 1}$`));
  const garbage = bytes.slice();
  garbage.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], last);
  assert.deepEqual(
    [readAll(garbage).end.verdict, readAll(garbage).end.code],
    ['corrupt', 'wal.record.length'],
  );
});

test('a length of up to 2^56 allocates nothing', () => {
  const { bytes } = build([10]);
  const hostile = Buffer.concat([bytes, Buffer.from('f8ffffffffffff00', 'hex'), Buffer.alloc(64, 1)]);
  assert.equal(readAll(hostile).end.verdict, 'corrupt');
  const long = Buffer.concat([bytes, Buffer.from('0000001000000000', 'hex'), Buffer.alloc(64, 1)]);
  assert.equal(readAll(long).end.verdict, 'torn');
});

test('after a damaged record the chain is taken up again', () => {
  const { bytes, offsets } = build([100, 200, 300, 400]);
  const data = bytes.slice();
  data[offsets[1]! + 60]! ^= 1;
  assert.deepEqual(
    readAll(data).records.map(({ fault }) => fault?.code),
    [undefined, undefined, 'wal.record.crc', undefined, undefined],
  );
  const crc = bytes.slice();
  crc[offsets[1]! + 8 + 3]! ^= 1;
  assert.deepEqual(
    readAll(crc).records.map(({ fault }) => fault?.code),
    [undefined, undefined, 'wal.record.crc', undefined, undefined],
  );
  const tag = bytes.slice();
  tag[offsets[1]! + 8] = 0xff;
  assert.deepEqual(
    readAll(tag).records.map(({ fault }) => fault?.code),
    [undefined, undefined, 'wal.record.malformed', undefined, undefined],
  );
  assert.equal(readAll(tag).records.at(-1)!.data.length, 400);
});

test('a sector that was never written is told from a flipped bit', () => {
  const { bytes, offsets } = build([100, 3000]);
  const start = offsets[1]! + 8;
  const zeroed = bytes.slice();
  zeroed.fill(0, 1024, 1536);
  assert.equal(readAll(zeroed).records[2]!.fault!.hasZeroSector, true);
  const tail = bytes.slice();
  tail.fill(0, bytes.length - (bytes.length % 512));
  assert.equal(readAll(tail).records[2]!.fault!.hasZeroSector, true);
  const part = bytes.slice();
  part.fill(0, 1025, 1536);
  assert.equal(readAll(part).records[2]!.fault!.hasZeroSector, false);
  const head = bytes.slice();
  head.fill(0, start, 512);
  assert.equal(readAll(head).records[2]!.fault!.hasZeroSector, true);
});

test('a record in other field order or with unknown fields is read all the same', () => {
  const writer = new Writer();
  encodeRecord(writer, { type: RECORD_TYPE.crc, crc: 0 });
  const plain = readAll(build([5]).bytes).records[1]!;
  const crc = new Writer().u8(0x10).varint(plain.crc).finish();
  const record = Buffer.concat([Buffer.from('1a050101010101', 'hex'), crc, Buffer.from('08022001', 'hex')]);
  const padding = (8 - (record.length % 8)) % 8;
  writer
    .u32(record.length)
    .u32(padding ? ((0x80 | padding) << 24) >>> 0 : 0)
    .bytes(record)
    .zeros(padding);
  const { records } = readAll(writer.finish());
  assert.deepEqual(
    [records[1]!.type, records[1]!.fault, records[1]!.data],
    [RECORD_TYPE.entry, undefined, plain.data],
  );
  assert.equal(records[1]!.dataOffset, 16 + 8 + 2);
});

test('padding that is not zero is seen', () => {
  const { bytes } = build([2]);
  bytes[bytes.length - 1] = 1;
  assert.deepEqual(
    readAll(bytes).records.map(({ isPaddingClean, fault }) => [isPaddingClean, fault]),
    [
      [true, undefined],
      [false, undefined],
    ],
  );
});

test('real tails: a torn one and one with a flipped bit', () => {
  const torn = readAll(gunzipSync(readFixture('wal/torn-tail-3.7.wal.gz'))).records.filter(
    ({ fault }) => fault,
  );
  assert.deepEqual(
    torn.map(({ offset, fault }) => [offset, fault!.hasZeroSector]),
    [[12216, true]],
  );
  const flipped = readAll(gunzipSync(readFixture('wal/bitflip-tail-3.7.wal.gz'))).records.filter(
    ({ fault }) => fault,
  );
  assert.deepEqual(
    flipped.map(({ offset, fault }) => [offset, fault!.code, fault!.hasZeroSector]),
    [[12216, 'wal.record.crc', false]],
  );
});

test('any bytes end in one of the four ways', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.array(fc.integer({ min: 0, max: 600 }), { maxLength: 4 }),
      fc.nat(),
      (noise, sizes, at) => {
        const { bytes } = build(sizes);
        const mixed = Buffer.concat([bytes, new Uint8Array(300)]);
        mixed.set(noise, at % bytes.length);
        try {
          const { end } = readAll(mixed, 64);
          assert.ok(['end', 'preallocated', 'torn', 'corrupt'].includes(end.verdict));
          assert.ok(end.offset <= mixed.length);
        } catch (error) {
          assert.ok(error instanceof ToolError);
        }
      },
    ),
    { numRuns: 500 },
  );
});
