import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as requests from '../../../src/format/proto/auth-requests.ts';
import * as service from '../../../src/format/proto/auth-service.ts';
import type { Input, Message } from '../../../src/format/proto/field.ts';
import { RpcError } from '../../../src/rpc/status.ts';
import type { FakeCall } from '../fake-call.ts';
import { WithUsers } from '../with-users.ts';

const FAILED = 'etcdserver: authentication failed, invalid user ID or password';
const NOBODY = 'etcdserver: user name is empty';
const DENIED = 'etcdserver: permission denied';
/** What `addUser` of the accounts puts in place of a hash. */
const PASSWORD = 'secret';

async function told(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
    return 'ok';
  } catch (error) {
    assert.ok(error instanceof RpcError, String(error));
    return error.message;
  }
}

function change<Q>(users: WithUsers, name: string, [request, value]: [Message<Q>, Input<Q>], call: FakeCall) {
  return users.ask(`/etcdserverpb.Auth/${name}`, [request, value], service.authChangeResponse, call);
}

function login(users: WithUsers, name: string, password: string) {
  const request = { name, password };
  const response = service.authenticateResponse;
  return users.ask(
    '/etcdserverpb.Auth/Authenticate',
    [service.authenticateRequest, request],
    response,
    users.callOf(undefined),
  );
}

const addUser = (users: WithUsers, value: Input<requests.AuthUserAddRequest>, call = users.callOf('root')) =>
  change(users, 'UserAdd', [requests.authUserAddRequest, value], call);

describe('a login', () => {
  test('gives a token, by an entry that has neither password nor token in whole', async () => {
    const users = await WithUsers.make();
    const { token, header } = await login(users, 'u', PASSWORD);
    assert.deepEqual(header, users.core.header());
    const { authenticate, header: signed } = users.core.proposals[0]!;
    assert.equal(`${authenticate!.simpleToken}.${users.core.appliedIndex}`, token);
    assert.deepEqual([authenticate!.name, authenticate!.password, signed], ['u', undefined, undefined]);
    const { revision } = users.core.applier.users;
    assert.deepEqual(users.tokens.infoOf(token, revision), { username: 'u', revision });
  });

  test('fails alike with a wrong password and for a user that is not there', async () => {
    const users = await WithUsers.make();
    assert.equal(await told(login(users, 'u', 'wrong')), FAILED);
    assert.equal(await told(login(users, 'x', PASSWORD)), FAILED);
    assert.deepEqual(users.core.proposals, []);
    assert.equal(users.core.told.filter(([level]) => level === 'warn').length, 2);
  });

  test('that fails is counted each time, and logged ten times a second', async () => {
    const users = await WithUsers.make();
    for (let i = 0; i < 100; i++) await told(login(users, `x${i}`, 'wrong'));
    assert.equal(users.stats.access.loginsFailed, 100);
    const lines = users.core.told.filter(([level]) => level === 'warn').length;
    assert.ok(lines >= 10 && lines <= 50, `${lines} lines`);
  });

  test('fails for a user without a password, and while authentication is off', async () => {
    const users = await WithUsers.make();
    await addUser(users, { name: 'certificate', options: { noPassword: true } });
    const text = 'auth: authentication failed, password was given for no password user';
    assert.equal(await told(login(users, 'certificate', '')), text);
    await users.core.propose({ authDisable: {}, header: { username: 'root', authRevision: 99 } });
    assert.equal(await told(login(users, 'u', PASSWORD)), 'etcdserver: authentication is not enabled');
    assert.deepEqual(users.looked, []);
  });

  test('looks at the password again when users changed meanwhile', async () => {
    const users = await WithUsers.make();
    const header = { username: 'root', authRevision: 99 };
    let changes = 0;
    users.meanwhile = async () => {
      if (++changes === 1) await users.core.propose({ authRoleAdd: { name: 's' }, header });
    };
    assert.ok((await login(users, 'u', PASSWORD)).token);
    assert.deepEqual(users.looked, ['matches', 'matches']);
    users.meanwhile = async () => {
      await users.core.propose({ authUserDelete: { name: 'u' }, header });
    };
    assert.equal(await told(login(users, 'u', PASSWORD)), FAILED);
  });

  test('works on what is only read, without an entry', async () => {
    const users = await WithUsers.make();
    Object.assign(users.core, { isReadOnly: true });
    const [first, second] = [await login(users, 'u', PASSWORD), await login(users, 'u', PASSWORD)];
    assert.notEqual(first.token, second.token);
    assert.equal(typeof users.tokens.infoOf(first.token, 1), 'object');
    assert.deepEqual(users.core.proposals, []);
  });
});

