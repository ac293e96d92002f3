import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { DroppedRevisions } from '../../../src/store/mvcc/dropped-revisions.ts';
import { encodeRevision } from '../../../src/store/mvcc/record.ts';

interface Revision {
  main: number;
  sub: number;
  isTombstone: boolean;
}

function assertInOrder(dropped: DroppedRevisions, revisions: readonly Revision[]): void {
  for (const { main, sub, isTombstone } of revisions) dropped.add(main, sub, isTombstone);
  assert.equal(dropped.count, revisions.length);
  const taken = revisions.map(() => Buffer.from(dropped.take()).toString('hex'));
  const expected = revisions.map(({ main, sub, isTombstone }) =>
    Buffer.from(encodeRevision(main, sub, isTombstone)).toString('hex'),
  );
  assert.deepEqual(taken, expected.toSorted());
  assert.equal(dropped.count, 0);
}

const revisionsUpTo = (mainMax: number, subMax: number): fc.Arbitrary<Revision[]> =>
  fc.uniqueArray(
    fc.record({ main: fc.integer({ min: 1, max: mainMax }), sub: fc.nat(subMax), isTombstone: fc.boolean() }),
    { maxLength: 60, selector: ({ main, sub }) => `${main}.${sub}` },
  );

test('they are taken in the order of their keys, and anew after all were taken', () => {
  fc.assert(
    fc.property(revisionsUpTo(20, 5), revisionsUpTo(1e9, 200), (first, second) => {
      const dropped = new DroppedRevisions();
      assertInOrder(dropped, first);
      assertInOrder(dropped, second);
    }),
  );
});

test('also where main and sub revisions are too large for one number', () => {
  fc.assert(
    fc.property(revisionsUpTo(2 ** 53 - 1, 2 ** 31 - 1), (revisions) =>
      assertInOrder(new DroppedRevisions(), revisions),
    ),
  );
});

test('also very many', () => {
  const revisions = Array.from({ length: 5000 }, (_, i) => ({
    ...{ main: 1e9 + ((i * 7919) % 5003), sub: i % 3, isTombstone: i % 7 === 0 },
  }));
  assertInOrder(new DroppedRevisions(), revisions);
});
