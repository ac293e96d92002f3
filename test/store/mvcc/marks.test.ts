import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptError } from '../../../src/errors.ts';
import { compactRevisionOf, encodeMark, readMarks } from '../../../src/store/mvcc/marks.ts';
import { buildDatabase, compactedAt, metaRows, openBytes, text } from '../database-builder.ts';

test('are read from bucket meta', () => {
  const read = (marks: { scheduled?: number; finished?: number }): unknown =>
    readMarks(openBytes(buildDatabase({ buckets: { meta: compactedAt(marks) } })));
  assert.deepEqual(read({}), { scheduled: undefined, finished: undefined });
  assert.deepEqual(read({ scheduled: 7 }), { scheduled: 7, finished: undefined });
  assert.deepEqual(read({ scheduled: 2 ** 40, finished: 7 }), { scheduled: 2 ** 40, finished: 7 });
});

test('are not there without bucket meta', () => {
  const bolt = openBytes(buildDatabase({ buckets: { meta: undefined } }));
  assert.deepEqual(readMarks(bolt), { scheduled: undefined, finished: undefined });
});

const good = encodeMark(7);
const malformed: Array<[what: string, value: Uint8Array, message: RegExp]> = [
  ['too short', good.subarray(0, 16), /it has 16 bytes/],
  ['that of a tombstone', Buffer.concat([good, text('t')]), /it has 18 bytes/],
  ['with a sub revision', good.with(16, 1), /its sub revision is 1/],
  ['without separator', good.with(8, 0), /no "_"/],
  ['negative', good.with(0, 0x80), /negative/],
];
for (const key of ['scheduledCompactRev', 'finishedCompactRev']) {
  for (const [what, value, message] of malformed) {
    test(`${key}: ${what}`, () => {
      const bolt = openBytes(buildDatabase({ buckets: { meta: metaRows({ [key]: value }) } }));
      assert.throws(
        () => readMarks(bolt),
        (error: unknown) => {
          assert.ok(error instanceof CorruptError);
          assert.equal(error.code, 'mvcc.compaction');
          assert.match(error.message, message);
          assert.equal(error.where?.field, `bucket meta, key ${key}`);
          return true;
        },
      );
    });
  }
}

test('the further one says what is compacted', () => {
  const cases: Array<[scheduled: number | undefined, finished: number | undefined, revision: number]> = [
    [undefined, undefined, -1],
    [5, undefined, 5],
    [5, 5, 5],
    [9, 5, 9],
    [undefined, 5, 5],
  ];
  for (const [scheduled, finished, revision] of cases) {
    assert.equal(compactRevisionOf({ scheduled, finished }), revision);
  }
});
