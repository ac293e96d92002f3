import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OlderRevisions, TOMBSTONE } from '../../../src/store/mvcc/older-revisions.ts';

/** `5t 3 2`: from newer to older, `t` for tombstones. Gives the link to the first. */
function chainOf(older: OlderRevisions, script: string): number {
  let link = 0;
  for (const word of script.split(' ').filter(Boolean).toReversed())
    link = older.add(Number.parseInt(word, 10), word.endsWith('t') ? TOMBSTONE : 0, link);
  return link;
}

function scriptOf(older: OlderRevisions, first: number): string {
  const words: string[] = [];
  for (let link = first; link !== 0; link = older.older) {
    older.go(link);
    words.push(`${older.main}${older.sub >= TOMBSTONE ? 't' : ''}`);
  }
  return words.join(' ');
}

test('chains are kept apart, however many there are', () => {
  const older = new OlderRevisions();
  const scripts = Array.from({ length: 3000 }, (_, i) => `${2 ** 40 + i + 9}t ${i + 8} ${i + 2}`);
  const links = scripts.map((script) => chainOf(older, script));
  assert.equal(older.count, 9000);
  for (const [i, script] of scripts.entries()) assert.equal(scriptOf(older, links[i]!), script);
});

test('the newest that is not above a revision is found', () => {
  const older = new OlderRevisions();
  const link = chainOf(older, '9 7t 4');
  const found = [10, 9, 8, 7, 6, 4, 3].map((at) => (older.seek(link, at) ? older.main : undefined));
  assert.deepEqual(found, [9, 9, 7, 7, 4, 4, undefined]);
  assert.equal(older.seek(0, 9), false);
});

describe('a compaction', () => {
  const cases: Array<[chain: string, revision: number, left: string, dropped: string]> = [
    ['9 7 4', 10, '9', '7 4'],
    ['9 7 4', 8, '9 7', '4'],
    ['9 7 4', 4, '9 7 4', ''],
    ['9 7 4', 3, '9 7 4', ''],
    ['9t 7 4', 10, '', '9t 7 4'],
    ['9t 7 4', 9, '9t', '7 4'],
    ['9 7t 4', 8, '9', '7t 4'],
    ['9 7t 4', 7, '9 7t', '4'],
    ['9 7t', 8, '9', '7t'],
    ['7t', 8, '', '7t'],
    ['', 8, '', ''],
  ];
  for (const [chain, revision, left, expected] of cases) {
    test(`at ${revision} leaves ${left || 'nothing'} of ${chain || 'nothing'}`, () => {
      const older = new OlderRevisions();
      const dropped: string[] = [];
      const sink = {
        add: (main: number, _: number, isTombstone: boolean) =>
          void dropped.push(`${main}${isTombstone ? 't' : ''}`),
      };
      const link = older.compact(chainOf(older, chain), revision, sink);
      assert.equal(scriptOf(older, link), left);
      assert.equal(dropped.join(' '), expected);
      assert.equal(older.count, left.split(' ').filter(Boolean).length);
    });
  }

  test('gives up places that are used again', () => {
    const older = new OlderRevisions();
    const ignore = { add: () => {} };
    const kept = chainOf(older, '6 5');
    older.drop(chainOf(older, '4 3 2'), ignore);
    const again = chainOf(older, '30 20 10');
    assert.ok(again <= 5);
    assert.deepEqual([scriptOf(older, kept), scriptOf(older, again)], ['6 5', '30 20 10']);
  });
});
