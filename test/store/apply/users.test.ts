import assert from 'node:assert/strict';
import { test } from 'node:test';
import { user } from '../../../src/format/proto/authpb.ts';
import { UnsupportedError } from '../../../src/errors.ts';
import { Users } from '../../../src/store/apply/users.ts';
import { text } from '../database-builder.ts';
import { addRole, addUser, ENABLE, giveRole, permit } from './accounts.ts';
import { type Request, StateMachine } from './state-machine.ts';

const header = { username: 'root', authRevision: 99 };
const takeRole = (name: string, one: string): Request => ({ authUserRevokeRole: { name, role: one } });
const forbid = (key: string, rangeEnd = ''): Request => ({
  authRoleRevokePermission: { role: 'r', key: text(key), rangeEnd: text(rangeEnd) },
});

/** Before each: user u with role r, which may use key k. Revision 5. */
const PREPARED = [addUser('u'), addRole('r'), giveRole('u', 'r'), permit('r', 0, 'k')];
const steps: Array<[Request, advance: number, rejection?: string]> = [
  [addUser('v'), 1],
  [addUser('u'), 0, 'user name already exists'],
  [addUser(''), 0, 'user name is empty'],
  [{ authUserChangePassword: { name: 'u' } }, 1],
  [{ authUserChangePassword: { name: 'x' } }, 0, 'user name not found'],
  [{ authUserDelete: { name: 'u' } }, 1],
  [{ authUserDelete: { name: 'x' } }, 0, 'user name not found'],
  [giveRole('u', 'root'), 1],
  [giveRole('u', 'r'), 0],
  [giveRole('u', 'x'), 0, 'role name not found'],
  [giveRole('x', 'r'), 0, 'user name not found'],
  [takeRole('u', 'r'), 1],
  [takeRole('u', 'x'), 0, 'role is not granted to the user'],
  [addRole('s'), 1],
  [addRole('r'), 0, 'role name already exists'],
  [addRole(''), 0, 'role name is empty'],
  [{ authRoleDelete: { role: 'r' } }, 1],
  [{ authRoleDelete: { role: 'x' } }, 0, 'role name not found'],
  [permit('r', 1, 'k'), 1],
  [permit('x', 1, 'k'), 0, 'role name not found'],
  [permit('r', 1, 'k', 'a'), 0, 'invalid auth management'],
  [permit('r', 1, ''), 0, 'invalid auth management'],
  [permit('r', 1, 'k', '\0'), 1],
  [{ authRoleGrantPermission: { name: 'r' } }, 0, 'permission not given'],
  [forbid('k'), 1],
  [forbid('k', 'l'), 0, 'permission is not granted to the role'],
  [{ authDisable: {} }, 0],
  [{ authEnable: {} }, 0, 'root user does not exist'],
];
for (const [i, [request, advance, rejection]] of steps.entries()) {
  test(`${Object.keys(request)[0]}, case ${i}: ${rejection ?? 'done'}`, () => {
    const state = new StateMachine();
    state.accept(...PREPARED);
    assert.equal(state.ask(request), rejection && `etcdserver: ${rejection}`);
    assert.equal(new Users(state.backend).revision, 5 + advance);
  });
}

test('authentication is turned on without a new revision, off with one, and needs root', () => {
  const state = new StateMachine();
  state.accept(addUser('root'));
  assert.equal(state.ask({ authEnable: {} }), 'etcdserver: root user does not have root role');
  state.accept(...ENABLE.slice(1));
  const assertUsers = (expected: [isEnabled: boolean, revision: number]): void => {
    for (const users of [state.applier.users, new Users(state.backend)])
      assert.deepEqual([users.isEnabled, users.revision], expected);
  };
  assertUsers([true, 4]);
  state.accept({ header, authDisable: {} });
  assertUsers([false, 5]);
});

for (const request of [
  { authUserDelete: { name: 'root' } },
  takeRole('root', 'root'),
  { authRoleDelete: { role: 'root' } },
]) {
  test(`${Object.keys(request)[0]} spares root only while authentication is on`, () => {
    const state = new StateMachine();
    state.accept(...ENABLE);
    assert.equal(state.ask({ header, ...request }), 'etcdserver: invalid auth management');
    state.accept({ header, authDisable: {} }, request);
  });
}

test('roles and permissions are sorted, a deleted role is taken from its users', () => {
  const state = new StateMachine();
  state.accept(...PREPARED, addRole('a'), giveRole('u', 'a'), permit('r', 1, 'b', 'c'), permit('r', 2, 'k'));
  const users = new Users(state.backend);
  assert.deepEqual(users.user('u')?.roles, ['a', 'r']);
  const kept = users
    .role('r')
    ?.keyPermission.map(({ permType, key }) => `${permType}${Buffer.from(key).toString()}`);
  assert.deepEqual(kept, ['1b', '2k']);
  state.accept({ authRoleDelete: { role: 'r' } });
  assert.deepEqual([users.user('u')?.roles, users.role('r')], [['a'], undefined]);
});

test('a user keeps its password and its options, or that it never had any', () => {
  const state = new StateMachine();
  state.accept(addUser('u'));
  const row = { name: text('u'), password: text('secret'), options: {} };
  assert.equal(state.row('authUsers', 'u'), Buffer.from(user.encode(row)).toString('latin1'));
  state.backend.put('authUsers', text('old'), user.encode({ name: text('old') }));
  state.accept(giveRole('old', 'root'), {
    authUserAdd: { name: 'n', options: { noPassword: true }, hashedPassword: 'QQ==' },
  });
  const users = new Users(state.backend);
  assert.equal(users.user('old')?.options, undefined);
  assert.equal(users.user('n')?.password.length, 0);
  assert.throws(() => state.ask({ authUserAdd: { name: 'p', password: 'plain' } }), UnsupportedError);
});
