import { OPEN_ACCESS } from '../open-access.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ToolError } from '../../../src/errors.ts';
import { hashKvRequest } from '../../../src/format/proto/kvpb.ts';
import * as messages from '../../../src/format/proto/maintenance-service.ts';
import { ALARM_ACTION, ALARM_TYPE, alarmRequest } from '../../../src/format/proto/rpcpb.ts';
import { STATUS } from '../../../src/rpc/status.ts';
import { maintenanceService, type MaintenanceOptions } from '../../../src/server/services/maintenance.ts';
import { MEMBER } from '../../store/database-builder.ts';
import { put } from '../../store/apply/state-machine.ts';
import { ask, type FakeCall } from '../fake-call.ts';
import { MemoryCore, type MemoryCoreOptions } from '../memory-core.ts';

const PATH = '/etcdserverpb.Maintenance/';
const { nospace, corrupt, none } = ALARM_TYPE;

function bench(coreOptions: MemoryCoreOptions = {}, options: Partial<MaintenanceOptions> = {}) {
  const core = new MemoryCore(coreOptions);
  const defaults = { access: OPEN_ACCESS, emulated: '3.6', version: '3.6.16', quotaBytes: 2 ** 31 } as const;
  const methods = maintenanceService(core, { ...defaults, ...options });
  const alarm = async (action: number, type: number, memberId = MEMBER.id) => {
    const request = { action, alarm: type, memberId };
    const answer = await ask(methods, `${PATH}Alarm`, [alarmRequest, request], messages.alarmResponse);
    return answer.alarms.map((one) => [one.memberId, one.alarm]);
  };
  return {
    core,
    alarm,
    get: (type: number = none) => alarm(ALARM_ACTION.get, type),
    activate: (type: number, id?: bigint) => alarm(ALARM_ACTION.activate, type, id),
    deactivate: (type: number) => alarm(ALARM_ACTION.deactivate, type),
    status: () => ask(methods, `${PATH}Status`, [messages.statusRequest, {}], messages.statusResponse),
    defragment: () =>
      ask(methods, `${PATH}Defragment`, [messages.defragmentRequest, {}], messages.defragmentResponse),
    hash: () => ask(methods, `${PATH}Hash`, [messages.hashRequest, {}], messages.hashResponse),
    hashKv: (revision: bigint, call?: FakeCall) =>
      ask(methods, `${PATH}HashKV`, [hashKvRequest, { revision }], messages.hashKvResponse, call),
    moveLeader: (targetId: bigint) =>
      ask(
        methods,
        `${PATH}MoveLeader`,
        [messages.moveLeaderRequest, { targetId }],
        messages.moveLeaderResponse,
      ),
  };
}

test('alarms are raised, listed by kind, and lifted', async () => {
  const { get, activate, deactivate } = bench();
  assert.deepEqual(await get(), []);
  assert.deepEqual(await activate(nospace), [[MEMBER.id, nospace]]);
  assert.deepEqual(await activate(nospace), [[MEMBER.id, nospace]]);
  assert.deepEqual(await activate(corrupt, 5n), [[5n, corrupt]]);
  assert.deepEqual(await activate(none), []);
  assert.deepEqual(await get(nospace), [[MEMBER.id, nospace]]);
  assert.equal((await get()).length, 2);
  assert.deepEqual(await deactivate(nospace), [[MEMBER.id, nospace]]);
  assert.deepEqual(await deactivate(nospace), []);
  assert.deepEqual(await get(), [[5n, corrupt]]);
});

test('a look at the alarms writes nothing, so it is answered over a mounted backup too', async () => {
  const { get, activate, core } = bench({ isReadOnly: true });
  assert.deepEqual(await get(), []);
  assert.deepEqual(core.proposals, []);
  await assert.rejects(activate(nospace), { message: /read-only/ });
});

test('a status of 3.6 says all there is to say', async () => {
  const { core, status } = bench();
  assert.deepEqual(await status(), {
    header: core.header(),
    version: '3.6.16',
    dbSize: 20_480,
    leader: MEMBER.id,
    raftIndex: 10,
    raftTerm: 3,
    raftAppliedIndex: 10,
    errors: [],
    dbSizeInUse: 16_384,
    isLearner: false,
    storageVersion: '3.6.0',
    dbSizeQuota: 2n ** 31n,
    downgradeInfo: { enabled: false, targetVersion: '' },
  });
});

