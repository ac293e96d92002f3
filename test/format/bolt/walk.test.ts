import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource } from '../../../src/bytes/source.ts';
import { ToolError } from '../../../src/errors.ts';
import { PageChecker } from '../../../src/format/bolt/check.ts';
import { PageClaims } from '../../../src/format/bolt/claims.ts';
import { BoltFile } from '../../../src/format/bolt/file.ts';
import { BUCKET_HEADER, ELEMENT_SIZE, HEADER_SIZE, META } from '../../../src/format/bolt/layout.ts';
import { PageFile } from '../../../src/format/bolt/page-file.ts';
import type { Page } from '../../../src/format/bolt/page.ts';
import { LeafWalk } from '../../../src/format/bolt/walk.ts';
import { boltFile, type BoltFileSpec, latin1, readBolt } from '../../support/bolt-spec.ts';

const PAGE_SIZE = 1024;

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

/** A file with a page of every kind: branches, leaves, overflow, inline and paged buckets, a stored freelist. */
const SPEC: BoltFileSpec = {
  root: 11,
  freelist: 10,
  txid: 7n,
  pages: {
    3: {
      branch: [
        ['a', 4],
        ['d', 12],
      ],
    },
    4: {
      leaf: [
        ['a', '1'],
        ['b', 'x'.repeat(1500)],
        ['c', ''],
      ],
    }, // and page 5
    6: { leaf: [['k', 'value']] },
    8: { leaf: [['s', 'spare']] },
    10: { freelist: [2, 7, 9] },
    11: {
      leaf: [
        {
          bucket: 'in',
          inline: [
            ['x', 'y'],
            ['y', 'z'],
          ],
        },
        { bucket: 'tree', root: 3 },
        { bucket: 'was', root: 6 },
        { bucket: 'zero', root: 8 },
      ],
    },
    12: {
      leaf: [
        ['d', '4'],
        ['e', '5'],
      ],
    },
  },
};
const SOUND = boltFile(SPEC);

/** What a byte is part of, and what it may be without anybody being able to tell. */
interface Region {
  what: string;
  start: number;
  size: number;
  /** Why a change of it cannot be found, or by its key, when it cannot. */
  exempt?: string | ((changed: Uint8Array) => boolean);
}

/** Every byte of the file, by the tables of the format. */
function regions(): Region[] {
  const all: Region[] = [];
  const file = new BoltFile(new MemorySource(SOUND));
  for (const page of [0, 1]) {
    const start = page * PAGE_SIZE;
    all.push({ what: `meta page ${page} header`, start, size: HEADER_SIZE });
    all.push({ what: `meta ${page}`, start: start + HEADER_SIZE, size: META.size });
    const tail = start + HEADER_SIZE + META.size;
    all.push({
      what: `rest of meta page ${page}`,
      start: tail,
      size: start + PAGE_SIZE - tail,
      exempt: 'never read',
    });
  }
  for (const id of [2, 7, 9])
    all.push({ what: `free page ${id}`, start: id * PAGE_SIZE, size: PAGE_SIZE, exempt: 'free' });
  for (const id of [3, 4, 6, 8, 11, 12]) {
    all.push(...nodeRegions(file.pages.read(id), `page ${id}`, file));
  }
  const list = 10 * PAGE_SIZE;
  all.push({ what: 'freelist header', start: list, size: HEADER_SIZE });
  all.push({ what: 'freelist ids', start: list + HEADER_SIZE, size: 24 });
  all.push({
    what: 'rest of the freelist',
    start: list + HEADER_SIZE + 24,
    size: PAGE_SIZE - HEADER_SIZE - 24,
    exempt: 'behind its count',
  });
  return all.sort((a, b) => a.start - b.start);
}

