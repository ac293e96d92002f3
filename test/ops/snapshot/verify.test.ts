import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { plainContext } from '../../../src/ops/context.ts';
import { verifySnapshot } from '../../../src/ops/snapshot/verify.ts';
import { buildDatabase, put, sealed } from '../../store/database-builder.ts';
import { plantMember } from '../../check/directories.ts';
import { hurry } from '../../check/writer.ts';
import { fixture } from '../../support/fixtures.ts';
import { scratch } from '../../support/scratch.ts';
import { unchanged } from '../../support/unchanged.ts';

const context = plainContext();

test('passes options on: layers, quick, where the log is', async (t) => {
  const path = fixture('snap/snap-3.6.db');
  const checked = async (options: Parameters<typeof verifySnapshot>[1]): Promise<string[]> => {
    const report = await unchanged(path, () => verifySnapshot(path, options, context));
    assert.equal(report.verdict, 'GOOD');
    return report.layers.filter(({ status }) => status === 'checked').map(({ layer }) => layer);
  };
  assert.deepEqual(await checked({}), ['file', 'pages', 'content', 'schema']);
  assert.deepEqual(await checked({ layers: ['pages'] }), ['pages']);
  assert.deepEqual(await checked({ isQuick: true }), ['file']);

  const directory = scratch(t);
  plantMember(directory);
  const elsewhere = await verifySnapshot(directory, { walDir: join(directory, 'nowhere') }, context);
  assert.match(elsewhere.findings[0]!.message, /there is no log at .*nowhere/);
});

test('tells findings with the path they belong to', async (t) => {
  const path = join(scratch(t), 'bad.db');
  writeFileSync(path, sealed(buildDatabase({ records: [put(2, 'a', { modRevision: 3 })] })));
  const told: unknown[] = [];
  const report = await verifySnapshot(
    path,
    { onFinding: (of, { code, layer }) => told.push([of, layer, code]) },
    context,
  );
  assert.equal(report.verdict, 'DAMAGED');
  assert.deepEqual(told, [[path, 'content', 'mvcc.mod-revision']]);
});

test('shows how far it is, and stops when it is told to', async (t) => {
  hurry(t);
  const path = fixture('snap/snap-3.6.db');
  const labels: string[] = [];
  const steps: number[] = [];
  const controller = new AbortController();
  const progress = (label: string): ((done: number, total: number) => void) => {
    labels.push(label);
    return (done, total) => {
      steps.push(done / total);
      if (steps.length === 4) controller.abort();
    };
  };
  const run = verifySnapshot(path, {}, plainContext({ progress, signal: controller.signal }));
  await assert.rejects(run, { code: 'interrupted' });
  assert.deepEqual(labels, [`verifying ${path}`]);
  assert.deepEqual(
    steps,
    [...steps].sort((a, b) => a - b),
  );
  assert.ok(
    steps.every((step) => step > 0 && step <= 1),
    steps.join(),
  );
});
