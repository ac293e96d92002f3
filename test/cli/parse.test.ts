import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMANDS, nameOf } from '../../src/cli/commands.ts';
import { flagRow, flagText, flagValues, GLOBAL_FLAGS } from '../../src/cli/flags.ts';
import { helpText, parseFlags } from '../../src/cli/parse.ts';
import { scan } from '../../src/cli/scan.ts';

test('values reach us as they were given', async () => {
  for (const value of [
    '5',
    '',
    '0x10',
    '-1',
    '--',
    '"quoted"',
    "'q'",
    '"',
    'a=b',
    'two\nlines',
    'true',
    '1e3',
    'ä b',
  ]) {
    const raw = await parseFlags(scan(['hashkv', `--rev=${value}`], 'etcdkit'), ['rev']);
    assert.deepEqual(raw, { rev: value });
  }
});

test('a flag given twice keeps both values, and an absent one is absent', async () => {
  const raw = await parseFlags(scan(['hashkv', '--rev=1', '--rev', '2'], 'etcdkit'), [
    ...GLOBAL_FLAGS,
    'rev',
  ]);
  assert.deepEqual(raw.rev, ['1', '2']);
  assert.equal(raw['timeout'], undefined);
});

test('booleans and lists', async () => {
  const names = ['quick', 'layers'] as const;
  const line = ['snap', 'verify', 'x', '--quick', '--layers', 'file,pages', '--layers=log', '--quick=F'];
  const values = flagValues(names, await parseFlags(scan(line, 'etcdkit'), names));
  assert.deepEqual({ ...values }, { quick: false, layers: ['file', 'pages', 'log'] });
});

test('help names every flag and example of a command', async () => {
  for (const command of COMMANDS) {
    const text = await helpText(scan([...command.path, '--help'], 'etcdkit'), 'etcdkit');
    for (const name of [...command.flags, ...GLOBAL_FLAGS]) {
      const isHidden = flagRow(name, command.rows).isHidden ?? false;
      assert.equal(new RegExp(`${flagText(name)}(?![\\w-])`).test(text), !isHidden, name);
    }
    for (const [line] of command.examples) assert.ok(text.includes(`\n  etcdkit ${line}\n`), line);
    assert.ok(text.startsWith(`etcdkit ${nameOf(command)}`));
  }
});

test('help of the program names every command', async () => {
  const text = await helpText(scan([], 'etcdutl'), 'etcdutl');
  for (const command of COMMANDS) assert.ok(text.includes(`etcdutl ${command.path[0]}`));
});
