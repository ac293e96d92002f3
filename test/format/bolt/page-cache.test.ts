import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource, type Source } from '../../../src/bytes/source.ts';
import { PageChecker } from '../../../src/format/bolt/check.ts';
import { PageCache } from '../../../src/format/bolt/page-cache.ts';
import { PageFile } from '../../../src/format/bolt/page-file.ts';
import { boltFile, type BoltFileSpec, latin1 } from '../../support/bolt-spec.ts';

const PAGE_SIZE = 1024;
const COUNT = 60;
const FIRST_BRANCH = 2 + COUNT;
const ANY = { low: undefined, high: undefined };

/** Leaves from page 2 on, behind them as many branches; and a leaf of 40 pages. */
function content(): Uint8Array {
  const pages: BoltFileSpec['pages'] = {};
  for (let i = 0; i < COUNT; i++) {
    pages[2 + i] = { leaf: [[`k${i}`, 'v']] };
    pages[FIRST_BRANCH + i] = { branch: [[`k${i}`, 2 + i]] };
  }
  pages[2 + 2 * COUNT] = { leaf: [['long', 'x'.repeat(40 * PAGE_SIZE - 100)]] };
  return boltFile({ root: 2, pages });
}

function cached(limitPages: number): { cache: PageCache; reads: number[] } {
  const bytes = content();
  const memory = new MemorySource(bytes);
  const reads: number[] = [];
  const source: Source = {
    name: 'test.db',
    size: bytes.length,
    readInto(offset, into) {
      reads.push(offset / PAGE_SIZE);
      memory.readInto(offset, into);
    },
    close() {},
  };
  const pages = new PageFile(source, PAGE_SIZE, bytes.length / PAGE_SIZE);
  const checker = new PageChecker({ file: 'test.db', claims: undefined });
  return { cache: new PageCache(pages, checker, limitPages * (PAGE_SIZE + 512)), reads };
}

test('a page is read once while there is room', () => {
  const { cache, reads } = cached(20);
  for (let round = 0; round < 3; round++) {
    for (let id = 2; id < 12; id++) assert.equal(latin1(cache.page(id, ANY).key(0)), `k${id - 2}`);
  }
  assert.equal(reads.length, 10);
});

test('what is kept stays within the limit, and what is wanted stays longest', () => {
  const { cache, reads } = cached(20);
  const limit = 20 * (PAGE_SIZE + 512);
  for (let id = 2; id < 2 + COUNT; id++) {
    cache.page(2, ANY);
    cache.page(id, ANY);
    assert.ok(cache.sizeBytes <= limit);
  }
  assert.equal(reads.filter((id) => id === 2).length, 1);
  assert.ok(cache.sizeBytes > limit / 2);
  assert.equal(cache.peek(3), undefined);
});

test('branches stay when leaves go, up to half of the room', () => {
  const { cache } = cached(20);
  const branches = Array.from({ length: 8 }, (_, i) => FIRST_BRANCH + i);
  for (const id of branches) cache.page(id, ANY);
  for (let id = 2; id < 2 + COUNT; id++) cache.page(id, ANY);
  assert.ok(branches.every((id) => cache.peek(id)));
  for (let i = 0; i < COUNT; i++) cache.page(FIRST_BRANCH + i, ANY);
  const kept = Array.from({ length: COUNT }, (_, i) => cache.peek(FIRST_BRANCH + i)).filter(Boolean);
  assert.ok(kept.length >= 8 && kept.length <= 12, `${kept.length}`);
  assert.ok(cache.peek(2 + COUNT - 1), 'and leaves have the other half');
});

test('a page that is long beside the room is given, and not kept', () => {
  const { cache } = cached(20);
  cache.page(2, ANY);
  assert.equal(cache.page(2 + 2 * COUNT, ANY).valueSize(0), 40 * PAGE_SIZE - 100);
  assert.equal(cache.peek(2 + 2 * COUNT), undefined);
  assert.ok(cache.peek(2));
});

test('a page that was given stays as it is, whatever is read later', () => {
  const { cache } = cached(4);
  const page = cache.page(5, ANY);
  for (let id = 6; id < 40; id++) cache.page(id, ANY);
  assert.equal(cache.peek(5), undefined);
  assert.equal(latin1(page.key(0)), 'k3');
});

test('a page that was forgotten is read again', () => {
  const { cache, reads } = cached(20);
  for (const id of [2, FIRST_BRANCH]) {
    cache.page(id, ANY);
    cache.forget(id);
    cache.forget(id);
  }
  assert.equal(cache.sizeBytes, 0);
  cache.page(2, ANY);
  assert.deepEqual(reads, [2, FIRST_BRANCH, 2]);
});

test('a damaged page is thrown, each time, and never kept', () => {
  const { cache } = cached(20);
  const beyond = { low: Buffer.from('z'), high: undefined };
  for (let i = 0; i < 2; i++) assert.throws(() => cache.page(3, beyond), { code: 'bolt.page.ancestor' });
  assert.equal(cache.peek(3), undefined);
});
