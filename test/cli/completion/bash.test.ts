/** The script is given to bash itself. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { bashScript } from '../../../src/cli/completion/bash.ts';
import { firstWords } from '../../../src/cli/commands.ts';
import { completionModel } from '../../../src/cli/completion/model.ts';

const version = spawnSync('bash', ['-c', 'echo $BASH_VERSINFO'], { encoding: 'utf8' }).stdout ?? '';
const skip = Number(version) >= 4 ? false : 'no bash 4 on this host';

/** What completion offers for the last word. */
function complete(words: readonly string[]): string[] {
  const list = words.map((word) => `'${word}'`).join(' ');
  const script = `${bashScript(completionModel('etcdkit'))}
COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _etcdkit; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const result = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8', cwd: '/' });
  assert.equal(result.stderr, '');
  return result.stdout.split('\n').filter((line) => line !== '');
}

test('commands, by beginnings and in full', { skip }, () => {
  assert.deepEqual(complete(['etcdkit', '']), firstWords());
  assert.deepEqual(complete(['etcdkit', 'sn']), ['snapshot']);
  assert.ok(complete(['etcdkit', 'snap', '']).includes('status'));
  assert.deepEqual(complete(['etcdkit', '-w', 'json', 'snapshot', 'st']), ['status']);
  assert.deepEqual(complete(['etcdkit', '--write-out', '=', 'json', 'ha']), ['hashkv']);
});

test('flags and their values', { skip }, () => {
  assert.deepEqual(complete(['etcdkit', 'hashkv', '--re']), ['--rev']);
  assert.deepEqual(complete(['etcdkit', 'snapshot', 'status', '--re']), []);
  assert.deepEqual(complete(['etcdkit', '-w', '']), ['simple', 'table', 'json', 'fields']);
  assert.deepEqual(complete(['etcdkit', '--write-out', '=']), ['simple', 'table', 'json', 'fields']);
  assert.deepEqual(complete(['etcdkit', '--write-out', '=', 'j']), ['json']);
});

test('operands: words that the command knows, or files', { skip }, () => {
  assert.deepEqual(complete(['etcdkit', 'completion', 'p']), ['powershell']);
  assert.deepEqual(complete(['etcdkit', 'snapshot', 'status', 'et']), ['etc']);
});

test('bash registers the function', { skip }, () => {
  const script = `${bashScript(completionModel('etcdutl'))}\ncomplete -p etcdutl`;
  const { stdout } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8' });
  assert.equal(stdout, 'complete -F _etcdutl etcdutl\n');
});

test('the server has flags and values of its own', { skip }, () => {
  assert.deepEqual(complete(['etcdkit', 'serve', '--listen-c']), [
    '--listen-client-urls',
    '--listen-client-http-urls',
  ]);
  assert.deepEqual(complete(['etcdkit', 'serve', '--name', 'x', '--emulate', '']), ['3.5', '3.6', '3.7']);
  assert.deepEqual(complete(['etcdkit', 'serve', '--peer-auto-t']), []);
});
