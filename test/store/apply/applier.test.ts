import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptError } from '../../../src/errors.ts';
import { ENTRY_TYPE } from '../../../src/format/proto/raftpb.ts';
import { ALARM_ACTION, ALARM_TYPE } from '../../../src/format/proto/rpcpb.ts';
import { text } from '../database-builder.ts';
import { grant, put, remove, type Request, StateMachine } from './state-machine.ts';

test('each entry moves index and term, whatever becomes of it', () => {
  const state = new StateMachine();
  const none = state.applier.apply({ index: 4, term: 2, type: ENTRY_TYPE.normal, data: new Uint8Array() });
  assert.deepEqual([none, state.applier.consistentIndex], [{ what: 'no-op' }, 4]);
  const fresh = new StateMachine();
  assert.notEqual(fresh.ask(put('a', '', 9n)), undefined);
  assert.equal(fresh.applier.consistentIndex, 1);
  fresh.accept({ range: { key: text('a') } });
  assert.equal(fresh.applier.consistentIndex, 2);
  assert.equal(fresh.row('meta', 'term'), '\0\0\0\0\0\0\0\x03');
  assert.deepEqual(fresh.records(), []);
});

test('databases of 3.4 get no term', () => {
  const state = new StateMachine({ hasTerm: false });
  state.accept(put('a'));
  assert.deepEqual(state.rows('meta'), [['consistent_index', '\0\0\0\0\0\0\0\x01']]);
});

test('what no server could read is damage', () => {
  const state = new StateMachine();
  assert.throws(() => state.entry(new Uint8Array(), ENTRY_TYPE.confChangeV2), CorruptError);
  assert.throws(() => state.ask({ id: 1n }), CorruptError);
  assert.equal(state.applier.consistentIndex, 0);
});

test('compactions below and beyond are refused', () => {
  const state = new StateMachine();
  const compact = (revision: bigint): Request => ({ compaction: { revision } });
  state.accept(put('a', '1'), put('a', '2'), remove('a'), put('b'), compact(3n));
  assert.deepEqual(state.records(), ['3.0 a=2', '4.0 a†', '5.0 b=v']);
  assert.match(state.ask(compact(3n)) ?? '', /compacted/);
  assert.match(state.ask(compact(6n)) ?? '', /future/);
  assert.equal(state.records().length, 3);
});

const alarm = (action: number, kind: number): Request => ({ alarm: { action, memberId: 1n, alarm: kind } });
const txnOf = (op: object): Request => ({ txn: { failure: [op] } });
const PUT = { requestPut: { key: text('b') } };
const gated: Array<[Request, nospace: boolean, corrupt: boolean]> = [
  [put('b'), true, true],
  [grant(2n), true, true],
  [txnOf(PUT), true, true],
  [txnOf({ requestTxn: { success: [PUT] } }), true, true],
  [txnOf({ requestDeleteRange: { key: text('a') } }), false, true],
  [remove('a'), false, true],
  [{ compaction: { revision: 2n } }, false, true],
  [{ leaseRevoke: { id: 1n } }, false, true],
  [{ authRoleAdd: { name: 'r' } }, false, false],
];
for (const [i, [request, ...expected]] of gated.entries()) {
  test(`alarms and ${Object.keys(request)[0]}, case ${i}`, () => {
    const reasons = ['etcdserver: mvcc: database space exceeded', 'etcdserver: corrupt cluster'];
    for (const [at, kind] of [ALARM_TYPE.nospace, ALARM_TYPE.corrupt].entries()) {
      const state = new StateMachine();
      state.accept(grant(1n), put('a'), alarm(ALARM_ACTION.activate, kind));
      assert.equal(state.ask(request), expected[at] ? reasons[at] : undefined);
      state.accept(alarm(ALARM_ACTION.deactivate, kind));
      assert.deepEqual(state.rows('alarm'), []);
      if (expected[at]) state.accept(request);
    }
  });
}

test('an alarm is a row, once; none is no alarm', () => {
  const state = new StateMachine();
  const activate = (kind: number): Request => alarm(ALARM_ACTION.activate, kind);
  state.accept(activate(ALARM_TYPE.nospace), activate(ALARM_TYPE.nospace), activate(ALARM_TYPE.none));
  assert.deepEqual(state.rows('alarm'), [['\x08\x01\x10\x01', '']]);
});
