import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { WatcherIndex, type WatchRange } from '../../../src/store/mvcc/watcher-index.ts';

interface Named {
  range: WatchRange;
}

function found(index: WatcherIndex<Named>, key: string): Set<Named> {
  const all: Named[] = [];
  index.find(key, ({ members }) => all.push(...members));
  assert.equal(new Set(all).size, all.length, 'a watcher is found once');
  return new Set(all);
}

const matches = ({ range: { key, end } }: Named, wanted: string): boolean =>
  end === undefined ? wanted === key : wanted >= key && (end === '' || wanted < end);

test('watchers of one range are one group', () => {
  const index = new WatcherIndex<Named>();
  for (let i = 0; i < 1000; i++) index.add({ range: { key: 'a', end: 'b' } });
  let groups = 0;
  index.find('abc', ({ members }) => {
    groups++;
    assert.equal(members.size, 1000);
  });
  assert.equal(groups, 1);
  assert.equal(index.size, 1000);
});

test('nothing is left of watchers that are gone', () => {
  const index = new WatcherIndex<Named>();
  const watchers = [
    { key: 'a', end: undefined },
    { key: 'a', end: 'b' },
    { key: 'a', end: '' },
  ].map((range) => ({ range }));
  for (const watcher of watchers) index.add(watcher);
  assert.deepEqual(found(index, 'a'), new Set(watchers));
  for (const watcher of watchers) index.delete(watcher);
  assert.equal(found(index, 'a').size, 0);
  assert.deepEqual([...index.groups()], []);
  assert.equal(index.size, 0);
});

const key = fc.string({ unit: fc.constantFrom('a', 'b', '\xff'), minLength: 1, maxLength: 3 });
const range = fc.record({
  key,
  end: fc.oneof(fc.constant(undefined), fc.constant(''), key),
});

test('many ranges are found as they come and go', () => {
  const index = new WatcherIndex<Named>();
  const name = (i: number): string => `k${String(i % 1_000).padStart(3, '0')}`;
  const watchers: Named[] = [];
  for (let i = 0; i < 1_000; i++) {
    const watcher = { range: { key: name(i * 7), end: name(i * 7 + (i % 5) + 1) } };
    if (watcher.range.end <= watcher.range.key) watcher.range.end = '';
    watchers.push(watcher);
    index.add(watcher);
    if (i % 3 === 2) index.delete(watchers.splice((i * 31) % watchers.length, 1)[0]!);
    const key = name(i * 13);
    assert.deepEqual(found(index, key), new Set(watchers.filter((one) => matches(one, key))));
  }
});

test('who is found is who a comparison with every range finds', () => {
  fc.assert(
    fc.property(
      fc.array(range, { maxLength: 200, size: 'max' }),
      fc.array(fc.nat(), { maxLength: 100, size: 'max' }),
      fc.array(key, { minLength: 1 }),
      (ranges, gone, asked) => {
        const index = new WatcherIndex<Named>();
        const watchers = ranges.map((one): Named => ({ range: one }));
        for (const watcher of watchers) index.add(watcher);
        for (const number of gone) {
          found(index, asked[0]!);
          if (watchers.length > 0) index.delete(watchers.splice(number % watchers.length, 1)[0]!);
        }
        for (const one of asked) {
          const expected = new Set(watchers.filter((watcher) => matches(watcher, one)));
          assert.deepEqual(found(index, one), expected);
          assert.equal(index.has(one), expected.size > 0);
        }
      },
    ),
  );
});

test('there may be very many ranges from one key on', () => {
  const index = new WatcherIndex<Named>();
  for (let i = 0; i < 200_000; i++) index.add({ range: { key: 'a', end: `b${i}` } });
  assert.ok(index.has('a'));
  assert.ok(!index.has('c'));
});
