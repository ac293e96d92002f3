import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { MemorySource } from '../../../src/bytes/source.ts';
import { Writer } from '../../../src/bytes/writer.ts';
import { CorruptError, type ErrorCode, type Finding } from '../../../src/errors.ts';
import { metadata } from '../../../src/format/proto/memberpb.ts';
import { entry, hardState } from '../../../src/format/proto/raftpb.ts';
import { snapshot } from '../../../src/format/proto/walpb.ts';
import { RECORD_TYPE } from '../../../src/format/wal/layout.ts';
import { listSegments, type LogEvent, LogReader, type Segment } from '../../../src/format/wal/log.ts';
import { chooseSegments } from '../../../src/format/wal/name.ts';
import { encodeRecord } from '../../../src/format/wal/writer.ts';
import { memberDir, readFixture, unpacked } from '../../support/fixtures.ts';
import { scratch } from '../../support/scratch.ts';

type Part =
  | ['meta', bigint, bigint]
  | ['entry', number, number]
  | ['state', number]
  | ['snap', number, number]
  | ['raw', number, string];

/** Segments of a log made up of `parts`, with one CRC through all of them. */
function logOf(...segments: Part[][]): Segment[] {
  let crc = 0;
  return segments.map((parts, sequence) => {
    const writer = new Writer();
    crc = encodeRecord(writer, { type: RECORD_TYPE.crc, crc });
    for (const part of parts) crc = encodeRecord(writer, { ...recordOf(part), crc });
    const bytes = writer.finish();
    return {
      sequence,
      index: sequence === 0 ? 0 : sequence * 10,
      path: `segment ${sequence}`,
      open: () => new MemorySource(bytes, `segment ${sequence}`),
    };
  });
}

function recordOf(part: Part): { type: number; data: Uint8Array } {
  switch (part[0]) {
    case 'meta':
      return { type: RECORD_TYPE.metadata, data: metadata.encode({ nodeId: part[1], clusterId: part[2] }) };
    case 'entry':
      return {
        type: RECORD_TYPE.entry,
        data: entry.encode({ term: part[1], index: part[2], data: Uint8Array.of(part[2]) }),
      };
    case 'state':
      return { type: RECORD_TYPE.state, data: hardState.encode({ term: 1, commit: part[1] }) };
    case 'snap':
      return { type: RECORD_TYPE.snapshot, data: snapshot.encode({ index: part[1], term: part[2] }) };
    default:
      return { type: part[1], data: Buffer.from(part[2], 'hex') };
  }
}

const META: Part = ['meta', 1n, 2n];
const ZERO: Part = ['snap', 0, 0];

function summarise(event: LogEvent): string {
  switch (event.kind) {
    case 'entry':
      return `${event.term}.${event.index}`;
    case 'truncate':
      return `<${event.index}`;
    case 'state':
      return `c${event.state.commit}`;
    case 'snapshot':
      return `s${event.snapshot.index}`;
    default:
      return 'm';
  }
}

function follow(reader: LogReader): string {
  return [...reader.events()].map(summarise).join(' ');
}

function check(
  segments: Segment[],
  start?: { index: number; term?: number },
): { codes: ErrorCode[]; text: string; reader: LogReader } {
  const findings: Finding[] = [];
  const reader = new LogReader(segments, {
    findings: (finding) => findings.push(finding),
    ...(start ? { start } : {}),
  });
  return { text: follow(reader), codes: findings.map(({ code }) => code), reader };
}

function strictCode(segments: Segment[], start?: { index: number; term?: number }): ErrorCode | undefined {
  try {
    follow(new LogReader(segments, start ? { start } : {}));
  } catch (error) {
    assert.ok(error instanceof CorruptError);
    assert.ok(error.where?.file !== undefined);
    return error.code;
  }
  return undefined;
}

