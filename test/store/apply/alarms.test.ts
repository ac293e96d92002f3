import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALARM_ACTION, ALARM_TYPE } from '../../../src/format/proto/rpcpb.ts';
import { alarmResponse } from '../../../src/format/proto/maintenance-service.ts';
import { Alarms } from '../../../src/store/apply/alarms.ts';
import { put, type Request, StateMachine } from './state-machine.ts';

const { get, activate, deactivate } = ALARM_ACTION;
const { none, nospace, corrupt } = ALARM_TYPE;
const request = (action: number, alarm: number, memberId = 1n): Request => ({
  alarm: { action, memberId, alarm },
});

/** Alarms of the answer, as `member type`. */
function asked(state: StateMachine, ...about: Parameters<typeof request>): string[] {
  const { response } = state.request(request(...about));
  return alarmResponse
    .decode(alarmResponse.encode(response as object))
    .alarms.map(({ memberId, alarm }) => `${memberId} ${alarm}`);
}

test('the answer is the alarm that is meant, if there is one to mean', () => {
  const state = new StateMachine();
  assert.deepEqual(asked(state, activate, nospace), ['1 1']);
  assert.deepEqual(asked(state, activate, nospace), ['1 1'], 'active already');
  assert.deepEqual(asked(state, activate, none), []);
  assert.deepEqual(asked(state, deactivate, corrupt), []);
  assert.deepEqual(asked(state, deactivate, nospace, 2n), []);
  assert.deepEqual(asked(state, deactivate, nospace), ['1 1']);
  assert.deepEqual(asked(state, deactivate, nospace), []);
  assert.deepEqual(asked(state, 9, nospace), [], 'an action that nobody knows');
  assert.deepEqual(state.rows('alarm'), []);
});

test('those that are active are listed, all or by type, and are known again', () => {
  const state = new StateMachine();
  state.accept(request(activate, nospace, 2n), request(activate, corrupt), request(activate, nospace));
  assert.deepEqual(asked(state, get, none), ['1 1', '1 2', '2 1']);
  assert.deepEqual(asked(state, get, nospace), ['1 1', '2 1']);
  const expected = state.applier.alarms();
  assert.equal(expected.length, 3);
  assert.deepEqual(new Alarms(state.backend).list(), expected);
});

test('where data is in doubt and there is no room, the doubt is told', () => {
  const state = new StateMachine();
  state.accept(request(activate, nospace), request(activate, corrupt));
  assert.equal(state.ask(put('a')), 'etcdserver: corrupt cluster');
});
