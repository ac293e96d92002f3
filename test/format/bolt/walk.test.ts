import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemorySource, type Source } from '../../../src/bytes/source.ts';
import { ToolError } from '../../../src/errors.ts';
import { PageChecker } from '../../../src/format/bolt/check.ts';
import { PageClaims } from '../../../src/format/bolt/claims.ts';
import { BoltFile } from '../../../src/format/bolt/file.ts';
import { PageFile } from '../../../src/format/bolt/page-file.ts';
import { LeafWalk, type WalkOptions } from '../../../src/format/bolt/walk.ts';
import { boltFile, type BoltFileSpec, latin1, readBolt } from '../../support/bolt-spec.ts';
import { PAGE_SIZE, regions, SOUND } from './regions.ts';

test('a damaged page costs its subtree, not the walk', () => {
  const content = boltFile({
    root: 2,
    pages: {
      2: { leaf: [{ bucket: 'b', root: 3 }] },
      3: {
        branch: [
          ['a', 4],
          ['m', 5],
          ['x', 6],
        ],
      },
      4: { leaf: [['a', '1']] },
      5: { id: 9, leaf: [['m', '2']] },
      6: { leaf: [['x', '3']] },
    },
  });
  const codes: string[] = [];
  const file = new BoltFile(new MemorySource(content), { report: ({ code }) => codes.push(code) });
  const leaves = file.leaves(file.bucket('b')!);
  const seen: Array<[string, number]> = [];
  for (let leaf = leaves.next(); leaf; leaf = leaves.next())
    seen.push([latin1(leaf.key(0)), leaves.lostPageCount]);
  assert.deepEqual(seen, [
    ['a', 0],
    ['x', 1],
  ]);
  assert.deepEqual(codes, ['bolt.page.id']);
});

test('a circle ends, and so does a tree that is too deep', () => {
  const circle = boltFile({
    root: 2,
    pages: { 2: { leaf: [{ bucket: 'b', root: 3 }] }, 3: { branch: [['a', 4]] }, 4: { branch: [['a', 3]] } },
  });
  assert.deepEqual(
    readBolt(new MemorySource(circle)).findings.map(({ code }) => code),
    ['bolt.page.double-use'],
  );

  const pages: BoltFileSpec['pages'] = { 2: { leaf: [{ bucket: 'b', root: 3 }] } };
  for (let id = 3; id < 60; id++) pages[id] = { branch: [['a', id + 1]] };
  pages[60] = { leaf: [['a', '']] };
  const deep = readBolt(new MemorySource(boltFile({ root: 2, pages })));
  assert.deepEqual(
    deep.findings.map(({ code }) => code),
    ['bolt.page.depth'],
  );
});

test('leaves come in order from every depth, and the walk says how deep they lie', () => {
  const content = boltFile({
    root: 2,
    pages: {
      2: {
        branch: [
          ['a', 3],
          ['c', 4],
        ],
      },
      3: {
        leaf: [
          ['a', ''],
          ['b', ''],
        ],
      },
      4: { leaf: [['c', '']] },
    },
  });
  const source = new MemorySource(content);
  const walk = new LeafWalk(
    new PageFile(source, PAGE_SIZE, 5),
    2,
    new PageChecker({ file: 'f', claims: new PageClaims(5) }),
  );
  assert.deepEqual(
    [walk.next()!.count, walk.next()!.count, walk.next(), walk.next()],
    [2, 1, undefined, undefined],
  );
  assert.equal(walk.depth, 2);
});

