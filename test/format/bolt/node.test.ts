import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource } from '../../../src/bytes/source.ts';
import { elementFor, Node, pairElement, valueOf } from '../../../src/format/bolt/node.ts';
import { PageFile } from '../../../src/format/bolt/page-file.ts';
import { Page } from '../../../src/format/bolt/page.ts';
import { boltFile, latin1, type PageSpec } from '../../support/bolt-spec.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const pair = (key: string, value = ''): ReturnType<typeof pairElement> =>
  pairElement(bytes(key), bytes(value), 0);

function pageOf(spec: PageSpec): Page {
  const page = new Page();
  const file = boltFile({ root: 2, pages: { 2: spec } });
  new PageFile(new MemorySource(file), 1024, file.length / 1024).load(2, page);
  return page;
}

const keysOf = ({ elements }: Node): string[] =>
  elements.map(({ bytes, start, keySize }) => latin1(bytes.subarray(start, start + keySize)));

test('a page taken apart and encoded again is the same page', () => {
  for (const spec of [
    { leaf: [['a', '1'], { bucket: 'b', root: 7 }, ['c', 'x'.repeat(2000)]] },
    {
      branch: [
        ['a', 3],
        ['m', 2 ** 35],
      ],
    },
    { leaf: [] },
  ] satisfies PageSpec[]) {
    const page = pageOf(spec);
    const node = Node.ofPage(page, 'f');
    const into = new Uint8Array(page.size);
    node.encode(into, 0, page.id, page.overflow);
    assert.deepEqual(into, page.bytes.slice(page.start, page.start + page.size));
    assert.deepEqual([node.pageId, node.pageCount, node.isDirty], [2, page.overflow + 1, false]);
  }
});

test('pages that are no node, or whose elements point outside them', () => {
  assert.throws(() => Node.ofPage(pageOf({ freelist: [] }), 'f'), { code: 'bolt.page.flags' });
  assert.throws(() => Node.ofPage(pageOf({ branch: [] }), 'f'), { code: 'bolt.page.element' });
  assert.throws(() => Node.ofPage(pageOf({ leaf: [], count: 64 }), 'f'), { code: 'bolt.page.element' });
  const page = pageOf({ leaf: [['a', '1']] });
  for (const [offset, value] of [
    [20, 0xffffffff],
    [24, 5000],
    [28, 0x80000000],
  ] as const) {
    const damaged = page.detach();
    damaged.words[offset >>> 2] = value;
    assert.throws(
      () => Node.ofPage(damaged, 'f'),
      (error) => {
        assert.deepEqual((error as { where?: unknown }).where, { file: 'f', offset: 2048, unit: 'page 2' });
        return true;
      },
    );
  }
});

test('keys are found by halving, in nodes and in pages', () => {
  const keys = Array.from({ length: 40 }, (_, i) => `k${String(2 * i + 1).padStart(3, '0')}`);
  const leafPage = pageOf({ leaf: keys.map((key) => [key, key] as const) });
  const branchPage = pageOf({ branch: keys.map((key, i) => [key, 100 + i] as const) });
  const leaf = Node.ofPage(leafPage, 'f');
  const branch = Node.ofPage(branchPage, 'f');
  for (let i = -1; i <= 81; i++) {
    const key = bytes(i < 0 ? 'a' : `k${String(i).padStart(3, '0')}`);
    const below = keys.filter((one) => one < key.toString()).length;
    const isThere = keys.includes(key.toString());
    assert.equal(leaf.lowerBound(key), below);
    assert.equal(leaf.hasKey(below, key), isThere);
    const found = elementFor(leafPage, key);
    assert.equal(found && latin1(valueOf(found)), isThere ? key.toString() : undefined);
    const child = isThere ? below : Math.max(0, below - 1);
    assert.equal(branch.childIndex(key), child);
    assert.equal(elementFor(branchPage, key)!.child, 100 + child);
  }
  assert.equal(elementFor(pageOf({ leaf: [] }), bytes('k')), undefined);
});

test('its size is that of its elements, whatever was done to it', () => {
  const node = new Node(true, [pair('a', '12'), pair('c')]);
  assert.equal(node.size, 16 + 16 + 3 + 16 + 1);
  node.place(1, pair('b', 'xyz'), false);
  node.place(0, pair('a'), true);
  assert.deepEqual(keysOf(node), ['a', 'b', 'c']);
  assert.equal(node.size, new Node(true, node.elements).size);
  node.remove(1);
  assert.equal(node.isShrunk, true);
  node.absorb(new Node(true, [pair('d', 'e')]));
  assert.deepEqual(keysOf(node), ['a', 'c', 'd']);
  assert.equal(node.size, new Node(true, node.elements).size);
  assert.equal(node.isDirty, true);
});

test('a node splits as bbolt splits it', () => {
  const node = (count: number, valueSize: number): Node =>
    new Node(
      true,
      Array.from({ length: count }, (_, i) => pair(String(i).padStart(4, '0'), 'x'.repeat(valueSize))),
    );
  const counts = (split: Node, fill: number): number[] => split.split(1024, fill).map((part) => part.count);
  // 16 + 12 * 84 fills the page to the last byte, which bbolt takes as too much.
  assert.deepEqual(counts(node(12, 64), 0.5), [5, 7]);
  assert.deepEqual(counts(node(11, 64), 0.5), [11]);
  assert.deepEqual(counts(node(4, 5000), 0.5), [4]);
  assert.deepEqual(counts(node(5, 5000), 0.5), [2, 3]);
  assert.deepEqual(counts(node(9, 5000), 1), [2, 2, 2, 3]);
  assert.deepEqual(counts(node(100, 64), 0.5), [...Array(18).fill(5), 10]);
  assert.deepEqual(counts(node(100, 64), 0.9), [...Array(9).fill(10), 10]);

  const whole = node(100, 64);
  const keys = keysOf(whole);
  const parts = whole.split(1024, 0.5);
  assert.equal(parts[0], whole);
  assert.deepEqual(parts.flatMap(keysOf), keys);
  for (const part of parts) {
    assert.ok(part.size < 1024);
    assert.equal(part.isDirty, part !== whole);
    assert.equal(part.size, new Node(true, part.elements).size);
  }
});
