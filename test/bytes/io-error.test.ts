import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ioError } from '../../src/bytes/io-error.ts';
import { ToolError } from '../../src/errors.ts';

const at = { operation: 'open', path: '/a/b' };

test('the text is the one that scripts know', () => {
  for (const [code, text, kind] of [
    ['ENOENT', 'no such file or directory', 'io.not-found'],
    ['EACCES', 'permission denied', 'io.permission'],
    ['ENOSPC', 'no space left on device', 'io.no-space'],
    ['EISDIR', 'is a directory', 'io.not-a-file'],
    ['EIO', 'input/output error', 'io.failed'],
  ] as const) {
    const cause = Object.assign(new RangeError('x'), { code });
    const error = ioError(cause, at);
    assert.deepEqual(
      [error.message, error.code, error.cause, error.where],
      [`open /a/b: ${text}`, kind, cause, { file: '/a/b' }],
    );
  }
});

test('an error of ours passes through, anything else is kept as the cause', () => {
  const ours = new ToolError('io.short-read', 'x');
  assert.equal(ioError(ours, at), ours);
  const other = ioError('odd', at);
  assert.deepEqual([other.message, other.code, other.cause], ['open /a/b: odd', 'io.failed', 'odd']);
  try {
    readFileSync('/proc/self/mem/x');
  } catch (error) {
    assert.equal(ioError(error, at).code, 'io.not-a-directory');
  }
});