test('a log in order, and what it adds up to', () => {
  const segments = logOf(
    [META, ZERO, ['entry', 1, 1], ['state', 1], ['entry', 1, 2]],
    [META, ['state', 1], ['entry', 2, 3], ['snap', 2, 1], ['snap', 3, 2], ['state', 2]],
  );
  const { text, codes, reader } = check(segments);
  assert.equal(text, 'm s0 1.1 c1 1.2 m c1 2.3 s2 s3 c2');
  assert.deepEqual(codes, []);
  assert.deepEqual(
    [
      reader.firstIndex,
      reader.lastIndex,
      reader.lastTerm,
      reader.entryCount,
      reader.state?.commit,
      reader.metadata,
    ],
    [1, 3, 2, 3, 2, { nodeId: 1n, clusterId: 2n }],
  );
  assert.deepEqual(
    reader.validSnapshots().map(({ index }) => index),
    [0, 2],
  );
  assert.deepEqual([reader.end!.verdict, reader.end!.file], ['end', 'segment 1']);
  assert.deepEqual(
    reader.summaries.map(({ sizeBytes, readBytes, recordCount }) => [sizeBytes - readBytes, recordCount]),
    [
      [0, 6],
      [0, 7],
    ],
  );
});

test('a later entry replaces what was there', () => {
  const segments = logOf([
    META,
    ZERO,
    ['entry', 1, 1],
    ['entry', 1, 2],
    ['entry', 1, 3],
    ['entry', 2, 2],
    ['entry', 2, 3],
    ['entry', 3, 1],
  ]);
  const { text, reader } = check(segments);
  assert.equal(text, 'm s0 1.1 1.2 1.3 <2 2.2 2.3 <1 3.1');
  assert.deepEqual([reader.firstIndex, reader.lastIndex, reader.entryCount], [1, 1, 6]);
});

test('entries that the snapshot covers are skipped', () => {
  const segments = logOf([
    META,
    ZERO,
    ['entry', 1, 1],
    ['entry', 1, 2],
    ['snap', 2, 1],
    ['entry', 1, 3],
    ['entry', 2, 2],
    ['entry', 2, 3],
    ['state', 3],
  ]);
  assert.equal(follow(new LogReader(segments, { start: { index: 2, term: 1 } })), 'm s0 s2 1.3 <3 2.3 c3');
  assert.equal(strictCode(segments, { index: 2, term: 9 }), 'wal.snapshot.mismatch');
  assert.equal(strictCode(segments, { index: 1 }), 'wal.snapshot.missing');
  assert.equal(strictCode(segments, { index: 0, term: 0 }), undefined);
});

test('what does not fit: thrown by a strict reader, found by a checking one, which goes on', () => {
  const cases: [ErrorCode, Segment[]][] = [
    ['wal.entry.gap', logOf([META, ZERO, ['entry', 1, 1], ['entry', 1, 3]])],
    ['wal.metadata', logOf([META, ZERO, ['meta', 1n, 3n], ['entry', 1, 1]])],
    ['wal.metadata', logOf([ZERO, ['entry', 1, 1]])],
    ['wal.record.type', logOf([META, ZERO, ['raw', 9, '00'], ['entry', 1, 1]])],
    ['wal.record.malformed', logOf([META, ZERO, ['raw', RECORD_TYPE.entry, 'ff'], ['entry', 1, 1]])],
    ['wal.record.malformed', logOf([META, ZERO, ['raw', RECORD_TYPE.snapshot, '0affff'], ['entry', 1, 1]])],
  ];
  for (const [code, segments] of cases) {
    assert.equal(strictCode(segments), code);
    const { codes, reader } = check(segments);
    assert.deepEqual(codes, [code]);
    assert.ok(reader.lastIndex! >= 1);
  }
  const falling = logOf([META, ZERO, ['entry', 2, 1], ['entry', 1, 2]]);
  assert.equal(strictCode(falling), undefined);
  assert.deepEqual(check(falling).codes, ['wal.entry.term']);
});

