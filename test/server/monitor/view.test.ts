/** What metrics and health checks see is how things are when they look. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WatchHub } from '../../../src/store/mvcc/watch.ts';
import { ALARM_ACTION, ALARM_TYPE } from '../../../src/format/proto/rpcpb.ts';
import { viewOf } from '../../../src/server/monitor/view.ts';
import { MEMBER } from '../../store/database-builder.ts';
import { put } from '../../store/apply/state-machine.ts';
import { MemoryCore, type MemoryCoreOptions } from '../memory-core.ts';

function bench(options: MemoryCoreOptions = {}) {
  const core = new MemoryCore(options);
  const hub = new WatchHub(core.keys, core.backend);
  const counts = { granted: 1, renewed: 2, revoked: 3, expired: 4 };
  const view = viewOf(core, {
    emulated: '3.6',
    quotaBytes: 77,
    services: { hub, lessor: { counts } as never },
  });
  return { core, view, counts };
}

test('it follows the state', async () => {
  const { core, view } = bench();
  assert.deepEqual([view.revision, view.keyCount, view.appliedIndex], [1, 0, 10]);
  await core.propose(put('a'));
  await core.propose(put('b'));
  assert.deepEqual([view.revision, view.keyCount, view.appliedIndex, view.committedIndex], [3, 2, 12, 12]);
  assert.equal(view.compactRevision, -1);
  await core.propose({ compaction: { revision: 2n } });
  assert.equal(view.compactRevision, 2);
  assert.equal(view.tally.puts, 2);
});

test('who and how large it is comes from the core', () => {
  const { core, view, counts } = bench();
  assert.equal(view.memberId, MEMBER.id);
  assert.deepEqual(
    [view.serverVersion, view.clusterVersion, view.storageVersion],
    ['3.6.16', '3.6.0', '3.6.0'],
  );
  assert.deepEqual(
    [view.databaseBytes, view.databaseInUseBytes],
    [core.backend.sizeBytes, core.backend.inUseBytes],
  );
  assert.deepEqual([view.quotaBytes, view.leases], [77, counts]);
  assert.deepEqual([view.watcherCount, view.slowWatcherCount], [0, 0]);
});

test('a version that is not decided or not stored is none', () => {
  const { core, view } = bench({ clusterVersion: '' });
  core.backend.delete('meta', Buffer.from('storageVersion'));
  assert.deepEqual([view.clusterVersion, view.storageVersion], [undefined, undefined]);
});

test('alarms have their names', async () => {
  const { core, view } = bench();
  assert.deepEqual(view.alarms, []);
  for (const alarm of [ALARM_TYPE.nospace, ALARM_TYPE.corrupt])
    await core.propose({ alarm: { action: ALARM_ACTION.activate, memberId: MEMBER.id, alarm } });
  const types = view.alarms.map(({ memberId, type }) => [memberId, type]);
  assert.deepEqual(types, [
    [MEMBER.id, 'NOSPACE'],
    [MEMBER.id, 'CORRUPT'],
  ]);
});

test('reading fails as a client’s would', async () => {
  const { core, view } = bench();
  await view.read({ isSerializable: false });
  core.keys.range = () => {
    throw new TypeError('broken');
  };
  await assert.rejects(view.read({ isSerializable: true }), TypeError);
});
