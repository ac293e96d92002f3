import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bashScript } from '../../../src/cli/completion/bash.ts';
import { fishScript } from '../../../src/cli/completion/fish.ts';
import { completionModel } from '../../../src/cli/completion/model.ts';
import { powershellScript } from '../../../src/cli/completion/powershell.ts';
import { zshScript } from '../../../src/cli/completion/zsh.ts';
import { COMMANDS, nameOf } from '../../../src/cli/commands.ts';
import { FLAGS } from '../../../src/cli/flags.ts';

test('a node for the program, every noun and every command', () => {
  const model = completionModel('etcdkit');
  const paths = model.nodes.map((node) => node.path);
  for (const command of COMMANDS) assert.ok(paths.includes(nameOf(command)));
  assert.ok(paths.includes('') && paths.includes('snapshot'));
  assert.equal(new Set(paths).size, paths.length);
});

test('beginnings lead on only where they are unambiguous', () => {
  const [program] = completionModel('etcdkit').nodes;
  const seen = program!.steps.flatMap((step) => step.prefixes);
  assert.equal(new Set(seen).size, seen.length);
  assert.ok(seen.includes('snap'));
});

test('every script names every command and flag, and the program it is for', () => {
  for (const make of [bashScript, zshScript, fishScript, powershellScript]) {
    const script = make(completionModel('etcdutl'));
    for (const command of COMMANDS) assert.ok(script.includes(nameOf(command)), nameOf(command));
    for (const name of Object.keys(FLAGS)) assert.ok(script.includes(name), name);
    assert.ok(script.includes('etcdutl'));
    assert.ok(!script.includes('etcdkit'));
    assert.ok(!script.includes('undefined'));
  }
});
