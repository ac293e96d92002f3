import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Findings, LAYERS, type Layer, type Verdict } from '../../src/check/report.ts';
import type { Finding, Severity } from '../../src/errors.ts';

const finding = (severity: Severity, message = ''): Finding => ({
  code: 'bolt.key',
  severity,
  where: {},
  message,
});

const cases: Array<[severities: Severity[], verdict: Verdict, damageCount: number]> = [
  [[], 'GOOD', 0],
  [['note'], 'GOOD with notes', 0],
  [['note', 'lossy'], 'DAMAGED', 1],
  [['fatal'], 'DAMAGED', 1],
  [['fatal', 'lossy', 'note', 'lossy'], 'DAMAGED', 3],
];
for (const [severities, verdict, damageCount] of cases) {
  test(`${severities.join(', ') || 'nothing'}: ${verdict}`, () => {
    const findings = new Findings();
    for (const severity of severities) findings.layer('pages')(finding(severity));
    assert.equal(findings.verdict(), verdict);
    assert.equal(findings.damageCount, damageCount);
  });
}

test('a layer is checked when its sink was asked for, in the order of the layers', () => {
  const findings = new Findings();
  findings.layer('content')(finding('lossy'));
  findings.layer('content')(finding('note'));
  findings.layer('file');
  assert.deepEqual(
    findings.layers().map(({ layer }) => layer),
    [...LAYERS],
  );
  const checked = findings.layers().filter(({ status }) => status === 'checked');
  assert.deepEqual(checked, [
    { layer: 'file', status: 'checked', fatal: 0, lossy: 0, notes: 0 },
    { layer: 'content', status: 'checked', fatal: 0, lossy: 1, notes: 1 },
  ]);
});

test('a layer that was checked can be incomplete; one that was not asked for stays skipped', () => {
  const findings = new Findings();
  findings.layer('content');
  findings.noteIncomplete('content');
  findings.noteIncomplete('schema');
  const statuses = Object.fromEntries(findings.layers().map(({ layer, status }) => [layer, status]));
  assert.deepEqual([statuses['content'], statuses['schema']], ['incomplete', 'skipped']);
});

test('findings are streamed as they come, with their layer', () => {
  const streamed: Array<[Layer, string]> = [];
  const findings = new Findings(({ layer, message }) => streamed.push([layer, message]));
  findings.layer('pages')(finding('lossy', 'one'));
  findings.layer('log')(finding('note', 'two'));
  assert.deepEqual(streamed, [
    ['pages', 'one'],
    ['log', 'two'],
  ]);
});

test('the first thousand are kept, all are counted and streamed', () => {
  let streamed = 0;
  const findings = new Findings(() => streamed++);
  const sink = findings.layer('pages');
  for (let i = 0; i < 2500; i++) sink(finding('lossy', String(i)));
  assert.equal(findings.kept.length, 1000);
  assert.equal(findings.kept.at(-1)!.message, '999');
  assert.equal(findings.damageCount, 2500);
  assert.equal(streamed, 2500);
});
