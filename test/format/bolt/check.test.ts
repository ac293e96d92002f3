import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MemorySource } from '../../../src/bytes/source.ts';
import { CorruptError } from '../../../src/errors.ts';
import { BoltFile } from '../../../src/format/bolt/file.ts';
import { readFreelist } from '../../../src/format/bolt/freelist.ts';
import { Page } from '../../../src/format/bolt/page.ts';
import { boltFile, type PageSpec, readBolt } from '../../support/bolt-spec.ts';
import { bytesAt, u16At, u32At, u64At, xorAt } from '../../support/damage.ts';
import { readFixture, unpacked } from '../../support/fixtures.ts';
import { damage, type Edit } from '../../support/mutate.ts';

/** Codes and pages that a full check of `bytes` finds. */
function found(bytes: Uint8Array): string[] {
  return readBolt(new MemorySource(bytes)).findings.map(({ code, where }) => `${code} ${where.unit}`);
}

// `damage` copies with `slice`, which of a Buffer would share its memory.
const SMALL = new Uint8Array(readFileSync(unpacked('bbolt/smallfl.db.gz', 'smallfl.db')));
const PAGE_SIZE = 4096;
const small = new BoltFile(new MemorySource(SMALL));
/** The branch of the only bucket, its first two leaves, and the freelist. */
const branch = load(small.bucket('b')!.root);
const leaf = load(branch.childId(0));
const freelistAt = small.live.freelist! * PAGE_SIZE;
const freeIds = [...readFreelist(small, small.live.freelist!)];

function load(id: number): Page {
  const page = new Page();
  small.pages.load(id, page);
  return page.detach();
}

/** File offset of the key of element `index` of the first leaf. */
const keyAt = (index: number): number => leaf.fileOffset(leaf.keyStart(index));
const withFreelist = (ids: number[]): Edit['patches'] => [
  u16At(freelistAt + 10, ids.length),
  ...ids.map((id, i) => u64At(freelistAt + 16 + 8 * i, id)),
];
const elementAt = (page: Page, index: number): number => page.offset + 16 + 16 * index;
const last = leaf.count - 1;

/** The edits of `fixtures/bbolt/make-corruptions.py`, by its names, with what our check says of each. */
const CORRUPTIONS: ReadonlyArray<Edit & { finds: string[] }> = [
  {
    what: 'free id removed',
    patches: withFreelist(freeIds.slice(1)),
    finds: ['bolt.page.unreachable page 2'],
  },
  {
    what: 'reachable in freelist',
    patches: withFreelist([...freeIds, leaf.id].sort((a, b) => a - b)),
    finds: [`bolt.page.freed page ${small.live.freelist}: page 4: reachable freed`],
  },
  {
    what: 'dup in freelist',
    patches: withFreelist([2, ...freeIds]),
    finds: [`bolt.freelist page ${small.live.freelist}: page 2: already freed`],
  },
  {
    what: 'swap leaf keys',
    patches: [bytesAt(keyAt(0), leaf.key(1)), bytesAt(keyAt(1), leaf.key(0))],
    finds: ['bolt.page.order page 4', 'bolt.page.ancestor page 4'],
  },
  { what: 'dup leaf keys', patches: [bytesAt(keyAt(1), leaf.key(0))], finds: ['bolt.page.order page 4'] },
  { what: 'first key below parent', patches: [bytesAt(keyAt(0), 'a')], finds: ['bolt.page.ancestor page 4'] },
  { what: 'last key above next', patches: [bytesAt(keyAt(last), 'z')], finds: ['bolt.page.ancestor page 4'] },
  {
    what: 'branch dup child',
    patches: [u64At(elementAt(branch, 1) + 8, leaf.id)],
    finds: ['bolt.page.double-use page 4', 'bolt.page.unreachable page 5'],
  },
  {
    what: 'leaf flags 0',
    patches: [u16At(leaf.offset + 8, 0)],
    finds: ['bolt.page.flags page 4', 'bolt.page.unreachable page 4'],
  },
  {
    what: 'leaf flags freelist',
    patches: [u16At(leaf.offset + 8, 0x10)],
    finds: ['bolt.page.flags page 4', 'bolt.page.unreachable page 4'],
  },
  {
    what: 'leaf id wrong',
    patches: [u64At(leaf.offset, 999)],
    finds: ['bolt.page.id page 4', 'bolt.page.unreachable page 4'],
  },
  {
    what: 'branch child out of file',
    patches: [u64At(elementAt(branch, 0) + 8, 200000)],
    finds: ['bolt.page.bounds page 200000', 'bolt.page.unreachable page 4'],
  },
  { what: 'meta0 bad (no cksum)', patches: [u64At(16 + 48, 999)], finds: ['bolt.meta.checksum page 0'] },
  { what: 'meta0 magic bad', patches: [xorAt(SMALL, 16, 1)], finds: ['bolt.meta.invalid page 0'] },
  {
    what: 'leaf overflow 3',
    patches: [u32At(leaf.offset + 12, 3)],
    finds: ['overflow page 4', ...[5, 6, 7].map((id) => `double-use page ${id}`)].map(
      (text) => `bolt.page.${text}`,
    ),
  },
  {
    what: 'truncated half',
    patches: [],
    size: Math.floor(SMALL.length / 4),
    finds: ['bolt.page.bounds'],
  },
];

