import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { Input } from '../../../src/format/proto/field.ts';
import { keyValue } from '../../../src/format/proto/mvccpb.ts';
import { type RangeRequest, rangeRequest, SORT_ORDER, SORT_TARGET } from '../../../src/format/proto/rpcpb.ts';
import { answerRange } from '../../../src/store/apply/range.ts';
import { text } from '../database-builder.ts';
import { bytesOf, type NaiveRecord } from '../naive-store.ts';
import { TwinStore } from '../twin-store.ts';

const requestOf = (input: Input<RangeRequest>): RangeRequest =>
  rangeRequest.decode(rangeRequest.encode(input));
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** `a` at 2, changed at 6; `b` at 3, deleted at 7; `c` at 4; `d` at 5. */
function sample(): TwinStore {
  const twins = new TwinStore();
  twins.change([{ key: 'a', value: '4' }]);
  twins.change([{ key: 'b', value: '3' }]);
  twins.change([{ key: 'c', value: '2' }]);
  twins.change([{ key: 'd', value: '1', lease: 7n }]);
  twins.change([{ key: 'a', value: '0' }]);
  twins.delete('b');
  return twins;
}

const ALL = { key: text('a'), rangeEnd: text('\0') };
/** Keys with their values, how many there are, and a plus when there are more. */
function asked(twins: TwinStore, request: Input<RangeRequest>): string {
  const { kvs, count, more } = answerRange(twins.keys, requestOf(request));
  const pairs = kvs.map((bytes) => {
    const { key, value } = keyValue.decode(bytes);
    return `${textOf(key)}${textOf(value)}`;
  });
  return `${pairs.join(' ')} of ${count}${more ? '+' : ''}`;
}

describe('a range', () => {
  const { ascend, descend } = SORT_ORDER;
  const cases: Array<[what: string, request: Input<RangeRequest>, expected: string]> = [
    ['of one key', { key: text('a') }, 'a0 of 1'],
    ['of a key that is deleted', { key: text('b') }, ' of 0'],
    ['of one key before that', { key: text('b'), revision: 6n }, 'b3 of 1'],
    ['of all', ALL, 'a0 c2 d1 of 3'],
    ['up to an end', { key: text('a'), rangeEnd: text('d') }, 'a0 c2 of 2'],
    ['in the past', { ...ALL, revision: 5n }, 'a4 b3 c2 d1 of 4'],
    ['before there was anything', { ...ALL, revision: 1n }, ' of 0'],
    ['at a negative revision, which means now', { ...ALL, revision: -3n }, 'a0 c2 d1 of 3'],
    ['with a limit', { ...ALL, limit: 2n }, 'a0 c2 of 3+'],
    ['with a limit that is enough', { ...ALL, limit: 3n }, 'a0 c2 d1 of 3'],
    ['with a negative limit, which is none', { ...ALL, limit: -1n }, 'a0 c2 d1 of 3'],
    ['with a limit, in the past', { ...ALL, limit: 1n, revision: 5n }, 'a4 of 4+'],
    ['of keys alone', { ...ALL, keysOnly: true }, 'a c d of 3'],
    ['of nothing but the count', { ...ALL, countOnly: true }, ' of 3'],
    [
      'of nothing but the count, whatever the limit',
      { ...ALL, countOnly: true, limit: 1n, revision: 5n },
      ' of 4',
    ],
    ['descending', { ...ALL, sortOrder: descend }, 'd1 c2 a0 of 3'],
    ['descending, with a limit', { ...ALL, sortOrder: descend, limit: 1n }, 'd1 of 3+'],
    ['by value', { ...ALL, sortTarget: SORT_TARGET.value, sortOrder: ascend }, 'a0 d1 c2 of 3'],
    ['by value, descending', { ...ALL, sortTarget: SORT_TARGET.value, sortOrder: descend }, 'c2 d1 a0 of 3'],
    ['by mod revision', { ...ALL, sortTarget: SORT_TARGET.mod, sortOrder: ascend }, 'c2 d1 a0 of 3'],
    ['by version', { ...ALL, sortTarget: SORT_TARGET.version, sortOrder: descend }, 'a0 c2 d1 of 3'],
    ['by create revision', { ...ALL, sortTarget: SORT_TARGET.create, sortOrder: descend }, 'd1 c2 a0 of 3'],
    [
      'by another target without an order, which means ascending',
      { ...ALL, sortTarget: SORT_TARGET.mod },
      'c2 d1 a0 of 3',
    ],
    [
      'by another target without an order: the limit takes the first by key',
      { ...ALL, sortTarget: SORT_TARGET.mod, limit: 1n },
      'c2 of 3+',
    ],
    ['from a mod revision', { ...ALL, minModRevision: 5n }, 'a0 d1 of 3'],
    ['up to a mod revision', { ...ALL, maxModRevision: 5n, limit: 1n }, 'c2 of 3+'],
    ['from a create revision', { ...ALL, minCreateRevision: 4n }, 'c2 d1 of 3'],
    ['up to a create revision', { ...ALL, maxCreateRevision: 4n }, 'a0 c2 of 3'],
  ];
  for (const [what, request, expected] of cases) {
    test(what, () => assert.equal(asked(sample(), request), expected));
  }

  test('of the future or of what is compacted is refused', () => {
    const twins = sample();
    assert.throws(() => asked(twins, { ...ALL, revision: 8n }), { code: 'mvcc.future' });
    twins.compact(5);
    assert.throws(() => asked(twins, { ...ALL, revision: 4n }), { code: 'mvcc.compacted' });
    assert.throws(() => asked(twins, { ...ALL, revision: 4n, countOnly: true }), { code: 'mvcc.compacted' });
    assert.equal(asked(twins, { ...ALL, revision: 5n }), 'a4 b3 c2 d1 of 4');
  });

  test('gives records as they are stored, lease and all', () => {
    const twins = sample();
    const { kvs } = answerRange(twins.keys, requestOf({ key: text('d') }));
    assert.deepEqual(kvs.map(textOf), [textOf(bytesOf(twins.naive.now('d')!))]);
    const [stored] = twins.keys.range({ key: text('d'), end: undefined });
    assert.deepEqual([stored!.lease, stored!.createRevision, stored!.version], [7n, 5, 1]);
  });
});

