import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALARM_TYPE } from '../../../src/format/proto/rpcpb.ts';
import { STATUS } from '../../../src/rpc/status.ts';
import { admit, hasRoom } from '../../../src/server/services/quota.ts';
import { MEMBER } from '../../store/database-builder.ts';
import { MemoryCore } from '../memory-core.ts';

for (const [quota, cost, expected] of [
  [1000, 99, true],
  [1000, 100, false],
  [1000, 0, true],
  [500, 0, true],
  [-1, 1e12, true],
] as const) {
  test(`a database of 900 bytes under a quota of ${quota}: room for ${cost} more is ${expected}`, () => {
    assert.equal(hasRoom({ sizeBytes: 900 }, quota, cost), expected);
  });
}

test('what finds no room raises the alarm once', async () => {
  const core = new MemoryCore();
  await admit(core, 30_000, 500);
  assert.deepEqual(core.applier.alarms(), []);
  for (let i = 0; i < 3; i++) {
    await assert.rejects(async () => admit(core, 20_500, 500), {
      status: STATUS.resourceExhausted,
      message: 'etcdserver: mvcc: database space exceeded',
    });
  }
  const alarms = core.applier.alarms().map(({ memberId, alarm }) => [memberId, alarm]);
  assert.deepEqual(alarms, [[MEMBER.id, ALARM_TYPE.nospace]]);
  assert.equal(core.proposals.length, 1);
});

test('a disk without room for the database refuses what costs something, and raises no alarm', async () => {
  const core = Object.assign(new MemoryCore(), { isDiskFull: true });
  await assert.rejects(async () => admit(core, -1, 1), { status: STATUS.resourceExhausted });
  await admit(core, -1, 0);
  core.isDiskFull = false;
  await admit(core, -1, 1);
  assert.deepEqual(core.applier.alarms(), []);
});