test('a status of 3.5 says nothing that came later', async () => {
  const { status } = bench({}, { emulated: '3.5', version: '3.5.30' });
  const { version, storageVersion, dbSizeQuota, downgradeInfo } = await status();
  assert.deepEqual([version, storageVersion, dbSizeQuota, downgradeInfo], ['3.5.30', '', 0n, undefined]);
});

test('a storage without a version of its own is one of 3.5, and no quota is a negative one', async () => {
  const { core, status } = bench({}, { quotaBytes: -1 });
  core.backend.delete('meta', Buffer.from('storageVersion'));
  const { storageVersion, dbSizeQuota } = await status();
  assert.deepEqual([storageVersion, dbSizeQuota], ['3.5.0', -1n]);
});

for (const [emulated, blank] of [
  ['3.6', ' '],
  ['3.7', ''],
] as const) {
  test(`a status lists alarms as etcd ${emulated} writes them`, async () => {
    const { activate, status } = bench({}, { emulated });
    await activate(nospace);
    await activate(corrupt, 5n);
    assert.deepEqual((await status()).errors, [
      `memberID:5 alarm:CORRUPT${blank}`,
      `memberID:${MEMBER.id} alarm:NOSPACE${blank}`,
    ]);
  });
}

test('a defragmentation is told in the log, and to whoever wants to know', async () => {
  const seen: boolean[] = [];
  const { core, defragment } = bench({}, { onDefrag: (isRunning) => void seen.push(isRunning) });
  assert.deepEqual(await defragment(), {});
  assert.deepEqual([core.backend.defragCount, seen], [1, [true, false]]);
  assert.deepEqual(core.told, [
    ['info', 'starting defragment'],
    ['info', 'finished defragment'],
  ]);
});

test('one defragmentation waits for the other, also for one that fails', async () => {
  const seen: boolean[] = [];
  const { core, defragment } = bench({}, { onDefrag: (isRunning) => void seen.push(isRunning) });
  core.backend.defragFailure = new ToolError('io.no-space', 'no space left on device');
  const both = [defragment(), defragment()];
  for (const one of both)
    await assert.rejects(one, { status: STATUS.unknown, message: 'no space left on device' });
  assert.deepEqual(seen, [true, false, true, false]);
});

test('what is only looked at is not defragmented', async () => {
  const { core, defragment } = bench({ isReadOnly: true });
  await assert.rejects(defragment(), { status: STATUS.failedPrecondition, message: /read-only/ });
  assert.equal(core.backend.defragCount, 0);
});

test('hashes come under the revision they were made at, and close what they looked at', async () => {
  const { core, hash, hashKv } = bench();
  assert.deepEqual(await hashKv(0n), {
    header: core.header(),
    hash: 1_084_519_789,
    compactRevision: -1n,
    hashRevision: 1,
  });
  const before = await hash();
  await core.propose(put('a'));
  await core.propose(put('b'));
  assert.notEqual((await hash()).hash, before.hash);
  const two = await hashKv(2n);
  assert.deepEqual([two.header!.revision, two.hashRevision], [3, 2]);
  const newest = await hashKv(0n);
  assert.equal(newest.hashRevision, 3);
  assert.notEqual(newest.hash, two.hash);
  assert.equal(core.backend.openViewCount, 0);
});

test('a hash of 3.5 does not name its revision', async () => {
  assert.equal((await bench({}, { emulated: '3.5' }).hashKv(0n)).hashRevision, 0);
});

for (const [revision, message] of [
  [1n, 'etcdserver: mvcc: required revision has been compacted'],
  [-1n, 'etcdserver: mvcc: required revision has been compacted'],
  [4n, 'etcdserver: mvcc: required revision is a future revision'],
  [2n ** 62n, 'etcdserver: mvcc: required revision is a future revision'],
] as const) {
  test(`no hash at revision ${revision}: ${message}`, async () => {
    const { core, hashKv } = bench();
    for (const key of ['a', 'b']) await core.propose(put(key));
    await core.propose({ compaction: { revision: 2n } });
    await assert.rejects(hashKv(revision), { status: STATUS.outOfRange, message });
    assert.equal(core.backend.openViewCount, 0);
  });
}

test('the leader stays where it is, since there is nobody else', async () => {
  const { moveLeader } = bench();
  assert.deepEqual(await moveLeader(MEMBER.id), {});
  await assert.rejects(moveLeader(9n), {
    status: STATUS.failedPrecondition,
    message: 'etcdserver: bad leader transferee',
  });
});
