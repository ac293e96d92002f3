import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource } from '../../../src/bytes/source.ts';
import { PageClaims } from '../../../src/format/bolt/claims.ts';
import { FreePages } from '../../../src/format/bolt/free-pages.ts';
import { Node, pairElement } from '../../../src/format/bolt/node.ts';
import { PageFile } from '../../../src/format/bolt/page-file.ts';
import { layOut, type PageWrite, TransactionPages } from '../../../src/format/bolt/tx-pages.ts';
import { boltFile } from '../../support/bolt-spec.ts';

const KB = 1024;

/** A leaf that fills so many pages but for a byte. */
function write(id: number, count: number): PageWrite {
  const value = new Uint8Array(count * KB - 16 - 16 - 2).fill(id);
  return { id, count, node: new Node(true, [pairElement(Buffer.from('k'), value, 0)]) };
}

test('writes come sorted, and neighbours in one piece', () => {
  const pieces: Array<[id: number, pages: number]> = [];
  const file = new Uint8Array(11 * KB);
  for (const { id, bytes } of layOut([write(9, 1), write(3, 2), write(5, 1), write(10, 1)], KB)) {
    pieces.push([id, bytes.length / KB]);
    file.set(bytes, id * KB);
  }
  assert.deepEqual(pieces, [
    [3, 3],
    [9, 2],
  ]);
  const pages = new PageFile(new MemorySource(file), KB, 11);
  for (const { id, count } of [write(3, 2), write(5, 1), write(9, 1), write(10, 1)]) {
    const page = pages.read(id);
    assert.deepEqual([page.selfId, page.overflow], [id, count - 1]);
    assert.ok(page.value(0).every((byte) => byte === id));
    // What an earlier piece left in the buffer does not show.
    assert.equal(page.bytes[count * KB - 1], 0);
  }
  assert.deepEqual([...layOut([], KB)], []);
});

test('a piece has about a megabyte, unless one page run is longer', () => {
  const writes = Array.from({ length: 3000 }, (_, i) => write(2 + i, 1));
  writes.push(write(3002, 2000));
  const sizes = Array.from(layOut(writes, KB), ({ bytes }) => bytes.length / KB);
  assert.deepEqual(sizes, [1024, 1024, 952, 2000]);
});

test('a tree that leads in a circle is an error, not a hang', () => {
  const bytes = boltFile({ root: 2, pages: { 2: { branch: [['a', 3]] }, 3: { branch: [['a', 2]] } } });
  const pages = new TransactionPages(
    new PageFile(new MemorySource(bytes), KB, 4),
    FreePages.unclaimed(new PageClaims(4), 4),
  );
  assert.throws(() => pages.lookUp(2, Buffer.from('a')), { code: 'bolt.page.depth' });
});
