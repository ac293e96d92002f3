import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RefusedError } from '../../../src/errors.ts';
import { assertEnforceable } from '../../../src/server/auth/enforceable.ts';
import { addUser, ENABLE } from '../../store/apply/accounts.ts';
import { StateMachine } from '../../store/apply/state-machine.ts';

const DAMAGED = Uint8Array.of(0x0a, 0xff);

for (const [bucket, name] of [
  ['authUsers', 'u'],
  ['authRoles', 'root'],
] as const) {
  test(`a row of ${bucket} that cannot be read is refused, while authentication is on`, () => {
    const state = new StateMachine();
    state.accept(addUser('u'), ...ENABLE);
    const { users } = state.applier;
    assert.doesNotThrow(() => assertEnforceable(users, 'db'));
    state.backend.put(bucket, Buffer.from(name), DAMAGED);
    assert.throws(
      () => assertEnforceable(users, 'db'),
      (error: unknown) =>
        error instanceof RefusedError && error.code === 'server.auth' && error.message.includes(name),
    );
    users.isEnabled = false;
    assert.doesNotThrow(() => assertEnforceable(users, 'db'));
  });
}