describe('passwords', () => {
  test('go through the log as what bcrypt makes of them', async () => {
    const users = await WithUsers.make();
    await addUser(users, { name: 'v', password: 'pw' });
    await change(
      users,
      'UserChangePassword',
      [requests.authUserChangePasswordRequest, { name: 'u', password: 'pw' }],
      users.callOf('root'),
    );
    const hashedPassword = Buffer.from('hash of pw').toString('base64');
    const [added, changed] = users.core.proposals;
    assert.deepEqual(
      [added!.authUserAdd, changed!.authUserChangePassword],
      [
        { name: 'v', options: undefined, hashedPassword },
        { name: 'u', hashedPassword },
      ],
    );
    assert.equal(Buffer.from(users.core.applier.users.user('u')!.password).toString(), 'hash of pw');
  });

  test('are not hashed for somebody who may not change them, nor for users without', async () => {
    const users = await WithUsers.make();
    assert.equal(await told(addUser(users, { name: 'v', password: 'pw' }, users.callOf(undefined))), NOBODY);
    assert.equal(await told(addUser(users, { name: 'v', password: 'pw' }, users.callOf('u'))), DENIED);
    await addUser(users, { name: 'v', password: 'pw', options: { noPassword: true } });
    assert.deepEqual(users.looked, []);
    assert.equal(users.core.proposals[0]!.authUserAdd!.password, undefined);
    assert.equal(users.core.applier.users.user('v')!.password.length, 0);
  });
});

describe('questions', () => {
  const roles = (users: WithUsers, name: string, call: FakeCall) =>
    users.ask(
      '/etcdserverpb.Auth/UserGet',
      [requests.authUserGetRequest, { name }],
      service.authUserGetResponse,
      call,
    );
  const permissions = (users: WithUsers, role: string, call: FakeCall) =>
    users.ask(
      '/etcdserverpb.Auth/RoleGet',
      [requests.authRoleGetRequest, { role }],
      service.authRoleGetResponse,
      call,
    );

  test('everybody may ask about themselves and their roles, root about all', async () => {
    const users = await WithUsers.make();
    assert.deepEqual((await roles(users, 'u', users.callOf('u'))).roles, ['r']);
    assert.equal(await told(roles(users, 'nobody', users.callOf('u'))), DENIED);
    assert.equal(await told(roles(users, 'u', users.callOf(undefined))), NOBODY);
    assert.deepEqual((await roles(users, 'u', users.callOf('root'))).roles, ['r']);
    assert.equal((await permissions(users, 'r', users.callOf('u'))).perm.length, 2);
    assert.equal(await told(permissions(users, 'root', users.callOf('u'))), DENIED);
    assert.equal(await told(roles(users, 'x', users.callOf('root'))), 'etcdserver: user name not found');
  });

  test('whether authentication is on everybody may ask since 3.7', async () => {
    for (const [emulated, expected] of [
      ['3.5', NOBODY],
      ['3.6', NOBODY],
      ['3.7', 'ok'],
    ] as const) {
      const users = await WithUsers.make({ emulated });
      const ask = (call: FakeCall) =>
        users.ask(
          '/etcdserverpb.Auth/AuthStatus',
          [requests.authStatusRequest, {}],
          service.authStatusResponse,
          call,
        );
      assert.equal(await told(ask(users.callOf(undefined))), expected);
      assert.equal(await told(ask(users.callWith('x'))), 'etcdserver: invalid auth token');
    }
  });

  test('are answered without an entry', async () => {
    const users = await WithUsers.make();
    const call = users.callOf('root');
    const path = '/etcdserverpb.Auth/AuthStatus';
    const status = await users.ask(path, [requests.authStatusRequest, {}], service.authStatusResponse, call);
    const { revision } = users.core.applier.users;
    assert.deepEqual([status.enabled, status.authRevision], [true, revision]);
    await roles(users, 'u', call);
    assert.deepEqual(users.core.proposals, []);
  });
});
