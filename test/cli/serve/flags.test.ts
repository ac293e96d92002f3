import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FLAGS, flagRow } from '../../../src/cli/flags.ts';
import {
  isServeFlag,
  OWN_FLAGS,
  SERVE_FLAG_NAMES,
  SERVE_FLAGS,
  type ServeFlag,
  variableOf,
} from '../../../src/cli/serve/flags.ts';
import { GOLDEN_VARIABLE } from '../../support/golden.ts';
import { projectRoot } from '../../support/project.ts';

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

const PAGE = join(projectRoot(), 'docs', 'serve-flags.md');

const cell = (text: string): string => text.replaceAll('|', String.raw`\|`);

/** `docs/serve-flags.md`: every flag, and what becomes of it. */
function page(): string {
  const rows = (kind: string, columns: (name: ServeFlag) => string[]): string =>
    SERVE_FLAG_NAMES.filter((name) => SERVE_FLAGS[name].treatment.kind === kind)
      .map((name) => `| ${columns(name).map(cell).join(' | ')} |`)
      .join('\n');
  const reason = (name: ServeFlag): string[] => [`\`--${name}\``, SERVE_FLAGS[name].text];
  return `# Flags of \`etcdkit serve\`

etcd's, with its defaults. Each can also be set by an environment variable (\`ETCD_MAX_WALS\` for \`--max-wals\`), or all of
them in the YAML file of \`--config-file\`, in which case other flags and variables are ignored, as by etcd. Our own are
read from the command line alone: ${OWN_FLAGS.map((name) => `\`--${name}\``).join(', ')}.

## What decides something

| flag | default | what |
|---|---|---|
${rows('used', (name) => {
  const { default: value, text } = SERVE_FLAGS[name];
  return [`\`--${name}\``, value === undefined ? '' : `\`${value}\``, text];
})}

## Taken, but without effect

One member is the same with any value; the log says so when one is given.

| flag | why |
|---|---|
${rows('idle', reason)}

## Refused

Unless the value asks for nothing, such as \`--enable-pprof=false\`.

| flag | why |
|---|---|
${rows('refused', reason)}

## Old names

| flag | now |
|---|---|
${rows('alias', reason)}
${rows('gate', reason)}
`;
}

test('the page that lists all flags is up to date', () => {
  if (process.env[GOLDEN_VARIABLE] === 'write') writeFileSync(PAGE, page());
  assert.equal(readFileSync(PAGE, 'utf8'), page());
});
