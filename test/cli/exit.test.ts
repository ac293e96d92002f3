import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeError, endingOf, exitCodeOf } from '../../src/cli/exit.ts';
import { styleOf } from '../../src/cli/style.ts';
import { CorruptError, RefusedError, ToolError, UnsupportedError, UsageError } from '../../src/errors.ts';

const native = styleOf(undefined);
const compat = styleOf('3.6');

test('exit codes, natively and as etcdutl', () => {
  const cases: [unknown, native: number, compat: number][] = [
    [new ToolError('io.not-found', 'x'), 1, 1],
    [new UsageError('usage', 'x'), 2, 1],
    [new UsageError('usage.command', 'x'), 2, 1],
    [new UsageError('usage.arguments', 'x'), 2, 128],
    [new UsageError('usage.format', 'x'), 2, 4],
    [new UnsupportedError('usage.format', 'x'), 5, 4],
    [new CorruptError('backup.digest', 'x'), 3, 1],
    [new RefusedError('lock.held', 'x'), 4, 1],
    [new UnsupportedError('bolt.big-endian', 'x'), 5, 1],
    [new ToolError('interrupted', 'x'), 130, 130],
    [new DOMException('x', 'AbortError'), 130, 130],
    [new TypeError('x'), 1, 1],
    ['thrown text', 1, 1],
  ];
  for (const [error, nativeCode, compatCode] of cases) {
    assert.equal(exitCodeOf(endingOf(error), native, error), nativeCode, String(error));
    assert.equal(exitCodeOf(endingOf(error), compat, error), compatCode, String(error));
  }
  assert.equal(exitCodeOf('good', native), 0);
  assert.equal(exitCodeOf('good', compat), 0);
});

test('an error says what, where and what next; under compat only upstream words', () => {
  const error = new CorruptError('bolt.page.flags', 'page 7: unknown type', {
    where: { file: 'a.db', offset: 28_672, unit: 'page 7' },
    hint: 'first\nsecond',
    upstream: 'upstream says so',
  });
  assert.equal(
    describeError(error, native),
    'Error: page 7: unknown type\n  at: a.db, page 7, offset 28672\n  hint: first\n  hint: second\n',
  );
  assert.equal(describeError(error, compat), 'Error: upstream says so\n');
});

test('a place that the message names is not repeated', () => {
  const error = new ToolError('io.not-found', 'open a.db: no such file', { where: { file: 'a.db' } });
  assert.equal(describeError(error, native), 'Error: open a.db: no such file\n');
});

test('causes are shown when asked for, without a stack', () => {
  const cause = new Error('disk on fire', { cause: 'a match' });
  const error = new ToolError('io.failed', 'cannot read', { cause });
  assert.equal(
    describeError(error, native, true),
    'Error: cannot read\n  caused by: disk on fire\n  caused by: a match\n',
  );
});

test('a defect is called one; its stack only when asked for', () => {
  const defect = new TypeError('x is undefined');
  assert.equal(
    describeError(defect, native),
    'Error: unexpected: x is undefined\n  this is a defect in etcdkit; --log-level debug shows where\n',
  );
  assert.match(
    describeError(defect, native, true),
    /^Error: unexpected: x is undefined\n.*\nTypeError: .*\n +at /s,
  );
});
