import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { COMPARE_RESULT, COMPARE_TARGET, type Compare } from '../../../src/format/proto/rpcpb.ts';
import { text } from '../database-builder.ts';
import { grant, put, remove, StateMachine } from './state-machine.ts';

const op = (key: string, value = 'v'): object => ({ requestPut: { key: text(key), value: text(value) } });

test('puts count revisions, and need their lease and their key', () => {
  const state = new StateMachine();
  state.accept(grant(7n), put('a', '1', 7n));
  assert.equal(state.ask(put('b', '1', 9n)), 'requested lease not found');
  const key = text('a');
  for (const flag of ['ignoreValue', 'ignoreLease'])
    assert.equal(state.ask({ put: { key: text('x'), [flag]: true } }), 'etcdserver: key not found');
  state.accept({ put: { key, ignoreValue: true } }, put('a', '2', 7n), {
    put: { key, value: text('3'), ignoreLease: true },
  });
  assert.deepEqual(state.records(), ['2.0 a=1', '3.0 a=1', '4.0 a=2', '5.0 a=3']);
  const [pair] = state.applier.keys.range({ key, end: undefined });
  assert.deepEqual([pair?.createRevision, pair?.version, pair?.lease], [2, 4, 7n]);
});

for (const [key, end, deleted] of [
  ['b', '', ['5.0 b†']],
  ['a', 'c', ['5.0 a†', '5.1 b†']],
  ['b', '\0', ['5.0 b†', '5.1 c†']],
  ['x', '', []],
] as const) {
  test(`a deletion of ${key} to ${JSON.stringify(end)}`, () => {
    const state = new StateMachine();
    state.accept(put('c'), put('a'), put('b'), remove(key, end));
    assert.deepEqual(state.records().slice(3), deleted);
    assert.equal(state.applier.keys.revision, deleted.length > 0 ? 5 : 4);
  });
}

const { equal, greater, less, notEqual } = COMPARE_RESULT;
const { version, create, mod, value, lease } = COMPARE_TARGET;
/** `a` was made at 2 and changed at 3, with lease 7; `b` was made at 4. */
const compares: Array<[Partial<Compare> & { key: Uint8Array }, boolean]> = [
  [{ key: text('a'), target: version, result: equal, version: 2n }, true],
  [{ key: text('a'), target: version, result: notEqual, version: 2n }, false],
  [{ key: text('a'), target: create, result: equal, createRevision: 2n }, true],
  [{ key: text('a'), target: create, result: less, createRevision: 2n }, false],
  [{ key: text('a'), target: mod, result: greater, modRevision: 2n }, true],
  [{ key: text('a'), target: mod, result: greater, modRevision: 3n }, false],
  [{ key: text('a'), target: value, result: less, value: text('3') }, true],
  [{ key: text('a'), target: value, result: equal, value: text('3') }, false],
  [{ key: text('a'), target: lease, result: equal, lease: 7n }, true],
  [{ key: text('a'), target: lease, result: equal, lease: 0n }, false],
  [{ key: text('x'), target: version, result: equal, version: 0n }, true],
  [{ key: text('x'), target: lease, result: greater, lease: 0n }, false],
  [{ key: text('x'), target: value, result: notEqual, value: text('1') }, false],
  [{ key: text('a'), rangeEnd: text('c'), target: create, result: greater, createRevision: 1n }, true],
  [{ key: text('a'), rangeEnd: text('c'), target: create, result: equal, createRevision: 2n }, false],
];

describe('a transaction', () => {
  for (const [i, [compare, expected]] of compares.entries()) {
    test(`compares, case ${i}`, () => {
      const state = new StateMachine();
      state.accept(grant(7n), put('a', '1', 7n), put('a', '2', 7n), put('b'));
      state.accept({ txn: { compare: [compare], success: [op('yes')], failure: [op('no')] } });
      assert.equal(state.keys().at(-1), expected ? 'yes' : 'no');
    });
  }

  test('is one revision; deletions see earlier puts, compares of nested ones do not', () => {
    const state = new StateMachine();
    const isNew = { key: text('a'), target: version, result: equal, version: 0n };
    const nested = { compare: [isNew], success: [op('new')], failure: [op('old')] };
    const deletion = { requestDeleteRange: { key: text('a') } };
    state.accept({ txn: { success: [op('a'), { requestTxn: nested }, deletion, op('z')] } });
    assert.deepEqual(state.records(), ['2.0 a=v', '2.1 new=v', '2.2 a†', '2.3 z=v']);
    state.accept({ txn: { success: [deletion] } });
    assert.equal(state.applier.keys.revision, 2);
  });

  const failing: Array<[object, RegExp]> = [
    [{ requestPut: { key: text('b'), lease: 9n } }, /lease not found/],
    [{ requestPut: { key: text('b'), ignoreValue: true } }, /key not found/],
    [{ requestRange: { key: text('a'), revision: 99n } }, /future revision/],
    [{ requestRange: { key: text('a'), revision: 2n } }, /compacted/],
    [{ requestRange: { key: text('a'), revision: -1n } }, /compacted/],
  ];
  for (const [bad, reason] of failing) {
    test(`fails whole: ${reason.source} ${Object.keys(bad)[0]}`, () => {
      const state = new StateMachine();
      state.accept(put('a', '1'), put('a', '2'), { compaction: { revision: 3n } });
      assert.match(state.ask({ txn: { success: [op('c'), bad] } }) ?? '', reason);
      assert.deepEqual(state.records(), ['3.0 a=2']);
      state.accept({ txn: { success: [op('c')], failure: [bad] } });
      assert.deepEqual(state.records(), ['3.0 a=2', '4.0 c=v']);
    });
  }
});
