import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { plainContext } from '../../src/ops/context.ts';
import { drill, DRILL_CLUSTER, type DrillStep } from '../../src/ops/drill.ts';
import { verifySnapshot } from '../../src/ops/snapshot/verify.ts';
import { buildDatabase, put, sealed } from '../store/database-builder.ts';
import { fixture } from '../support/fixtures.ts';
import { scratch } from '../support/scratch.ts';
import { unchanged } from '../support/unchanged.ts';

const context = plainContext();

test('a backup is verified, damaged, restored, defragmented and hashed, step by step', async (t) => {
  const path = fixture('snap/snap-3.6.db');
  const directory = join(scratch(t), 'drill');
  const told: DrillStep[] = [];
  const report = await unchanged(path, () =>
    drill(path, { directory, onStep: (step) => told.push(step) }, context),
  );

  assert.equal(report.directory, directory);
  assert.deepEqual(told, report.steps);
  const outcomes = new Map(report.steps.map(({ what, outcome }) => [what, outcome]));
  assert.equal(outcomes.get('verify snap-3.6.db'), 'GOOD, 40992 bytes accounted for');
  assert.match(outcomes.get('flip one bit in a copy, verify it')!, /^DAMAGED: .*\[page \d+, .*offset \d+\]$/);
  assert.equal(outcomes.get('hashkv of the backup'), '339503442 at revision 19');
  const names = DRILL_CLUSTER.map((member) => member.split('=')[0]!);
  for (const name of names) {
    assert.match(outcomes.get(`verify ${name}.etcd`)!, /^GOOD, \d+ bytes accounted for$/);
    assert.match(outcomes.get(`defrag ${name}.etcd`)!, /^\d+ → \d+ bytes, \d+ records$/);
    assert.equal(outcomes.get(`hashkv ${name}.etcd`), '339503442, the same as of the backup');
  }
  assert.ok(report.steps.every(({ tookMs }) => tookMs >= 0));

  const members = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.equal(members.length, 3);
  for (const { name } of members) {
    const { damageCount, kind } = await verifySnapshot(join(directory, name), {}, context);
    assert.deepEqual([damageCount, kind], [0, 'data directory']);
  }
});

test('nothing is written over', async (t) => {
  const directory = join(scratch(t), 'drill');
  mkdirSync(directory);
  await assert.rejects(drill(fixture('snap/snap-3.6.db'), { directory }, context), {
    code: 'restore.target-exists',
  });
  assert.deepEqual(readdirSync(directory), []);
});

test('a damaged backup ends the drill at its first step', async (t) => {
  const root = scratch(t);
  const path = join(root, 'bad.db');
  writeFileSync(path, sealed(buildDatabase({ records: [put(2, 'a', { modRevision: 3 })] })));
  const steps: DrillStep[] = [];
  const run = drill(path, { directory: join(root, 'drill'), onStep: (step) => steps.push(step) }, context);
  await assert.rejects(run, {
    code: 'mvcc.mod-revision',
    message: /DAMAGED \(1 findings\)/,
    hint: `etcdkit snapshot verify ${path}`,
  });
  assert.deepEqual(steps, []);
  assert.ok(!existsSync(join(root, 'drill', 'a')));
});

test('a backup without keys has nothing to rehearse with', async (t) => {
  const root = scratch(t);
  const path = join(root, 'empty.db');
  writeFileSync(path, sealed(buildDatabase()));
  await assert.rejects(drill(path, { directory: join(root, 'drill') }, context), {
    message: /holds no keys to rehearse with/,
  });
});
