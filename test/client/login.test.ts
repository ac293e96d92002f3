import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { Channel } from '../../src/client/channel.ts';
import { logIn } from '../../src/client/login.ts';
import { authenticateRequest, authenticateResponse } from '../../src/format/proto/auth-service.ts';
import type { UnaryHandler } from '../../src/rpc/seam.ts';
import { RpcError, STATUS } from '../../src/rpc/status.ts';
import { startSnapshotServer } from '../support/snapshot-server.ts';

const USER = { name: 'root', password: 'secret' };

async function channelTo(t: TestContext, authenticate: UnaryHandler): Promise<Channel> {
  const { server, endpoint } = await startSnapshotServer(async () => {}, {
    '/etcdserverpb.Auth/Authenticate': authenticate,
  });
  t.after(() => server.close({ graceMs: 0 }));
  const channel = await Channel.connect(endpoint);
  t.after(() => channel.close());
  return channel;
}

test('a login gives what further calls show', async (t) => {
  const asked: unknown[] = [];
  const channel = await channelTo(t, (bytes) => {
    asked.push(authenticateRequest.decode(bytes));
    return authenticateResponse.encode({ token: 'a.1' });
  });
  assert.deepEqual(await logIn(channel, USER), { token: 'a.1' });
  assert.deepEqual(asked, [USER]);
});

test('a server that asks nobody needs no login', async (t) => {
  const channel = await channelTo(t, () => {
    throw new RpcError(STATUS.failedPrecondition, 'etcdserver: authentication is not enabled');
  });
  assert.deepEqual(await logIn(channel, USER), {});
});

test('a wrong password is told', async (t) => {
  const message = 'etcdserver: authentication failed, invalid user ID or password';
  const channel = await channelTo(t, () => {
    throw new RpcError(STATUS.invalidArgument, message);
  });
  await assert.rejects(logIn(channel, USER), { message, status: STATUS.invalidArgument });
});
