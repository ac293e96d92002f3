import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checksOf, readHealth, runChecks } from '../../../src/server/monitor/health.ts';
import type { ServerView } from '../../../src/server/monitor/server-view.ts';
import { HealthStats } from '../../../src/server/monitor/stats.ts';
import { healthyView } from './healthy-view.ts';

const failing = (what: 'all' | 'linearizable'): Partial<ServerView> => ({
  read: async ({ isSerializable }) => {
    if (what === 'all' || !isSerializable) throw new TypeError('etcdserver: request timed out');
  },
});

test('why a server is not well, alarms before the leader before reads', async () => {
  const ask = (change: Partial<ServerView>, excluded: string[] = [], isSerializable = false) =>
    readHealth(healthyView(change), { excluded: new Set(excluded), isSerializable });
  const alarms = [{ memberId: 1n, type: 'NOSPACE' as const }];
  assert.equal(await ask({}), undefined);
  assert.equal(await ask({ alarms, hasLeader: false }), 'ALARM NOSPACE');
  assert.equal(await ask({ alarms: [{ memberId: 1n, type: 'CORRUPT' }] }, ['NOSPACE']), 'ALARM CORRUPT');
  assert.equal(await ask({ alarms }, ['NOSPACE']), undefined);
  assert.equal(await ask({ hasLeader: false }), 'RAFT NO LEADER');
  assert.equal(await ask({ hasLeader: false }, [], true), undefined);
  assert.equal(await ask(failing('all')), 'RANGE ERROR:etcdserver: request timed out');
  assert.equal(await ask(failing('linearizable'), [], true), undefined);
});

test('readiness asks for more than life', async () => {
  const run = async (type: 'livez' | 'readyz', change: Partial<ServerView>) =>
    (await runChecks(type, checksOf(type, healthyView(change)), new HealthStats())).report;
  assert.equal(await run('livez', failing('linearizable')), '[+]serializable_read ok\n');
  assert.equal(
    await run('readyz', {
      ...failing('linearizable'),
      isLearner: true,
      alarms: [{ memberId: 1n, type: 'CORRUPT' }],
    }),
    [
      '[-]data_corruption failed: alarm activated: CORRUPT',
      '[+]serializable_read ok',
      '[-]linearizable_read failed: etcdserver: request timed out',
      '[-]non_learner failed: not supported for learner',
      '',
    ].join('\n'),
  );
});

test('checks are counted by how they went', async () => {
  const stats = new HealthStats();
  const view = healthyView();
  await runChecks('readyz', checksOf('readyz', view), stats);
  view.isLearner = true;
  await runChecks('readyz', checksOf('readyz', view), stats);
  assert.deepEqual(stats.checks.get('readyz/non_learner'), { isGood: false, success: 1, error: 1 });
  assert.deepEqual(stats.checks.get('readyz/serializable_read'), { isGood: true, success: 2, error: 0 });
});
