import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource, type Source } from '../../../src/bytes/source.ts';
import { PageFile } from '../../../src/format/bolt/page-file.ts';
import { Page } from '../../../src/format/bolt/page.ts';
import { boltFile, type BoltFileSpec, latin1 } from '../../support/bolt-spec.ts';

/** Notes every read, and fails when it is told to. */
class CountingSource implements Source {
  readonly name = 'counting';
  readonly size: number;
  readonly reads: Array<[offset: number, length: number]> = [];
  isFailing = false;
  readonly #source: Source;

  constructor(bytes: Uint8Array) {
    this.#source = new MemorySource(bytes);
    this.size = bytes.length;
  }

  readInto(offset: number, into: Uint8Array): void {
    if (this.isFailing) throw new RangeError('gone');
    this.reads.push([offset, into.length]);
    this.#source.readInto(offset, into);
  }

  close(): void {}
}

/** 400 leaves of one page each, then one of 40 pages. */
function manyPages(): Uint8Array {
  const pages: BoltFileSpec['pages'] = {};
  for (let id = 2; id < 402; id++) pages[id] = { leaf: [[`k${id}`, 'v']] };
  pages[402] = { leaf: [['long', 'x'.repeat(40_000)]] };
  return boltFile({ root: 2, pages });
}

test('pages come whole, in any order, and in runs with few reads', () => {
  const source = new CountingSource(manyPages());
  const pages = new PageFile(source, 1024, 442);
  const page = new Page();
  for (const step of [1, 7]) {
    for (let i = 0; i < 400; i++) {
      const id = 2 + ((i * step) % 400);
      if (step === 1 && !pages.holds(id)) pages.loadRun(id, 401);
      pages.load(id, page);
      assert.deepEqual(
        [page.selfId, page.id, page.offset, page.size, latin1(page.key(0))],
        [id, id, id * 1024, 1024, `k${id}`],
      );
    }
  }
  // Four runs of 128 KB, then each by itself.
  assert.equal(source.reads.length, 4 + 400);
});

test('a page with overflow is whole, inside a run, at its end and longer than one', () => {
  const pages = new PageFile(new CountingSource(manyPages()), 1024, 442);
  const page = new Page();
  pages.load(402, page);
  assert.equal(page.size, 40 * 1024);
  assert.equal(latin1(page.value(0)), 'x'.repeat(40_000));
  const inside = boltFile({ root: 2, pages: { 2: { leaf: [['k', 'x'.repeat(5000)]] } } });
  const source = new CountingSource(inside);
  new PageFile(source, 1024, 7).load(2, page);
  assert.equal(latin1(page.value(0)), 'x'.repeat(5000));
  // Its first page told how many more there are.
  assert.deepEqual(source.reads, [
    [2 * 1024, 1024],
    [3 * 1024, 4 * 1024],
  ]);
  const huge = boltFile({ root: 2, pages: { 2: { leaf: [['k', 'x'.repeat(300_000)]] } } });
  new PageFile(new MemorySource(huge), 1024, huge.length / 1024).load(2, page);
  assert.equal(latin1(page.value(0)), 'x'.repeat(300_000));
});

test('a run ends where the file or the database does, and what cannot be read as one is read page by page', () => {
  const bytes = manyPages();
  const page = new Page();
  const short = new CountingSource(bytes.subarray(0, 10 * 1024 + 100));
  const pages = new PageFile(short, 1024, 9);
  for (const [first, last] of [
    [0, 5],
    [-1, 5],
    [NaN, NaN],
    [500, 600],
  ] as const)
    pages.loadRun(first, last);
  assert.deepEqual(short.reads, []);
  pages.loadRun(4, 20);
  assert.deepEqual(short.reads, [[4 * 1024, 5 * 1024]]);
  assert.deepEqual(
    [pages.holds(3), pages.holds(4), pages.holds(8), pages.holds(9)],
    [false, true, true, false],
  );

  const failing = new CountingSource(bytes);
  const other = new PageFile(failing, 1024, 442);
  failing.isFailing = true;
  other.loadRun(4, 20);
  failing.isFailing = false;
  assert.equal(other.holds(4), false);
  other.load(4, page);
  assert.equal(latin1(page.key(0)), 'k4');
});