/** Three keys a leaf, three children a branch, 27 leaves: keys `00` to `80`. Page 3 is the root, leaves are from 16 on. */
function tree(over: BoltFileSpec['pages'] = {}): BoltFileSpec {
  const pages: BoltFileSpec['pages'] = { 2: { leaf: [{ bucket: 'b', root: 3 }] } };
  const keyOf = (number: number): string => String(number).padStart(2, '0');
  const children = (first: number, span: number, id: number): Array<readonly [string, number]> =>
    [0, 1, 2].map((i) => [keyOf(first + i * span), id + i]);
  pages[3] = { branch: children(0, 27, 4) };
  for (let i = 0; i < 3; i++) pages[4 + i] = { branch: children(i * 27, 9, 7 + i * 3) };
  for (let i = 0; i < 9; i++) pages[7 + i] = { branch: children(i * 9, 3, 16 + i * 3) };
  for (let i = 0; i < 27; i++)
    pages[16 + i] = { leaf: [0, 1, 2].map((key): [string, string] => [keyOf(i * 3 + key), '']) };
  return { root: 2, pages: { ...pages, ...over } };
}

interface Walked {
  /** First key of each leaf, in the order of the walk. */
  leaves: string[];
  codes: string[];
  lostPageCount: number;
}

function walk(spec: BoltFileSpec, options: WalkOptions): Walked {
  const codes: string[] = [];
  const file = new BoltFile(new MemorySource(boltFile(spec)), { report: ({ code }) => codes.push(code) });
  const found = file.leaves(file.bucket('b')!, options);
  const leaves: string[] = [];
  for (let leaf = found.next(); leaf; leaf = found.next()) leaves.push(latin1(leaf.key(0)));
  return { leaves, codes, lostPageCount: found.lostPageCount };
}

const FIRST_KEYS = Array.from({ length: 27 }, (_, i) => String(i * 3).padStart(2, '0'));

describe('backward gives the leaves of forward in reverse, and finds the same', () => {
  const cases: Array<[what: string, over: BoltFileSpec['pages'], lost: readonly string[], codes: string[]]> =
    [
      ['a sound tree', {}, [], []],
      ['a lost leaf', { 20: { id: 9, leaf: [['12', '']] } }, ['12'], ['bolt.page.id']],
      [
        'a lost branch',
        { 8: { flags: 0x10, branch: [['09', 19]] } },
        ['09', '12', '15'],
        ['bolt.page.flags'],
      ],
      [
        'a leaf that reaches into the next one',
        {
          17: {
            leaf: [
              ['03', ''],
              ['07', ''],
            ],
          },
        },
        [],
        ['bolt.page.ancestor'],
      ],
      [
        'the last leaf of a branch that reaches into the next branch',
        {
          24: {
            leaf: [
              ['24', ''],
              ['28', ''],
            ],
          },
        },
        [],
        ['bolt.page.ancestor'],
      ],
      ['a leaf that is one level higher', { 8: { leaf: [['09', '']] } }, ['12', '15'], ['bolt.page.depth']],
    ];
  for (const [what, over, lost, codes] of cases) {
    test(what, () => {
      const forward = walk(tree(over), {});
      const backward = walk(tree(over), { direction: 'backward' });
      assert.deepEqual(
        forward.leaves,
        FIRST_KEYS.filter((key) => !lost.includes(key)),
      );
      assert.deepEqual(backward.leaves, forward.leaves.toReversed());
      assert.deepEqual([forward.codes, backward.codes], [codes, codes]);
      assert.equal(backward.lostPageCount, forward.lostPageCount);
    });
  }
});

test('leaves that lie together are read together, in both directions', () => {
  const content = boltFile(tree());
  for (const direction of ['forward', 'backward'] as const) {
    const memory = new MemorySource(content);
    let readCount = 0;
    const counting: Source = {
      name: memory.name,
      size: memory.size,
      readInto(offset, into) {
        readCount++;
        memory.readInto(offset, into);
      },
      close: () => memory.close(),
    };
    const file = new BoltFile(counting);
    const leaves = file.leaves(file.bucket('b')!, { direction });
    readCount = 0;
    while (leaves.next());
    // Each of 13 branches, the first leaf, and a run for what is left of each of the 9 lowest branches.
    assert.ok(readCount <= 13 + 1 + 9, `${readCount} reads ${direction}`);
  }
});

