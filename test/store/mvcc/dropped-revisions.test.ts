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

const many = (mainOf: (i: number) => number): Revision[] =>
  Array.from({ length: 20_000 }, (_, i) => ({ main: mainOf(i), sub: i % 3, isTombstone: i % 7 === 0 }));
const orders: Array<[what: string, mainOf: (i: number) => number]> = [
  ['in disorder', (i) => 1e9 + ((i * 7919) % 20_011)],
  ['ascending', (i) => i + 2],
  ['descending', (i) => 30_000 - i],
  ['rising and falling', (i) => (i < 10_000 ? 2 * i : 40_001 - 2 * i) + 2],
  ['of few revisions', (i) => Math.floor(i / 3) % 7000],
];
for (const [what, mainOf] of orders) {
  test(`also very many, ${what}`, () => {
    const revisions = many(mainOf);
    const distinct = new Map(revisions.map((one) => [`${one.main}.${one.sub}`, one]));
    assertInOrder(new DroppedRevisions(), [...distinct.values()]);
  });
}
