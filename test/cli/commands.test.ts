import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { COMMANDS, firstWords, nameOf, NOUNS, verbsOf } from '../../src/cli/commands.ts';
import { FLAGS, GLOBAL_FLAGS } from '../../src/cli/flags.ts';
import { scan } from '../../src/cli/scan.ts';
import { ROOT } from './program.ts';

test('rows have distinct names, and nouns a line of help', () => {
  const names = COMMANDS.map(nameOf);
  assert.equal(new Set(names).size, names.length);
  for (const noun of firstWords()) {
    if (verbsOf(noun).length > 0) assert.ok(NOUNS[noun], noun);
  }
});

test('every example is one that the command takes, short enough for one line', () => {
  for (const command of COMMANDS) {
    assert.ok(command.examples.length > 0, nameOf(command));
    for (const [line] of command.examples) {
      assert.ok(line.length <= 90, line);
      const words = line.split(/ [|>] /)[0]!.split(' ');
      const read = scan(words, 'etcdkit');
      assert.equal(read.problem, undefined, line);
      assert.equal(read.command, command, line);
      assert.ok(
        read.operands.length >= command.operands.min && read.operands.length <= command.operands.max,
        line,
      );
    }
  }
});

test('every command loads and has golden cases', async () => {
  for (const command of COMMANDS) {
    assert.equal(typeof (await command.load()), 'function', nameOf(command));
    const golden = join('test', 'golden', `${command.path.join('/')}.txt`);
    assert.ok(existsSync(join(ROOT, golden)), `${golden} is missing`);
  }
});

test('every flag belongs to a command', () => {
  const used: Set<string> = new Set([...GLOBAL_FLAGS, ...COMMANDS.flatMap((command) => command.flags)]);
  assert.deepEqual(
    Object.keys(FLAGS).filter((name) => !used.has(name)),
    [],
  );
});
