import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Deadlines } from '../../src/server/deadlines.ts';

function taken(deadlines: Deadlines, now: number): bigint[] {
  const ids: bigint[] = [];
  for (let id = deadlines.takeDue(now); id !== undefined; id = deadlines.takeDue(now)) ids.push(id);
  return ids;
}

test('what is due comes out in order of time', () => {
  const deadlines = new Deadlines();
  for (const [id, at] of [
    [1n, 50],
    [2n, 10],
    [3n, 30],
  ] as const)
    deadlines.set(id, at);
  assert.equal(deadlines.next, 10);
  assert.deepEqual(taken(deadlines, 30), [2n, 3n]);
  assert.equal(deadlines.size, 1);
});

test('times move both ways, and ids go', () => {
  const deadlines = new Deadlines();
  for (let id = 1n; id <= 5n; id++) deadlines.set(id, Number(id) * 10);
  deadlines.set(1n, 45);
  deadlines.set(5n, 5);
  deadlines.delete(3n);
  deadlines.delete(99n);
  assert.equal(deadlines.at(1n), 45);
  assert.equal(deadlines.at(3n), undefined);
  assert.deepEqual(deadlines.inOrder(), [5n, 2n, 4n, 1n]);
  assert.deepEqual(taken(deadlines, 100), [5n, 2n, 4n, 1n]);
});

test('it agrees with a sorted list after many random changes', () => {
  const deadlines = new Deadlines();
  const expected = new Map<bigint, number>();
  let seed = 7;
  const random = (): number => (seed = (seed * 48_271) % 2_147_483_647);
  for (let i = 0; i < 3000; i++) {
    const id = BigInt(random() % 200);
    if (random() % 3 === 0) {
      deadlines.delete(id);
      expected.delete(id);
    } else {
      // Distinct times, so that there is one right order.
      const at = (random() % 1000) * 3000 + i;
      deadlines.set(id, at);
      expected.set(id, at);
    }
  }
  const sorted = [...expected].sort((a, b) => a[1] - b[1]).map(([id]) => id);
  assert.deepEqual(deadlines.inOrder(), sorted);
  assert.deepEqual(taken(deadlines, Infinity), sorted);
});