test('a missing segment', () => {
  const [first, , third] = logOf(
    [META, ZERO, ['entry', 1, 1]],
    [META, ['entry', 1, 2]],
    [META, ['entry', 1, 3]],
  );
  assert.equal(strictCode([first!, third!]), 'wal.sequence');
  assert.deepEqual(check([first!, third!]).codes, ['wal.sequence', 'wal.record.crc', 'wal.entry.gap']);
});

/** The same segments with one of them changed. */
function changed(segments: Segment[], which: number, change: (bytes: Buffer) => Uint8Array): Segment[] {
  return segments.map((segment, i) => {
    if (i !== which) return segment;
    const source = segment.open();
    const bytes = Buffer.alloc(source.size);
    source.readInto(0, bytes);
    const after = change(bytes);
    return { ...segment, open: () => new MemorySource(after, segment.path) };
  });
}

test('a cut is torn in the last segment, and damage in any other', () => {
  const whole = logOf(
    [META, ZERO, ['entry', 1, 1], ['entry', 1, 2]],
    [META, ['entry', 1, 3], ['entry', 1, 4]],
  );
  const last = changed(whole, 1, (bytes) => bytes.subarray(0, bytes.length - 4));
  assert.equal(strictCode(last), undefined);
  const { text, codes, reader } = check(last);
  assert.equal(text, 'm s0 1.1 1.2 m 1.3');
  assert.deepEqual(codes, ['wal.torn']);
  assert.deepEqual([reader.end!.verdict, reader.end!.intactAfter], ['torn', 0]);
  const first = changed(whole, 0, (bytes) => bytes.subarray(0, bytes.length - 4));
  assert.equal(strictCode(first), 'wal.torn');
  assert.equal(check(first).text, 'm s0 1.1 m 1.3 1.4');
});

test('a flipped bit is found once, and what follows is read', () => {
  const whole = logOf([META, ZERO, ['entry', 1, 1], ['entry', 1, 2]], [META, ['entry', 1, 3]]);
  const flipped = changed(whole, 0, (bytes) => {
    bytes[bytes.length - 9]! ^= 0x40;
    return bytes;
  });
  assert.equal(strictCode(flipped), 'wal.record.crc');
  const { codes, text } = check(flipped);
  assert.equal(codes[0], 'wal.record.crc');
  assert.match(text, /m 1\.3$/);
});

test('behind a length that cannot be trusted, reading goes on at the next frame', () => {
  const parts: Part[] = [META, ZERO];
  for (let index = 1; index <= 40; index++) parts.push(['entry', 1, index]);
  const whole = logOf(parts, [META, ['entry', 1, 41]]);
  const offsets = new Map<number, number>();
  for (const event of new LogReader(whole).events())
    if (event.kind === 'entry') offsets.set(event.index, event.at.offset);
  const frameOf = (index: number): number => offsets.get(index)!;
  const corrupt = changed(whole, 0, (bytes) => bytes.fill(0xff, frameOf(20), frameOf(20) + 8));
  assert.equal(strictCode(corrupt), 'wal.record.length');
  const found = check(corrupt);
  assert.deepEqual(found.codes, ['wal.record.length', 'wal.entry.gap']);
  assert.match(found.text, /1\.19 1\.21 .* 1\.40 m 1\.41$/);
  const [summary] = found.reader.summaries;
  assert.deepEqual(
    [summary!.end.verdict, summary!.sizeBytes - summary!.readBytes],
    ['corrupt', frameOf(21) - frameOf(20)],
  );
  const unverified = [...new LogReader(corrupt, { findings() {} }).events()].flatMap((event) =>
    event.kind === 'entry' && !event.isVerified ? [event.index] : [],
  );
  assert.deepEqual(unverified, [21]);

  const only = whole.slice(0, 1);
  const hidden = check(changed(only, 0, (bytes) => bytes.fill(0, frameOf(20), frameOf(22))));
  assert.deepEqual(hidden.codes, ['wal.torn']);
  assert.match(hidden.text, /1\.19$/);
  assert.deepEqual(
    [hidden.reader.end!.verdict, hidden.reader.end!.offset, hidden.reader.end!.intactAfter],
    ['torn', frameOf(20), 19],
  );
});

