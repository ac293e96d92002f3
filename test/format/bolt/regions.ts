/** A small file with a page of every kind, and every byte of it by the tables of the format. */
import assert from 'node:assert/strict';
import { MemorySource } from '../../../src/bytes/source.ts';
import { BoltFile } from '../../../src/format/bolt/file.ts';
import { BUCKET_HEADER, ELEMENT_SIZE, HEADER_SIZE, META } from '../../../src/format/bolt/layout.ts';
import type { Page } from '../../../src/format/bolt/page.ts';
import { boltFile, type BoltFileSpec, latin1 } from '../../support/bolt-spec.ts';

export const PAGE_SIZE = 1024;

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
export const SOUND = boltFile(SPEC);

/** What a byte is part of, and what it may be without anybody being able to tell. */
export interface Region {
  what: string;
  start: number;
  size: number;
  /** Why a change of it cannot be found, or by its key, when it cannot. */
  exempt?: string | ((changed: Uint8Array) => boolean);
}

/** Every byte of the file, by the tables of the format. */
export function regions(): Region[] {
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
