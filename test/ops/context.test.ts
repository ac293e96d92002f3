import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { plainContext } from '../../src/ops/context.ts';
import { scratch } from '../support/scratch.ts';

test('a plain context works on the real disk, and says nothing', (t) => {
  const { log, disk, signal, progress } = plainContext();
  log.debug({}, 'a');
  log.info({ path: 'x' }, 'b');
  log.warn({}, 'c');
  assert.deepEqual([signal, progress], [undefined, undefined]);
  const path = join(scratch(t), 'made');
  disk.makeDirectory(path, 0o700);
  assert.ok(existsSync(path));
});

test('what is given takes the place of the plain', () => {
  const lines: string[] = [];
  const log = { debug() {}, info: (_: object, message: string) => void lines.push(message), warn() {} };
  const { signal } = new AbortController();
  const context = plainContext({ log, signal });
  context.log.info({}, 'hello');
  assert.deepEqual([lines, context.signal], [['hello'], signal]);
  assert.equal(typeof context.disk.rename, 'function');
});