test('any damage to a real log ends in events and findings, or one error', () => {
  const source = listSegments(join(memberDir('3.6'), 'wal')).segments[0]!.open();
  const real = new Uint8Array(14_000);
  source.readInto(0, real);
  source.close();
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(12_400), fc.uint8Array({ minLength: 1, maxLength: 40 })), {
        minLength: 1,
        maxLength: 4,
      }),
      fc.nat(14_000),
      (edits, size) => {
        const bytes = real.slice();
        for (const [at, edit] of edits) bytes.set(edit, at);
        for (const end of [bytes.length, size]) {
          const segments = [
            { sequence: 0, index: 0, path: 'x', open: () => new MemorySource(bytes.subarray(0, end), 'x') },
          ];
          const { reader } = check(segments);
          assert.equal(reader.summaries.length, 1);
          assert.ok(reader.summaries[0]!.readBytes <= end);
          strictCode(segments);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('the real torn tail ends where etcd cuts it; the flipped one is refused', () => {
  const segmentOf = (name: string): Segment[] => {
    const bytes = gunzipSync(readFixture(`wal/${name}.wal.gz`));
    return [{ sequence: 0, index: 0, path: name, open: () => new MemorySource(bytes, name) }];
  };
  const torn = new LogReader(segmentOf('torn-tail-3.7'));
  follow(torn);
  assert.deepEqual(
    [torn.end!.verdict, torn.end!.offset, torn.end!.intactAfter, torn.lastIndex],
    ['torn', 12216, 1, 32],
  );
  assert.equal(strictCode(segmentOf('bitflip-tail-3.7')), 'wal.record.crc');
});

test('three real segments, from each of their beginnings', () => {
  const directory = unpacked('wal/multisegment-3.7.tar.gz', 'seg3.7/member/wal');
  const { segments, others } = listSegments(directory);
  assert.deepEqual(others, []);
  const whole = check(segments);
  assert.deepEqual(whole.codes, []);
  assert.deepEqual(
    [whole.reader.firstIndex, whole.reader.lastIndex, whole.reader.end!.verdict],
    [1, whole.reader.entryCount, 'preallocated'],
  );
  const tail = check(chooseSegments(segments, 0x72, directory));
  assert.deepEqual(
    [tail.codes, tail.reader.firstIndex, tail.reader.lastIndex],
    [[], 0x72, whole.reader.lastIndex],
  );
  assert.equal(tail.reader.end!.crc, whole.reader.end!.crc);
});

test('a real log from its snapshot on', () => {
  const { segments } = listSegments(join(memberDir('3.6'), 'wal'));
  const reader = new LogReader(segments, { start: { index: 0x15, term: 2 } });
  follow(reader);
  assert.deepEqual([reader.firstIndex, reader.lastIndex, reader.state?.commit], [0x16, 0x21, 0x21]);
  assert.deepEqual(
    reader.validSnapshots().map(({ index }) => index),
    [0, 0x15],
  );
  assert.equal(reader.snapshots[1]!.snapshot.confState!.voters[0], reader.metadata!.nodeId);
});

test('a directory is sorted into segments and the rest', (t) => {
  const directory = scratch(t);
  for (const name of [
    '0.tmp',
    '0000000000000001-0000000000000005.wal',
    '0000000000000000-0000000000000000.wal',
    'x',
  ]) {
    writeFileSync(join(directory, name), '');
  }
  const { segments, others } = listSegments(directory);
  assert.deepEqual(
    segments.map(({ sequence, index }) => [sequence, index]),
    [
      [0, 0],
      [1, 5],
    ],
  );
  assert.deepEqual(others, ['0.tmp', 'x']);
  assert.throws(() => listSegments(join(directory, 'absent')), /no such file/);
});
