import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { identityOf, writersOf } from '../../src/bytes/openers.ts';
import { scratch } from '../support/scratch.ts';

const skip = existsSync('/proc/self/fdinfo') ? false : 'this system has no /proc';

/** A process that has the file open as the shell's redirection says. */
async function opened(t: TestContext, path: string, redirection: '<' | '<>'): Promise<ChildProcess> {
  const child = spawn('sh', ['-c', `exec 3${redirection}"$1"; echo open; read line`, 'sh', path], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  t.after(() => child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout!.once('data', resolve));
  return child;
}

test('who writes is seen, also when the file has lost its name; who reads is not', { skip }, async (t) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, '');
  const file = identityOf(path)!;
  await opened(t, path, '<');
  assert.deepEqual(writersOf(file), []);
  const writer = await opened(t, path, '<>');
  assert.deepEqual(writersOf(file), [writer.pid]);
  rmSync(path);
  assert.deepEqual(writersOf(file), [writer.pid]);
  assert.equal(identityOf(path), undefined);
});