test('a page that is read has memory of its own, and the same content and limits', () => {
  const source = new CountingSource(manyPages());
  const pages = new PageFile(source, 1024, 442);
  const long = pages.read(402);
  const short = pages.read(2);
  assert.deepEqual([long.id, long.offset, long.size, long.start], [402, 402 * 1024, 40 * 1024, 0]);
  assert.equal(latin1(long.value(0)), 'x'.repeat(40_000));
  assert.equal(latin1(short.key(0)), 'k2');
  assert.deepEqual(source.reads, [
    [402 * 1024, 1024],
    [402 * 1024, 40 * 1024],
    [2 * 1024, 1024],
  ]);
  for (const id of [1, 442, NaN]) assert.throws(() => pages.read(id), { code: 'bolt.page.bounds' });
  assert.throws(() => new PageFile(source, 1024, 441).read(402), { code: 'bolt.page.bounds' });
});

test('what a page holds stays when the page is detached', () => {
  const pages = new PageFile(new CountingSource(manyPages()), 1024, 442);
  const page = new Page();
  pages.load(402, page);
  const copy = page.detach();
  pages.load(2, page);
  assert.deepEqual(
    [copy.id, copy.offset, copy.size, latin1(copy.key(0))],
    [402, 402 * 1024, 40 * 1024, 'long'],
  );
  assert.equal(latin1(page.key(0)), 'k2');
});

test('a read that fails leaves no half run behind', () => {
  const source = new CountingSource(manyPages());
  const pages = new PageFile(source, 1024, 442);
  const page = new Page();
  source.isFailing = true;
  assert.throws(() => pages.load(5, page), RangeError);
  source.isFailing = false;
  pages.load(5, page);
  assert.equal(latin1(page.key(0)), 'k5');
});

test('pages outside the database or the file, and overflow beyond them', () => {
  const bytes = manyPages();
  const page = new Page();
  const full = new PageFile(new MemorySource(bytes), 1024, 442);
  const cut = new PageFile(new MemorySource(bytes.subarray(0, 300 * 1024 + 500)), 1024, 442);
  for (const id of [0, 1, -1, 442, 1e9, 2 ** 60, NaN]) {
    assert.throws(() => full.load(id, page), { code: 'bolt.page.bounds' }, String(id));
  }
  cut.load(299, page);
  assert.throws(() => cut.load(300, page), { code: 'bolt.page.bounds' });
  assert.throws(() => new PageFile(new MemorySource(bytes), 1024, 430).load(402, page), {
    code: 'bolt.page.bounds',
  });
  const hole = boltFile({ root: 2, pages: { 2: { leaf: [], overflow: 0xffffffff } } });
  assert.throws(
    () => new PageFile(new MemorySource(hole), 1024, 3).load(2, page),
    (error) => {
      assert.deepEqual((error as { where?: unknown }).where, {
        file: 'memory',
        unit: 'page 2',
        offset: 2 * 1024 + 12,
      });
      return true;
    },
  );
});

test('runs that come slowly make the source read ahead, once; quick ones do not', () => {
  const bytes = manyPages();
  for (const [delayMs, expected] of [
    [0, 0],
    [1, 1],
  ] as const) {
    let hints = 0;
    const memory = new MemorySource(bytes);
    const source: Source = {
      name: 'slow',
      size: memory.size,
      readInto(offset, into) {
        for (const until = performance.now() + delayMs; performance.now() < until;);
        memory.readInto(offset, into);
      },
      readAhead: () => void hints++,
      close() {},
    };
    const pages = new PageFile(source, 1024, 442);
    for (let id = 2; id < 202; id++) pages.loadRun(id, id + 127);
    assert.equal(hints, expected, `${delayMs} ms a run`);
  }
});
