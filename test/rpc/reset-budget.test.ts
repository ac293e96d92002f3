import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResetBudget } from '../../src/rpc/reset-budget.ts';

test('asks to move, then ends, when too many come at once', () => {
  const budget = new ResetBudget({ resetsSoftMax: 3, resetsHardMax: 5 });
  assert.deepEqual(
    Array.from({ length: 6 }, () => budget.spend(0)),
    ['fine', 'fine', 'fine', 'move', 'move', 'end'],
  );
});

test('forgets 33 a second', () => {
  const budget = new ResetBudget({ resetsSoftMax: 40, resetsHardMax: 50 });
  for (let second = 0; second < 100; second++)
    for (let each = 0; each < 33; each++) assert.equal(budget.spend(second * 1000), 'fine');
  assert.ok(Math.abs(budget.levelAt(99_500) - 16.5) < 0.01);
  assert.equal(budget.levelAt(200_000), 0);
});
