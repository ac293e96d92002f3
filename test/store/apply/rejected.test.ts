import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptError, ToolError } from '../../../src/errors.ts';
import { isRejection, rejected } from '../../../src/store/apply/rejected.ts';

test('a refused request is a rejection, damage and defects are none', () => {
  assert.equal(rejected('no').message, 'no');
  const cases: Array<[unknown, boolean]> = [
    [rejected('no'), true],
    [new ToolError('mvcc.compacted', ''), true],
    [new ToolError('mvcc.future', ''), true],
    [new CorruptError('mvcc.value', ''), false],
    [new Error('no'), false],
  ];
  for (const [error, expected] of cases) assert.equal(isRejection(error), expected, String(error));
});