for (const { finds, ...edit } of CORRUPTIONS) {
  test(`corruption: ${edit.what}`, () => {
    const { findings } = readBolt(new MemorySource(damage(SMALL, edit)));
    const lines = findings.map(({ code, where, message }) => `${code} ${where.unit}: ${message}`);
    for (const expected of finds)
      assert.ok(
        lines.some((line) => line.startsWith(expected)),
        `${expected} in ${lines.join('\n')}`,
      );
  });
}

test('the corruptions that cannot be opened give the three errors of bbolt', () => {
  const both = (offset: number): Edit['patches'] => [
    xorAt(SMALL, offset, 1),
    xorAt(SMALL, PAGE_SIZE + offset, 1),
  ];
  for (const { what, patches, upstream } of [
    { what: 'both magic bad', patches: both(16), upstream: 'invalid database' },
    {
      what: 'both version 3',
      patches: [u32At(20, 3), u32At(PAGE_SIZE + 20, 3)],
      upstream: 'version mismatch',
    },
    { what: 'both checksum bad', patches: both(40), upstream: 'checksum error' },
  ]) {
    assert.throws(
      () => found(damage(SMALL, { what, patches })),
      (error) =>
        error instanceof CorruptError && error.code === 'bolt.meta.none' && error.upstream === upstream,
      what,
    );
  }
  for (const bytes of [new Uint8Array(0), new Uint8Array(100), new Uint8Array(8192)]) {
    assert.throws(() => found(bytes), { code: 'bolt.meta.none', upstream: 'invalid database' });
  }
});

