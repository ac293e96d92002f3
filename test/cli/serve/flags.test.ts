import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FLAGS, flagRow } from '../../../src/cli/flags.ts';
import { isServeFlag, SERVE_FLAG_NAMES, SERVE_FLAGS, variableOf } from '../../../src/cli/serve/flags.ts';

test('a flag that other commands have too takes a value in both, or in neither', () => {
  for (const name of Object.keys(FLAGS) as (keyof typeof FLAGS)[]) {
    if (!isServeFlag(name)) continue;
    assert.equal(SERVE_FLAGS[name].kind === 'boolean', flagRow(name).kind === 'boolean', name);
  }
});

test('an old name stands for a flag of the same kind, which is no old name itself', () => {
  for (const name of SERVE_FLAG_NAMES) {
    const { kind, treatment } = SERVE_FLAGS[name];
    if (treatment.kind !== 'alias') continue;
    assert.ok(isServeFlag(treatment.of), name);
    const target = SERVE_FLAGS[treatment.of];
    assert.equal(target.kind, kind, name);
    assert.ok(['used', 'idle', 'refused'].includes(target.treatment.kind), name);
  }
});

test('what is refused or idle has a reason, and what decides something is in help', () => {
  for (const name of SERVE_FLAG_NAMES) {
    const { treatment, text, isHidden } = SERVE_FLAGS[name];
    assert.ok(text.length > 10, name);
    assert.equal(isHidden ?? false, treatment.kind !== 'used', name);
  }
});

test('variables', () => {
  assert.equal(variableOf('listen-client-urls'), 'ETCD_LISTEN_CLIENT_URLS');
});
