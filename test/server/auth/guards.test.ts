import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STREAM_PATHS, UNARY_PATHS } from '../../../src/server/api-paths.ts';
import { guarded, GUARDS } from '../../../src/server/auth/guards.ts';
import { FakeCall } from '../fake-call.ts';
import { OPEN_ACCESS } from '../open-access.ts';
import { WithUsers } from '../with-users.ts';

const NOTHING = new Uint8Array();

test('every method that is served says what it asks of its caller', () => {
  assert.deepEqual(Object.keys(GUARDS).toSorted(), [...UNARY_PATHS, ...STREAM_PATHS].toSorted());
});

test('a method that says nothing is not served', () => {
  assert.throws(
    () => guarded({ unary: { '/a/B': () => NOTHING } }, OPEN_ACCESS),
    /nothing says who may call/,
  );
});

test('without a login nothing runs but what is for everybody, or asks by itself', async () => {
  const { methods } = await WithUsers.make();
  for (const [path, guard] of Object.entries(GUARDS)) {
    if (guard !== 'root' && guard !== 'login') continue;
    const call = new FakeCall(path);
    call.push(NOTHING);
    const run = async (): Promise<unknown> =>
      methods.unary?.[path]?.(NOTHING, call) ?? methods.stream![path]!(call);
    await assert.rejects(run, { message: 'etcdserver: user name is empty' }, path);
    assert.deepEqual(call.sent, []);
  }
});
