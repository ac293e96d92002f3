import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptError } from '../../../src/errors.ts';
import { chooseSegments, formatSegmentName, parseSegmentName } from '../../../src/format/wal/name.ts';

test('names', () => {
  const name = '0000000000000002-0000000000000072.wal';
  assert.deepEqual(parseSegmentName(name), { sequence: 2, index: 0x72 });
  assert.equal(formatSegmentName({ sequence: 2, index: 0x72 }), name);
  for (const other of [
    '0.tmp',
    `${name}.broken`,
    '2-72.wal',
    name.toUpperCase(),
    'ffffffffffffffff-0000000000000000.wal',
    `x${name}`,
  ]) {
    assert.equal(parseSegmentName(other), undefined, other);
  }
});

const segments = [
  [3, 0],
  [4, 60],
  [5, 114],
].map(([sequence, index]) => ({ sequence: sequence!, index: index! }));
const from = (index: number): number[] =>
  chooseSegments(segments, index, 'wal').map(({ sequence }) => sequence);

test('the last segment that begins at or before the index, and all after it', () => {
  assert.deepEqual(from(0), [3, 4, 5]);
  assert.deepEqual(from(59), [3, 4, 5]);
  assert.deepEqual(from(60), [4, 5]);
  assert.deepEqual(from(10_000), [5]);
});

test('what is missing is named as upstream names it', () => {
  const upstreamOf = (run: () => unknown): string | undefined => {
    try {
      run();
    } catch (error) {
      assert.ok(error instanceof CorruptError);
      assert.equal(error.code, 'wal.sequence');
      return error.upstream;
    }
    return undefined;
  };
  assert.equal(
    upstreamOf(() => chooseSegments([{ sequence: 4, index: 60 }], 7, 'wal')),
    "wal: file not found which matches the snapshot index '7'",
  );
  assert.equal(
    upstreamOf(() => chooseSegments([], 0, 'wal')),
    "wal: file not found which matches the snapshot index '0'",
  );
  const gap = [segments[0]!, segments[2]!];
  assert.equal(
    upstreamOf(() => chooseSegments(gap, 0, 'wal')),
    'wal: file sequence numbers (starting from 3) do not increase continuously',
  );
  assert.deepEqual(chooseSegments(gap, 200, 'wal'), [segments[2]]);
});
