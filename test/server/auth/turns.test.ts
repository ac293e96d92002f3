import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns } from '../../../src/server/auth/turns.ts';

function turnsOf(items: readonly string[]): Turns<string> {
  const turns = new Turns<string>();
  for (const item of items) turns.add(item[0]!, item);
  return turns;
}

function allOf(turns: Turns<string>): string[] {
  const taken: string[] = [];
  for (let item = turns.take(); item !== undefined; item = turns.take()) taken.push(item);
  return taken;
}

test('each has a turn before anybody has a second, and what is one’s own goes in its order', () => {
  assert.deepEqual(allOf(turnsOf(['a1', 'a2', 'a3', 'b1', 'c1', 'b2'])), [
    'a1',
    'b1',
    'c1',
    'a2',
    'b2',
    'a3',
  ]);
  const turns = turnsOf(['a1', 'a2', 'a3']);
  assert.equal(turns.take(), 'a1');
  turns.add('b', 'b1');
  turns.add('a', 'a4');
  assert.deepEqual(allOf(turns), ['a2', 'b1', 'a3', 'a4']);
});

test('what is no longer wanted leaves, and takes no turn', () => {
  const turns = turnsOf(['a1', 'b1', 'b2']);
  assert.equal(turns.delete('a', 'a1'), true);
  assert.equal(turns.delete('a', 'a1'), false);
  assert.equal(turns.delete('b', 'c1'), false);
  assert.deepEqual(allOf(turns), ['b1', 'b2']);
});

test('the last of who has most makes room, unless that is no more than somebody else would have', () => {
  const turns = turnsOf(['a1', 'b1', 'b2', 'b3', 'c1', 'c2']);
  assert.equal(turns.takeLastOfMost(3), undefined);
  assert.equal(turns.takeLastOfMost(1), 'b3');
  assert.equal(turns.takeLastOfMost(1), 'b2');
  assert.equal(turns.takeLastOfMost(1), 'c2');
  assert.equal(turns.takeLastOfMost(1), undefined);
  assert.deepEqual(allOf(turns), ['a1', 'b1', 'c1']);
});