/** What etcd would answer, from a plain list. */
function expectedOf(twins: TwinStore, request: RangeRequest): string[] {
  const { limit, revision, sortOrder, sortTarget } = request;
  const end = request.rangeEnd.length === 0 ? undefined : textOf(request.rangeEnd);
  const found = twins.naive.range(
    textOf(request.key),
    end === '\0' ? '' : end,
    revision > 0n ? Number(revision) : undefined,
  );
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  const isFiltered = [minModRevision, maxModRevision, minCreateRevision, maxCreateRevision].some(
    (one) => one !== 0n,
  );
  const isCut = limit > 0n && sortOrder === SORT_ORDER.none && !isFiltered;
  const isWanted = ({ modRevision, createRevision }: NaiveRecord): boolean =>
    (maxModRevision === 0n || modRevision <= maxModRevision) &&
    modRevision >= minModRevision &&
    (maxCreateRevision === 0n || createRevision <= maxCreateRevision) &&
    createRevision >= minCreateRevision;
  const kept = (isCut ? found.slice(0, Number(limit) + 1) : found).filter(isWanted);
  const fields = ['key', 'version', 'createRevision', 'modRevision', 'value'] as const;
  const field = fields[sortTarget]!;
  const sign = sortOrder === SORT_ORDER.descend ? -1 : 1;
  kept.sort((a, b) => (a[field] < b[field] ? -sign : a[field] > b[field] ? sign : 0));
  const given = limit > 0n ? kept.slice(0, Number(limit)) : kept;
  return [
    ...(request.countOnly ? [] : given.map(({ key, value }) => (request.keysOnly ? key : `${key}=${value}`))),
    `${found.length} ${!request.countOnly && kept.length > given.length}`,
  ];
}

test('any range of any history is what a plain list gives', () => {
  const key = fc.constantFrom('a', 'ab', 'b', 'c\0', 'd', 'e');
  const changes = fc.uniqueArray(
    fc.record({ key, isDelete: fc.boolean(), value: fc.constantFrom('', '1', '2') }),
    { minLength: 1, maxLength: 3, selector: (change) => change.key },
  );
  const bound = fc.oneof({ weight: 4, arbitrary: fc.constant(0n) }, fc.bigInt(1n, 12n));
  const requests = fc.record({
    key,
    rangeEnd: fc.constantFrom('', '\0', 'b', 'c', 'f'),
    limit: fc.oneof(fc.constant(0n), fc.bigInt(1n, 5n)),
    revision: fc.bigInt(-1n, 12n),
    sortOrder: fc.constantFrom(0, 0, 1, 2),
    sortTarget: fc.constantFrom(0, 0, 1, 2, 3, 4),
    keysOnly: fc.boolean(),
    countOnly: fc.constantFrom(false, false, false, true),
    ...{ minModRevision: bound, maxModRevision: bound, minCreateRevision: bound, maxCreateRevision: bound },
  });
  fc.assert(
    fc.property(
      fc.array(changes, { maxLength: 12 }),
      fc.nat(12),
      fc.array(requests, { maxLength: 12 }),
      (history, compacted, all) => {
        const twins = new TwinStore();
        for (const one of history) twins.change(one);
        if (compacted > 0 && compacted <= twins.keys.revision) twins.compact(compacted).finish();
        for (const one of all) {
          const request = requestOf({ ...one, key: text(one.key), rangeEnd: text(one.rangeEnd) });
          const at = Number(one.revision);
          if (at > twins.keys.revision || (at > 0 && at < twins.keys.compactRevision)) {
            assert.throws(() => answerRange(twins.keys, request));
            continue;
          }
          const { kvs, count, more } = answerRange(twins.keys, request);
          const found = kvs.map((bytes) => {
            const pair = keyValue.decode(bytes);
            return one.keysOnly ? textOf(pair.key) : `${textOf(pair.key)}=${textOf(pair.value)}`;
          });
          const expected = expectedOf(twins, request);
          // Of those that sort alike any order is right.
          if (one.sortTarget !== 0 && one.limit > 0n) assert.equal(found.length, expected.length - 1);
          else if (one.sortTarget !== 0) assert.deepEqual(found.toSorted(), expected.slice(0, -1).toSorted());
          else assert.deepEqual(found, expected.slice(0, -1));
          assert.equal(`${count} ${more}`, expected.at(-1));
        }
      },
    ),
    { numRuns: 400 },
  );
});
