import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RefusedError } from '../../../src/errors.ts';
import { formatId } from '../../../src/format/ids.ts';
import { defaultConfig, type FirstStart } from '../../../src/server/config.ts';
import { planFirstMember } from '../../../src/server/start/first-member.ts';

const start = (change: Partial<FirstStart>) => {
  const config = defaultConfig();
  return planFirstMember({ ...config, firstStart: { ...config.firstStart, ...change } });
};

test('a server that is told nothing has the ids that etcd gives such a member', async () => {
  const { clusterId, member } = await start({});
  assert.equal(formatId(member.id), '8e9e05c52164694d');
  assert.equal(formatId(clusterId), 'cdf818194e3a8c32');
  assert.deepEqual(member.peerUrls, ['http://localhost:2380']);
});

test('the token decides the ids', async () => {
  const { member } = await start({ token: 'other' });
  assert.notEqual(formatId(member.id), '8e9e05c52164694d');
});

test('several members, or one that is to join, are refused with the reason', async () => {
  const isRefused = (pattern: RegExp) => (error: unknown) =>
    error instanceof RefusedError && error.code === 'server.config' && pattern.test(error.message);
  const initialCluster = 'default=http://localhost:2380,b=http://localhost:2381';
  await assert.rejects(start({ initialCluster }), isRefused(/has 2 members .*no peers/));
  await assert.rejects(start({ state: 'existing' }), isRefused(/joins a running cluster/));
});

test('contradictions are told in the words of etcd', async () => {
  await assert.rejects(start({ initialCluster: 'b=http://localhost:2380' }), {
    message: 'couldn\'t find local name "default" in the initial cluster configuration',
  });
  await assert.rejects(start({ initialCluster: 'default=http://localhost:9' }), {
    message:
      /^--initial-cluster has default=http:\/\/localhost:9 but missing from --initial-advertise-peer-urls/,
  });
});
