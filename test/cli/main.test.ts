/** What only shows in a process of its own; the commands themselves are in `test/golden`. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { test } from 'node:test';
import { BIN, runProgram } from './program.ts';

test('a reader that goes away ends the output quietly, and the exit code stands', async () => {
  for (const args of [['help'], ['nonsense']]) {
    const child = spawn(process.execPath, [BIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    child.stderr.setEncoding('utf8');
    let stderr = '';
    child.stderr.on('data', (text: string) => (stderr += text));
    const [code] = await once(child, 'close');
    assert.equal(code, args[0] === 'help' ? 0 : 2);
    assert.doesNotMatch(stderr, /EPIPE|unexpected/);
  }
});

test('a full disk under stdout is an error, not a silence', { skip: !existsSync('/dev/full') }, () => {
  const full = openSync('/dev/full', 'w');
  const result = spawnSync(process.execPath, [BIN, 'version'], {
    encoding: 'utf8',
    stdio: ['ignore', full, 'pipe'],
  });
  closeSync(full);
  assert.equal(result.status, 1);
  assert.match(result.stderr, /^Error: cannot write to stdout: ENOSPC/);
});

test('nothing but the command line and the environment is read by version', () => {
  assert.deepEqual(runProgram(['version'], { ETCDKIT_COMPAT: '3.7' }), {
    stdout: 'etcdutl version: 3.7.3\nAPI version: 3.7\n',
    stderr: '',
    exitCode: 0,
  });
});
