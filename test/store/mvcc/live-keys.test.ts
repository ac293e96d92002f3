import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { LiveKeys } from '../../../src/store/mvcc/live-keys.ts';
import { RecordView } from '../../../src/store/mvcc/record.ts';
import { bump, deletion, type Pair, put } from '../database-builder.ts';

function countLive(records: readonly Pair[]): number {
  const keys = new LiveKeys();
  const record = new RecordView();
  for (const [key, value] of records) {
    assert.equal(record.decodeRevision(key, 0, key.length), undefined);
    assert.equal(record.decodeValue(value, 0, value.length), undefined);
    keys.add(value, record);
  }
  return keys.count;
}

const cases: Array<[what: string, records: Pair[], count: number]> = [
  ['none', [], 0],
  ['one put', [put(2, 'a')], 1],
  ['a key put twice', [put(2, 'a'), put(3, 'a')], 1],
  ['put, deleted', [put(2, 'a'), deletion(3, 'a')], 0],
  ['put, deleted, put', [put(2, 'a'), deletion(3, 'a'), put(4, 'a')], 1],
  ['a tombstone whose put was compacted', [deletion(3, 'a')], 0],
  ['the record of a bump counts as a key without name, as etcdutl has it', [put(2, 'a'), bump(100)], 2],
];
for (const [what, records, count] of cases) test(what, () => assert.equal(countLive(records), count));

test('agrees with a Set', () => {
  const change = fc.record({ key: fc.integer({ min: 0, max: 9 }), isDeletion: fc.boolean() });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const live = new Set<number>();
      const records = changes.map(({ key, isDeletion }, i) => {
        if (isDeletion) live.delete(key);
        else live.add(key);
        return isDeletion ? deletion(i + 2, `k${key}`) : put(i + 2, `k${key}`);
      });
      assert.equal(countLive(records), live.size);
    }),
  );
});