describe('from a key on', () => {
  test('leaves below are passed over, from each key and from between two', () => {
    for (let number = 0; number <= 80; number++) {
      const key = String(number).padStart(2, '0');
      const expected = FIRST_KEYS.slice(Math.floor(number / 3));
      assert.deepEqual(walk(tree(), { from: Buffer.from(key) }).leaves, expected, key);
      assert.deepEqual(walk(tree(), { from: Buffer.from(`${key}.`) }).leaves, expected, `behind ${key}`);
    }
  });

  const ends: Array<[from: string, leaves: readonly string[]]> = [
    ['', FIRST_KEYS],
    ['!', FIRST_KEYS],
    ['x', ['78']],
  ];
  for (const [from, leaves] of ends) {
    test(`${JSON.stringify(from)} gives ${leaves.length} of them`, () => {
      assert.deepEqual(walk(tree(), { from: Buffer.from(from) }).leaves, leaves);
    });
  }

  test('what is passed over is not read, and what follows is checked', () => {
    const damaged: BoltFileSpec['pages'] = {
      20: { id: 9, leaf: [['12', '']] },
      40: { id: 9, leaf: [['72', '']] },
    };
    assert.deepEqual(walk(tree(damaged), { from: Buffer.from('15') }), {
      leaves: FIRST_KEYS.slice(5).filter((key) => key !== '72'),
      codes: ['bolt.page.id'],
      lostPageCount: 1,
    });
    assert.deepEqual(walk(tree(damaged), { from: Buffer.from('14') }).codes, [
      'bolt.page.id',
      'bolt.page.id',
    ]);
  });

  test('a bucket of one leaf gives it, whatever the key is, and so does an inline one', () => {
    const one: BoltFileSpec['pages'] = { 2: { leaf: [{ bucket: 'b', root: 3 }] }, 3: { leaf: [['m', '']] } };
    const inline: BoltFileSpec['pages'] = { 2: { leaf: [{ bucket: 'b', inline: [['m', '']] }] } };
    for (const pages of [one, inline])
      for (const from of ['a', 'm', 'z'])
        assert.deepEqual(walk({ root: 2, pages }, { from: Buffer.from(from) }).leaves, ['m']);
  });
});

test('the regions cover the file, each byte once', () => {
  let at = 0;
  for (const { what, start, size } of regions()) {
    assert.equal(start, at, what);
    at += size;
  }
  assert.equal(at, SOUND.length);
  assert.deepEqual(readBolt(new MemorySource(SOUND)).findings, []);
});

test('a change of any byte is found, or is one that nobody can tell', () => {
  const missed: string[] = [];
  const needless: string[] = [];
  let count = 0;
  for (const { what, start, size, exempt } of regions()) {
    for (let offset = start; offset < start + size; offset++) {
      // Every bit of what has a structure; of the rest a sample.
      const masks = typeof exempt === 'string' ? [1 << (offset % 8)] : [1, 2, 4, 8, 16, 32, 64, 128, 255];
      for (const mask of masks) {
        const content = SOUND.slice();
        content[offset]! ^= mask;
        const isFound = isDamageFound(content);
        const isExempt =
          typeof exempt === 'function' ? exempt(content.subarray(start, start + size)) : exempt !== undefined;
        if (!isFound && !isExempt) missed.push(`${what}, byte ${offset - start}, bits ${mask}`);
        if (isFound && isExempt) needless.push(`${what}, byte ${offset - start}, bits ${mask}`);
        count++;
      }
    }
  }
  assert.ok(count > 10_000);
  assert.deepEqual({ missed, needless }, { missed: [], needless: [] });
});

/** Anything but a finding or a `ToolError` fails the test. */
function isDamageFound(content: Uint8Array): boolean {
  try {
    return readBolt(new MemorySource(content)).findings.length > 0;
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return true;
  }
}
