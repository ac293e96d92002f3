import assert from 'node:assert/strict';
import { readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ReadAhead } from '../../src/bytes/read-ahead.ts';
import { openFile } from '../../src/bytes/source.ts';
import { scratch } from '../support/scratch.ts';

const MB = 1 << 20;

function isOpen(path: string): boolean {
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  });
}

const skip = process.platform === 'linux' ? false : 'this host has no /proc';

test('it ends with the file, or when it is stopped, and closes what it opened', { skip }, async (t) => {
  const path = join(scratch(t), 'file');
  for (const size of [0, 1, 4 * MB, 33 * MB]) {
    writeFileSync(path, Buffer.alloc(size));
    await new ReadAhead(path, size).done;
    const stopped = new ReadAhead(path, size);
    stopped.stop();
    await stopped.done;
    assert.equal(isOpen(path), false);
  }
});

test('a file that is gone, or shorter than it was, fails nobody', async (t) => {
  const path = join(scratch(t), 'file');
  await new ReadAhead(path, MB).done;
  writeFileSync(path, 'short');
  await new ReadAhead(path, 100 * MB).done;
});

test('a source that is closed stops it', { skip }, async (t) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, Buffer.alloc(64 * MB));
  const source = openFile(path);
  source.readAhead();
  source.readAhead();
  source.close();
  // It may be opened after the source was closed, and is closed at once then.
  let closedChecks = 0;
  for (let i = 0; i < 500 && closedChecks < 20; i++) {
    closedChecks = isOpen(path) ? 0 : closedChecks + 1;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(closedChecks, 20);
});
