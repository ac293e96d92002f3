import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration } from '../../src/bytes/duration.ts';

test('durations as Go writes them', () => {
  const known: Record<string, number> = {
    '0': 0,
    '10s': 10_000,
    '1m30s': 90_000,
    '500ms': 500,
    '1.5h': 5_400_000,
    '.5s': 500,
    '2.s': 2000,
    '1us': 0.001,
    '1µs': 0.001,
    '-1s': -1000,
    '+3s': 3000,
    '-0': 0,
    '2562047h': 9_223_369_200_000,
  };
  for (const [text, milliseconds] of Object.entries(known))
    assert.equal(parseDuration(text), milliseconds, text);
});

test('what is no duration, in the words of Go', () => {
  const wrong: Record<string, string> = {
    '': 'time: invalid duration ""',
    '10': 'time: missing unit in duration "10"',
    '1s5': 'time: missing unit in duration "1s5"',
    abc: 'time: invalid duration "abc"',
    '.s': 'time: invalid duration ".s"',
    '-': 'time: invalid duration "-"',
    '1 s': 'time: unknown unit " s" in duration "1 s"',
    '1d': 'time: unknown unit "d" in duration "1d"',
    '2562048h': 'time: invalid duration "2562048h"',
    '1constructor': 'time: unknown unit "constructor" in duration "1constructor"',
  };
  for (const [text, problem] of Object.entries(wrong))
    assert.deepEqual(parseDuration(text), { problem }, text);
});
