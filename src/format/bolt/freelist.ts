/**
 * The freelist: which pages may be reused. etcd on Linux does not store it; then every page that is not
 * reachable is free. Where it is stored it must agree with the tree.
 */
import { readAt } from '../../bytes/source.ts';
import { CorruptError } from '../../errors.ts';
import { CLAIM } from './claims.ts';
import type { BoltFile } from './file.ts';
import {
  FIRST_DATA_PAGE,
  FREELIST_COUNT_IN_FIRST,
  HEADER_SIZE,
  PAGE_FREELIST,
  pageTypeName,
} from './layout.ts';
import { Page } from './page.ts';

const ID_SIZE = 8;
/** Ids are read in pieces, so that a list of any length takes constant memory. */
const IDS_PER_READ = 8192;

/** The ids of a stored freelist, in file order. Throws `CorruptError`. */
export function* readFreelist(file: BoltFile, id: number): Generator<number> {
  const page = new Page();
  file.pages.load(id, page);
  const where = { file: file.source.name, offset: page.offset, unit: `page ${id}` };
  if (page.selfId !== id) {
    throw new CorruptError('bolt.page.id', `page ${id} calls itself ${page.selfId}`, { where });
  }
  if (page.flags !== PAGE_FREELIST) {
    throw new CorruptError(
      'bolt.page.flags',
      `page ${id} is a ${pageTypeName(page.flags)} page, expected the freelist`,
      { where },
    );
  }
  const { size } = page;
  let { count } = page;
  let at = page.offset + HEADER_SIZE;
  const end = page.offset + size;
  if (count === FREELIST_COUNT_IN_FIRST) {
    count = Number(wordsAt(file, at, 1)[0]);
    at += ID_SIZE;
  }
  if (!(at + count * ID_SIZE <= end)) {
    throw new CorruptError(
      'bolt.freelist',
      `the freelist counts ${count} ids, more than its ${size} bytes hold`,
      { where },
    );
  }
  for (let left = count; left > 0;) {
    const batch = Math.min(left, IDS_PER_READ);
    for (const value of wordsAt(file, at, batch)) yield Number(value);
    at += batch * ID_SIZE;
    left -= batch;
  }
}

function wordsAt(file: BoltFile, offset: number, count: number): BigUint64Array {
  return new BigUint64Array(readAt(file.source, offset, count * ID_SIZE).buffer);
}

/** Holds a stored freelist against the pages that were claimed; call it when every bucket was walked. */
export function checkFreelist(file: BoltFile): void {
  const { claims, checker } = file;
  const id = file.live.freelist;
  if (id === undefined) return;
  checker.bucket = '';
  const page = new Page();
  const at = (
    freed: number,
    message: string,
    code: 'bolt.freelist' | 'bolt.page.freed' | 'bolt.page.bounds',
  ): void => checker.found(code, page, `page ${freed}: ${message}`);
  try {
    file.pages.load(id, page);
    const taken = claims.claim(id, page.overflow, CLAIM.freelist);
    if (taken !== undefined) at(taken, 'the freelist lies on a page that is in use', 'bolt.page.freed');
    let previous = 0;
    for (const freed of readFreelist(file, id)) {
      if (!(freed >= FIRST_DATA_PAGE && freed < claims.pageLimit))
        at(freed, 'free, but outside the database', 'bolt.page.bounds');
      else if (claims.of(freed) === CLAIM.free) at(freed, 'already freed', 'bolt.freelist');
      else if (claims.of(freed) !== CLAIM.none) at(freed, 'reachable freed', 'bolt.page.freed');
      else claims.claim(freed, 0, CLAIM.free);
      if (freed <= previous) at(freed, `out of order in the freelist, after ${previous}`, 'bolt.freelist');
      previous = freed;
    }
  } catch (error) {
    if (!(error instanceof CorruptError)) throw error;
    checker.failed(error);
    return;
  }
  for (const lost of claims.pages(CLAIM.none)) {
    page.id = lost;
    page.offset = lost * file.live.pageSize;
    checker.found('bolt.page.unreachable', page, `page ${lost}: unreachable unfreed`);
  }
}