function nodeRegions(page: Page, name: string, file: BoltFile): Region[] {
  const { count, isBranch } = page;
  const all: Region[] = [{ what: `${name} header`, start: page.offset, size: HEADER_SIZE }];
  const elements = page.offset + HEADER_SIZE;
  // Nothing but the page's end says where the last value of a leaf ends, unless it is a bucket.
  const isClosed = isBranch || page.isInline || page.elementFlags(count - 1) !== 0;
  const openSize = isClosed ? 0 : 8;
  all.push({ what: `${name} elements`, start: elements, size: ELEMENT_SIZE * count - openSize });
  if (openSize > 0) {
    const start = elements + ELEMENT_SIZE * count - openSize;
    all.push({ what: `${name} last sizes`, start, size: openSize, exempt: lastSizesExemption(page) });
  }
  let end = page.offset + HEADER_SIZE + ELEMENT_SIZE * count;
  for (let i = 0; i < count; i++) {
    const key = isBranch ? page.branchKeyStart(i) : page.keyStart(i);
    const keySize = isBranch ? page.branchKeySize(i) : page.keySize(i);
    const valueSize = isBranch ? 0 : page.valueSize(i);
    const start = page.fileOffset(key);
    all.push({ what: `${name} key ${i}`, start, size: keySize, exempt: keyExemption(page, i) });
    const valueAt = start + keySize;
    if (isBranch || page.elementFlags(i) === 0) {
      all.push({
        what: `${name} value ${i}`,
        start: valueAt,
        size: valueSize,
        exempt: 'values have no checksum',
      });
    } else {
      all.push({ what: `${name} bucket ${i} root`, start: valueAt, size: 8 });
      all.push({
        what: `${name} bucket ${i} sequence`,
        start: valueAt + 8,
        size: 8,
        exempt: 'bbolt lets any number stand there',
      });
      const { inline } = file.describe(page, i)!;
      if (inline)
        all.push(...nodeRegions(inline, `${name} inline ${i}`, file).filter(({ size }) => size > 0));
      assert.ok(inline || valueSize === BUCKET_HEADER.size);
    }
    end = valueAt + valueSize;
  }
  if (!page.isInline) {
    const size = page.offset + page.size - end;
    all.push({ what: `first byte behind ${name}`, start: end, size: 1 });
    all.push({ what: `rest of ${name}`, start: end + 1, size: size - 1, exempt: 'behind the last value' });
  }
  return all;
}

/**
 * Sizes of a leaf's last element under which it still ends in the page's last one, before a zero, with a key that is
 * in order.
 */
function lastSizesExemption(page: Page): (changed: Uint8Array) => boolean {
  const last = page.count - 1;
  const start = page.keyStart(last);
  const fits = keyExemption(page, last);
  return (changed) => {
    const view = new DataView(changed.buffer, changed.byteOffset);
    const keySize = view.getUint32(0, true);
    const end = start - page.start + keySize + view.getUint32(4, true);
    if (keySize === 0 || end > page.size || end <= page.size - PAGE_SIZE) return false;
    if (end < page.size && page.bytes[page.start + end] !== 0) return false;
    return page.keySize(last) === keySize || fits(page.bytes.subarray(start, start + keySize));
  };
}

/** A key that stays between its neighbours is another, equally valid key, unless a parent names it. */
function keyExemption(page: Page, index: number): (changed: Uint8Array) => boolean {
  const keyOf = (i: number): string =>
    page.isBranch
      ? latin1(page.bytes.subarray(page.branchKeyStart(i), page.branchKeyStart(i) + page.branchKeySize(i)))
      : latin1(page.key(i));
  const isBound = page.isBranch || page.id === 12 || page.id === 4;
  const low = index > 0 ? keyOf(index - 1) : undefined;
  const high = index + 1 < page.count ? keyOf(index + 1) : page.id === 4 ? 'd' : undefined;
  return (changed) => {
    const key = latin1(changed);
    if (isBound && (index === 0 || page.isBranch)) return false;
    return (low === undefined || key > low) && (high === undefined || key < high);
  };
}

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
