import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource, openFile } from '../../../src/bytes/source.ts';
import { CLAIM } from '../../../src/format/bolt/claims.ts';
import { BoltFile } from '../../../src/format/bolt/file.ts';
import { readFreelist } from '../../../src/format/bolt/freelist.ts';
import { boltFile, type PageSpec, readBolt } from '../../support/bolt-spec.ts';
import { u64At } from '../../support/damage.ts';
import { unpacked } from '../../support/fixtures.ts';
import { damage } from '../../support/mutate.ts';

/** A root at page 2, the freelist at page 3, and pages up to 10. */
const withList = (list: PageSpec): Uint8Array =>
  boltFile({ root: 2, freelist: 3, pageLimit: 10, pages: { 2: { leaf: [] }, 3: list } });

function messages(bytes: Uint8Array): string[] {
  return readBolt(new MemorySource(bytes)).findings.map(({ code, message }) => `${code}: ${message}`);
}

test('a count of 0xffff says that the real one is the first id', () => {
  const source = openFile(unpacked('bbolt/bigfl-0xffff.db.gz', 'bigfl-0xffff.db'));
  const { file, findings } = readBolt(source);
  assert.deepEqual(findings, []);
  const ids = [...readFreelist(file, file.live.freelist!)];
  assert.equal(ids.length, 78634);
  assert.deepEqual([...file.claims.pages(CLAIM.free)], ids);
  source.close();
});

test('a stored freelist names every page that is not used', () => {
  assert.deepEqual(messages(withList({ freelist: [4, 5, 6, 7, 8, 9] })), []);
  assert.deepEqual(messages(withList({ freelist: [5, 6, 7, 8] })), [
    'bolt.page.unreachable: page 4: unreachable unfreed',
    'bolt.page.unreachable: page 9: unreachable unfreed',
  ]);
  assert.deepEqual(
    messages(boltFile({ root: 2, pageLimit: 10, pages: { 2: { leaf: [] } } })),
    [],
    'not stored',
  );
});

for (const [what, freelist, expected] of [
  [
    'twice',
    [4, 5, 5, 6, 7, 8, 9],
    ['bolt.freelist: page 5: already freed', 'bolt.freelist: page 5: out of order in the freelist, after 5'],
  ],
  ['not ascending', [5, 4, 6, 7, 8, 9], ['bolt.freelist: page 4: out of order in the freelist, after 5']],
  ['in use', [2, 4, 5, 6, 7, 8, 9], ['bolt.page.freed: page 2: reachable freed']],
  ['itself', [3, 4, 5, 6, 7, 8, 9], ['bolt.page.freed: page 3: reachable freed']],
  ['a meta', [1, 4, 5, 6, 7, 8, 9], ['bolt.page.bounds: page 1: free, but outside the database']],
  ['outside', [4, 5, 6, 7, 8, 9, 10], ['bolt.page.bounds: page 10: free, but outside the database']],
] as const) {
  test(`a freed page that is ${what}`, () => {
    assert.deepEqual(messages(withList({ freelist })), expected);
  });
}

test('a freelist page that is none', () => {
  for (const [list, code] of [
    [{ freelist: [4], id: 4 }, 'bolt.page.id'],
    [{ freelist: [4], flags: 2 }, 'bolt.page.flags'],
    [{ freelist: [4], count: 127 }, 'bolt.freelist'],
    [{ freelist: [4], overflow: 7 }, 'bolt.page.bounds'],
  ] as const) {
    assert.ok(
      messages(withList(list)).some((message) => message.startsWith(`${code}: `)),
      code,
    );
    const file = new BoltFile(new MemorySource(withList(list)));
    assert.throws(() => [...readFreelist(file, 3)], { code });
  }
});

test('a real count beyond the page, in the first id', () => {
  const bytes = withList({ freelist: [0, 4, 5], count: 0xffff });
  const at = 3 * 1024 + 16;
  for (const count of [126n, 2n ** 40n, 2n ** 64n - 1n]) {
    const damaged = damage(bytes, { what: '', patches: [u64At(at, count)] });
    assert.ok(messages(damaged)[0]!.startsWith('bolt.freelist: the freelist counts'));
  }
  const sound = damage(withList({ freelist: [0, 4, 5, 6, 7, 8, 9], count: 0xffff }), {
    what: '',
    patches: [u64At(at, 6)],
  });
  assert.deepEqual(messages(sound), []);
});

test('a freelist on a page of the tree', () => {
  const bytes = boltFile({ root: 2, freelist: 2, pages: { 2: { leaf: [] } } });
  assert.ok(messages(bytes).some((message) => message.startsWith('bolt.page.freed: page 2:')));
});
