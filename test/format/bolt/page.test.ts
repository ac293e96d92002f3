import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource } from '../../../src/bytes/source.ts';
import { PageFile } from '../../../src/format/bolt/page-file.ts';
import { Page } from '../../../src/format/bolt/page.ts';
import { boltFile, latin1, type PageSpec } from '../../support/bolt-spec.ts';

function pageOf(spec: PageSpec, id = 2): Page {
  const page = new Page();
  const bytes = boltFile({ root: id, pages: { [id]: spec } });
  new PageFile(new MemorySource(bytes), 1024, bytes.length / 1024).load(id, page);
  return page;
}

test('a leaf by its elements', () => {
  const page = pageOf({ leaf: [['a', '1'], { bucket: 'b', inline: [] }, ['long key', '']] }, 5);
  assert.deepEqual([page.id, page.selfId, page.flags, page.count, page.overflow], [5, 5, 2, 3, 0]);
  assert.ok(page.isLeaf && !page.isBranch);
  assert.deepEqual(
    [0, 1, 2].map((i) => page.elementFlags(i)),
    [0, 1, 0],
  );
  assert.deepEqual(
    [0, 1, 2].map((i) => latin1(page.key(i))),
    ['a', 'b', 'long key'],
  );
  assert.deepEqual(
    [0, 1, 2].map((i) => page.valueSize(i)),
    [1, 32, 0],
  );
  assert.equal(latin1(page.value(0)), '1');
  assert.equal(page.value(1).length, 32);
  assert.equal(page.fileOffset(page.keyStart(0)), 5 * 1024 + 16 + 48);
});

test('a branch by its elements; child ids of 64 bits', () => {
  const page = pageOf({
    branch: [
      ['a', 7],
      ['k', 2 ** 40 + 3],
    ],
  });
  assert.ok(page.isBranch && !page.isLeaf);
  assert.deepEqual([page.childId(0), page.childId(1)], [7, 2 ** 40 + 3]);
  assert.deepEqual([page.branchKeySize(0), page.branchKeySize(1)], [1, 1]);
  assert.equal(page.bytes[page.branchKeyStart(1)], 0x6b);
});

test('an id above 2^53 equals no page', () => {
  const page = pageOf({ leaf: [] });
  page.bytes.fill(0xff, page.start, page.start + 8);
  assert.ok(page.selfId > Number.MAX_SAFE_INTEGER);
});