test('every corruption that bbolt was tried with is here', () => {
  const names = [
    ...readFixture('expected/bbolt-check-corruptions.txt')
      .toString()
      .matchAll(/^## (.*?) rc \d+/gm),
  ].map(([, name]) => name!);
  const elsewhere = [
    'both magic bad',
    'both version 3',
    'both checksum bad',
    'empty file',
    'short file 100B',
    '8192 zero',
  ];
  assert.deepEqual(
    names.filter((name) => !elsewhere.includes(name)).sort(),
    CORRUPTIONS.map(({ what }) => what).sort(),
  );
});

/** A bucket over two leaves, with one page replaced. */
const tree = (replaced: Record<number, PageSpec>): Uint8Array =>
  boltFile({
    root: 2,
    pages: {
      2: { leaf: [{ bucket: 'b', root: 3 }] },
      3: {
        branch: [
          ['a', 4],
          ['m', 5],
        ],
      },
      4: {
        leaf: [
          ['a', '1'],
          ['c', '2'],
        ],
      },
      5: {
        leaf: [
          ['m', '3'],
          ['o', '4'],
        ],
      },
      ...replaced,
    },
  });

for (const { what, pages, finds } of [
  { what: 'a sound tree', pages: {}, finds: [] },
  {
    what: 'a key equal to the next one of the parent',
    pages: {
      4: {
        leaf: [
          ['a', ''],
          ['m', ''],
        ],
      },
    },
    finds: ['bolt.page.ancestor page 4'],
  },
  {
    what: 'a first key above that of the parent',
    pages: {
      5: {
        leaf: [
          ['n', ''],
          ['o', ''],
        ],
      },
    },
    finds: ['bolt.page.ancestor page 5'],
  },
  {
    what: 'branch keys out of order',
    pages: {
      3: {
        branch: [
          ['a', 5],
          ['A', 4],
        ],
      },
    },
    finds: ['order page 3', 'ancestor page 5', 'ancestor page 5', 'ancestor page 4'].map(
      (text) => `bolt.page.${text}`,
    ),
  },
  { what: 'a branch without children', pages: { 3: { branch: [] } }, finds: ['bolt.page.element page 3'] },
  {
    what: 'more elements than the page holds',
    pages: { 4: { leaf: [['a', '']], count: 64 } },
    finds: ['bolt.page.element page 4'],
  },
  {
    what: 'leaves of unequal depth',
    pages: { 5: { branch: [['m', 6]] }, 6: { leaf: [['m', '']] } },
    finds: ['bolt.page.depth page 6'],
  },
  {
    what: 'a page that owns the next one',
    pages: {
      4: {
        leaf: [
          ['a', ''],
          ['c', ''],
        ],
        overflow: 1,
      },
    },
    finds: ['bolt.page.overflow page 4', 'bolt.page.double-use page 5'],
  },
  {
    what: 'an overflow that nothing fills',
    pages: { 5: { leaf: [['m', '']], overflow: 2 }, 7: { freelist: [] } },
    finds: ['bolt.page.overflow page 5'],
  },
  {
    what: 'an overflow that is too short',
    pages: { 5: { leaf: [['m', 'x'.repeat(1000)]], overflow: 0 } },
    finds: ['bolt.page.element page 5'],
  },
  {
    what: 'an overflow beyond the database',
    pages: { 5: { leaf: [['m', '']], overflow: 1 } },
    finds: ['bolt.page.bounds page 5'],
  },
  {
    what: 'bytes behind the last value',
    pages: {
      4: { leaf: [['a', 'xyz']], count: 1 },
      5: {
        leaf: [
          ['m', ''],
          ['o', '4'],
        ],
        count: 1,
      },
    },
    finds: ['bolt.page.element page 5'],
  },
  {
    what: 'a page one larger than needed, that ends on an edge',
    pages: { 5: { leaf: [['m', 'x'.repeat(1024 - 33)]], overflow: 1 }, 7: { freelist: [] } },
    finds: [],
  },
] satisfies Array<{ what: string; pages: Record<number, PageSpec>; finds: string[] }>) {
  test(what, () => {
    assert.deepEqual(found(tree(pages)), finds);
  });
}

test('without a sink the first damage is thrown, with the place', () => {
  const file = new BoltFile(new MemorySource(tree({ 5: { leaf: [['n', '']] } })));
  const leaves = file.leaves(file.bucket('b')!);
  assert.ok(leaves.next());
  assert.throws(
    () => leaves.next(),
    (error) => {
      assert.ok(error instanceof CorruptError);
      assert.equal(error.code, 'bolt.page.ancestor');
      assert.deepEqual(error.where, {
        file: 'memory',
        offset: 5 * 1024 + 32,
        unit: 'page 5',
        field: 'bucket b',
      });
      return true;
    },
  );
});
