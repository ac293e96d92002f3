import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PERMISSION_TYPE, type Permission } from '../../../src/format/proto/authpb.ts';
import type { RangeResponse } from '../../../src/format/proto/kvpb.ts';
import { leaseGrantResponse } from '../../../src/format/proto/lease-service.ts';
import { latin1 } from '../../support/bolt-spec.ts';
import { text } from '../database-builder.ts';
import { addRole, addUser, ENABLE, giveRole, permit } from './accounts.ts';
import { grant, put, type Request, StateMachine } from './state-machine.ts';

test('a range is answered with what is stored', () => {
  const state = new StateMachine();
  state.accept(put('a'), put('b'));
  const { response } = state.request({ range: { key: text('a'), rangeEnd: text('z') } });
  assert.equal((response as RangeResponse).count, 2);
});

test('a lease is answered with the time it got', () => {
  const { response } = new StateMachine({ leaseTtlMin: 5 }).request(grant(7n, 1n));
  const { id, ttl } = leaseGrantResponse.decode(leaseGrantResponse.encode(response as object));
  assert.deepEqual([id, ttl], [7n, 5n]);
});

test("a compaction is the caller's to carry out", () => {
  const state = new StateMachine();
  state.accept(put('a'), put('a'));
  const { compaction, response } = state.request({ compaction: { revision: 3n } });
  assert.deepEqual([compaction?.revision, response, state.records().length], [3, undefined, 2]);
  compaction!.finish();
  assert.deepEqual(state.records(), ['3.0 a=v']);
  assert.match(state.request({ compaction: { revision: 3n } }).rejection?.message ?? '', /compacted/);
});

describe('questions about users', () => {
  const prepared = (): StateMachine => {
    const state = new StateMachine();
    state.accept(addUser('u'), addRole('r'), giveRole('u', 'r'), permit('r', PERMISSION_TYPE.read, 'k', 'l'));
    return state;
  };
  const answers: Array<[Request, unknown]> = [
    [{ authStatus: {} }, { enabled: false, authRevision: 5 }],
    [{ authUserGet: { name: 'u' } }, { roles: ['r'] }],
    [{ authUserList: {} }, { users: ['u'] }],
    [{ authRoleList: {} }, { roles: ['r'] }],
  ];
  for (const [request, expected] of answers) {
    test(`${Object.keys(request)[0]} is answered`, () => {
      assert.deepEqual(prepared().request(request).response, expected);
    });
  }

  test('a role has its permissions, and root all of them', () => {
    const state = prepared();
    const permsOf = (role: string): string[] =>
      (state.request({ authRoleGet: { role } }).response as { perm: Permission[] }).perm.map(
        ({ permType, key, rangeEnd }) => `${permType} ${latin1(key)} ${latin1(rangeEnd)}`,
      );
    assert.deepEqual(permsOf('r'), [`${PERMISSION_TYPE.read} k l`]);
    state.accept(addRole('root'));
    assert.deepEqual(permsOf('root'), [`${PERMISSION_TYPE.readWrite}  \0`]);
  });

  test('what is not there is told', () => {
    const state = prepared();
    const reason = (request: Request): string | undefined => state.request(request).rejection?.message;
    assert.equal(reason({ authUserGet: { name: 'x' } }), 'etcdserver: user name not found');
    assert.equal(reason({ authRoleGet: { role: 'x' } }), 'etcdserver: role name not found');
  });

  test('of others only root may ask', () => {
    const state = prepared();
    state.accept(addUser('v'), addRole('s'), ...ENABLE);
    const askedBy = (username: string, request: Request): string | undefined =>
      state.request({ header: { username, authRevision: 99 }, ...request }).rejection?.message;
    const denied = 'etcdserver: permission denied';
    assert.equal(askedBy('u', { authUserGet: { name: 'u' } }), undefined);
    assert.equal(askedBy('u', { authUserGet: { name: 'v' } }), denied);
    assert.equal(askedBy('u', { authRoleGet: { role: 'r' } }), undefined);
    assert.equal(askedBy('u', { authRoleGet: { role: 's' } }), denied);
    for (const request of [{ authUserList: {} }, { authRoleList: {} }, { authStatus: {} }]) {
      assert.equal(askedBy('u', request), denied);
      assert.equal(askedBy('root', request), undefined);
      assert.equal(askedBy('', request), 'etcdserver: user name is empty');
    }
    assert.equal(askedBy('u', { range: { key: text('k') } }), undefined);
    assert.equal(askedBy('u', { range: { key: text('m') } }), denied);
  });
});
