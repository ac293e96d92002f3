import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DOWNGRADE_ACTION,
  downgradeRequest,
  downgradeResponse,
} from '../../../src/format/proto/maintenance-service.ts';
import { STATUS } from '../../../src/rpc/status.ts';
import { downgradeHandler } from '../../../src/server/services/downgrade.ts';
import { clusterVersionOf, downgradeOf, storageVersionOf } from '../../../src/server/versions.ts';
import type { Version } from '../../../src/store/schema/buckets.ts';
import { formatFull } from '../../../src/store/schema/migrate.ts';
import { FakeCall } from '../fake-call.ts';
import { MemoryCore } from '../memory-core.ts';

function bench({ clusterVersion = '3.6.0', emulated = '3.6' as Version } = {}) {
  const core = new MemoryCore({ clusterVersion });
  const handler = downgradeHandler(core, emulated);
  const ask = async (action: number, version = '') => {
    const request = downgradeRequest.encode({ action, version });
    return downgradeResponse.decode(await handler(request, new FakeCall()));
  };
  return {
    core,
    ask,
    validate: (version: string) => ask(DOWNGRADE_ACTION.validate, version),
    enable: (version: string) => ask(DOWNGRADE_ACTION.enable, version),
    cancel: () => ask(DOWNGRADE_ACTION.cancel),
    /** Cluster version, storage version, target of the downgrade that is under way. */
    state: () => {
      const { isEnabled, targetVersion } = downgradeOf(core.backend);
      const version = formatFull(clusterVersionOf(core.backend)!);
      return [version, storageVersionOf(core.backend), isEnabled ? targetVersion : ''];
    },
  };
}

for (const version of ['3.5', '3.5.0', '3.5.21']) {
  test(`from 3.6 a downgrade to ${version} is allowed, and looking does nothing`, async () => {
    const { core, validate } = bench();
    assert.deepEqual(await validate(version), { header: core.header(), version: '3.6' });
    assert.deepEqual(core.proposals, []);
  });
}

for (const [version, status, message] of [
  ['', STATUS.invalidArgument, 'etcdserver: wrong downgrade target version format'],
  ['3', STATUS.invalidArgument, 'etcdserver: wrong downgrade target version format'],
  ['x.y.z', STATUS.invalidArgument, 'etcdserver: wrong downgrade target version format'],
  ['3.4.0', STATUS.invalidArgument, 'etcdserver: invalid downgrade target version'],
  ['3.6.0', STATUS.invalidArgument, 'etcdserver: invalid downgrade target version'],
  ['2.5.0', STATUS.invalidArgument, 'etcdserver: invalid downgrade target version'],
] as const) {
  test(`a downgrade to "${version}" is refused: ${message}`, async () => {
    const { core, validate, enable } = bench();
    await assert.rejects(validate(version), { status, message });
    await assert.rejects(enable(version), { status, message });
    assert.deepEqual(core.told, [['warn', 'reject downgrade request']]);
  });
}

test('where the cluster has no version there is nothing to go down from', async () => {
  const { validate, cancel } = bench({ clusterVersion: '' });
  const expected = {
    status: STATUS.failedPrecondition,
    message: 'etcdserver: cluster version not found during downgrade',
  };
  await assert.rejects(validate('3.5.0'), expected);
  await assert.rejects(cancel(), expected);
});

test('a downgrade that is enabled leaves what the older etcd starts on', async () => {
  const { enable, validate, state } = bench();
  assert.equal((await enable('3.5.0')).version, '3.6');
  assert.deepEqual(state(), ['3.5.0', '3.5.0', '3.5.0']);
  await assert.rejects(validate('3.4.0'), {
    status: STATUS.failedPrecondition,
    message: 'etcdserver: cluster has a downgrade job in progress',
  });
});

test('from 3.7 to 3.6 the storage names the older version', async () => {
  const { enable, state } = bench({ clusterVersion: '3.7.0', emulated: '3.7' });
  await enable('3.6');
  assert.deepEqual(state(), ['3.6.0', '3.6.0', '3.6.0']);
});

test('a downgrade that is cancelled is undone', async () => {
  const { enable, cancel, state } = bench();
  await enable('3.5.0');
  assert.equal((await cancel()).version, '3.5');
  assert.deepEqual(state(), ['3.6.0', '3.6.0', '']);
});

test('with no downgrade to cancel, 3.6 says so in its log alone, and 3.5 to the client', async () => {
  const { core, cancel } = bench();
  assert.equal((await cancel()).version, '3.6');
  assert.deepEqual([core.told, core.proposals], [[['warn', 'failed to cancel downgrade']], []]);
  await assert.rejects(bench({ emulated: '3.5' }).cancel(), {
    status: STATUS.failedPrecondition,
    message: 'etcdserver: no inflight downgrade job',
  });
});

test('3.5 marks a downgrade, and leaves the rest to the etcd that is started next', async () => {
  const { core, enable, cancel, state } = bench({ clusterVersion: '3.5.0', emulated: '3.5' });
  core.backend.delete('meta', Buffer.from('storageVersion'));
  assert.equal((await enable('3.4')).version, '3.5.0');
  assert.deepEqual(state(), ['3.5.0', '3.5.0', '3.4.0']);
  assert.equal((await cancel()).version, '3.5.0');
  assert.deepEqual(state(), ['3.5.0', '3.5.0', '']);
});

test('an action that nobody knows', async () => {
  await assert.rejects(bench().ask(9), { status: STATUS.unknown, message: 'etcdserver: unknown method' });
});
