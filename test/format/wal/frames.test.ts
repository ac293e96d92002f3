import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Writer } from '../../../src/bytes/writer.ts';
import type { Zeros } from '../../../src/format/proto/field.ts';
import { metadata } from '../../../src/format/proto/memberpb.ts';
import { entry, hardState } from '../../../src/format/proto/raftpb.ts';
import { snapshot } from '../../../src/format/proto/walpb.ts';
import { type EntryInput, FrameBuffer } from '../../../src/format/wal/frames.ts';
import { RECORD_TYPE } from '../../../src/format/wal/layout.ts';
import { encodeRecord } from '../../../src/format/wal/writer.ts';

const ENTRY: fc.Arbitrary<EntryInput> = fc.record(
  {
    type: fc.constantFrom(0, 0, 1, 2),
    term: fc.oneof(fc.nat(300), fc.maxSafeNat()),
    index: fc.oneof(fc.nat(70_000), fc.maxSafeNat()),
    data: fc.option(fc.uint8Array({ maxLength: 900 }), { nil: undefined }),
  },
  { requiredKeys: ['type', 'term', 'index'] },
);
const STATE = fc.record({
  term: fc.maxSafeNat(),
  vote: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  commit: fc.maxSafeNat(),
});

/** What the field tables make of an entry. 3.7 never sets the type of a normal one. */
function tableEntry({ type, ...rest }: EntryInput, zeros: Zeros): Uint8Array {
  return entry.encode(type === 0 && zeros === 'omit' ? rest : { type, ...rest }, { zeros });
}

for (const zeros of ['write', 'omit'] as const) {
  test(`frames made by hand are those of the field tables, zeros: ${zeros}`, () => {
    const records = fc.array(fc.oneof(ENTRY, STATE), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(records, fc.integer({ min: 0, max: 2 ** 32 - 1 }), (values, start) => {
        const frames = new FrameBuffer({ zeros, crc: start, capacity: 64 });
        const writer = new Writer();
        let crc = start;
        for (const value of values) {
          if ('vote' in value) frames.state(value);
          else frames.entry(value);
          const data = 'vote' in value ? hardState.encode(value, { zeros }) : tableEntry(value, zeros);
          crc = encodeRecord(writer, {
            type: 'vote' in value ? RECORD_TYPE.state : RECORD_TYPE.entry,
            data,
            crc,
          });
        }
        assert.deepEqual(Buffer.from(frames.view()), Buffer.from(writer.view()));
        assert.equal(frames.crc, crc);
      }),
      { numRuns: 300 },
    );
  });
}

test('the records a segment begins with are those of the segment writer', () => {
  const frames = new FrameBuffer({ zeros: 'write', crc: 0x1234, capacity: 16 });
  const owner = { nodeId: 2n ** 63n + 5n, clusterId: 77n };
  const point = { index: 21, term: 2, confState: { voters: [owner.nodeId] } };
  frames.crcRecord().metadata(owner).snapshot(point);
  const writer = new Writer();
  let crc = encodeRecord(writer, { type: RECORD_TYPE.crc, crc: 0x1234 });
  const parts = [
    [RECORD_TYPE.metadata, metadata.encode(owner, { zeros: 'write' })],
    [RECORD_TYPE.snapshot, snapshot.encode(point, { zeros: 'write' })],
  ] as const;
  for (const [type, data] of parts) crc = encodeRecord(writer, { type, data, crc });
  assert.deepEqual(Buffer.from(frames.view()), Buffer.from(writer.view()));
  assert.equal(frames.crc, crc);
});

test('what came after a mark can be forgotten', () => {
  const frames = new FrameBuffer({ zeros: 'omit', crc: 9 });
  frames.entry({ type: 0, term: 1, index: 1, data: Buffer.from('kept') });
  const kept = Buffer.from(frames.view());
  const mark = frames.mark();
  frames.entry({ type: 0, term: 1, index: 2, data: Buffer.from('dropped') });
  frames.reset(mark);
  assert.deepEqual(Buffer.from(frames.view()), kept);
  frames.entry({ type: 0, term: 1, index: 2 });
  const again = new FrameBuffer({ zeros: 'omit', crc: 9 });
  again.entry({ type: 0, term: 1, index: 1, data: Buffer.from('kept') });
  again.entry({ type: 0, term: 1, index: 2 });
  assert.deepEqual(Buffer.from(frames.view()), Buffer.from(again.view()));
});
