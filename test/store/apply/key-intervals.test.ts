import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { intervalOf, KeyIntervals, pointOf } from '../../../src/store/apply/key-intervals.ts';
import { text } from '../database-builder.ts';

type Range = readonly [key: string, rangeEnd?: string];

const held = (...ranges: readonly Range[]): KeyIntervals =>
  new KeyIntervals(ranges.map(([key, end = '']) => intervalOf(text(key), text(end))));
const asked = ([key, end = '']: Range) => intervalOf(text(key), text(end));

describe('a set of intervals', () => {
  const TO_F: Range = ['c', 'f'];
  const cases: Array<[name: string, held: Range[], asked: Range, covers: boolean]> = [
    ['the same', [TO_F], ['c', 'f'], true],
    ['within', [TO_F], ['d', 'e'], true],
    ['before', [TO_F], ['a', 'b'], false],
    ['over the beginning', [TO_F], ['b', 'd'], false],
    ['over the end', [TO_F], ['d', 'g'], false],
    ['two that touch', [TO_F, ['f', 'h']], ['d', 'g'], true],
    ['two that touch, in any order', [['f', 'h'], TO_F], ['d', 'g'], true],
    ['two that overlap', [TO_F, ['e', 'h']], ['d', 'g'], true],
    [
      'one within another',
      [
        ['c', 'k'],
        ['d', 'e'],
      ],
      ['c', 'j'],
      true,
    ],
    ['a gap', [TO_F, ['g', 'h']], ['d', 'h'], false],
    ['a gap of one key', [TO_F, ['f\0', 'h']], ['d', 'g'], false],
    ['a gap that a single key fills', [TO_F, ['f'], ['f\0', 'h']], ['d', 'g'], true],
    ['to the end of all keys', [['c', '\0']], ['d', '\0'], true],
    ['to the end of all keys from before', [['c', '\0']], ['b', '\0'], false],
    ['to the end by two', [TO_F, ['e', '\0']], ['c', '\0'], true],
    ['to the end, of what ends', [TO_F], ['d', '\0'], false],
    ['from one key to the end', [['c']], ['c', '\0'], false],
    ['from one key to the next', [['c']], ['c', 'd'], false],
    ['from one key to right behind it', [['c']], ['c', 'c\0'], true],
    ['nothing at all', [], ['c', 'd'], false],
    // As etcd's tree has them: such requests hold no key, and are allowed by what they end in.
    ['the end before the beginning, inside', [['a', 'z']], ['d', 'c'], true],
    ['the end before the beginning, outside', [['a', 'c']], ['d', 'b'], false],
    ['the end before the beginning, at the end', [['a', 'd']], ['d', 'c'], false],
    ['an end that is the beginning', [['a', 'z']], ['d', 'd'], true],
    ['bytes above 0x7f', [['\u00e9', '\u00ff']], ['\u00ea', '\u00eb'], true],
  ];
  for (const [name, ranges, range, covers] of cases) {
    test(`covers ${name}: ${covers}`, () => assert.equal(held(...ranges).covers(asked(range)), covers));
  }

  const points: Array<[held: Range, key: string, has: boolean]> = [
    [TO_F, 'c', true],
    [TO_F, 'e\xff', true],
    [TO_F, 'f', false],
    [TO_F, 'b', false],
    [['c'], 'c', true],
    [['c'], 'c\0', false],
    [['c', '\0'], '\xff', true],
    [['c', '\0'], 'b', false],
    [['c', '\0'], '', false],
  ];
  for (const [range, key, has] of points) {
    test(`${JSON.stringify(range)} has ${JSON.stringify(key)}: ${has}`, () =>
      assert.equal(held(range).has(key), has));
  }
});

test('what is covered is what has every key of it', () => {
  const key = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 2 });
  const keys = ['a', 'b', 'c'].flatMap((first) => [first, ...['a', 'b', 'c'].map((next) => first + next)]);
  const range = fc.tuple(key, fc.option(key, { nil: '' })).filter(([from, to]) => to === '' || from < to);
  fc.assert(
    fc.property(fc.array(range, { maxLength: 4 }), range, (ranges, [from, to]) => {
      const set = held(...ranges);
      const wanted = asked([from, to]);
      const inside = keys.filter((one) => one >= wanted.begin && one < wanted.end);
      // A range also has keys that are not among these, right behind each of them.
      const all = inside.every((one) => set.has(one));
      if (set.covers(wanted)) assert.ok(all);
      if (!all) assert.ok(!set.covers(wanted));
      if (to === '') assert.equal(set.covers(pointOf(from)), set.has(from));
    }),
  );
});
