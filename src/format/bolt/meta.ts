/**
 * The two meta pages: which one is live, and what page size the file has. This is the one place that decides
 * either. The live meta is the valid one with the higher transaction id.
 */
import { fnv64 } from '../../bytes/fnv64.ts';
import { readAt, type Source } from '../../bytes/source.ts';
import { CorruptError, type ErrorCode, type Finding, UnsupportedError } from '../../errors.ts';
import {
  FIRST_DATA_PAGE,
  HEADER_SIZE,
  MAGIC,
  MAGIC_SWAPPED,
  META,
  NO_FREELIST,
  PAGE_HEADER,
  PAGE_META,
  PAGE_SIZE_MAX,
  PAGE_SIZE_MIN,
  VERSION,
} from './layout.ts';

const CHECKSUM_OFFSET = META.fields.checksum.offset;
const META_END = HEADER_SIZE + META.size;

/** A valid meta, in numbers. */
export interface Meta {
  /** 0 or 1. */
  page: number;
  pageSize: number;
  root: number;
  sequence: bigint;
  /** Page of the freelist, or undefined when it is not stored. */
  freelist: number | undefined;
  /** High-water mark, in pages. */
  pageLimit: number;
  txid: bigint;
}

/** What is in page 0 or 1: a meta, or why there is none. */
export type MetaSlot = { meta: Meta } | { meta?: undefined; problem: Problem };

interface Problem {
  code: ErrorCode;
  message: string;
  offset: number;
}

export interface Metas {
  pageSize: number;
  live: Meta;
  slots: [MetaSlot, MetaSlot];
}

/** Reads a meta record; `at` is the offset of its page in `bytes`, `offset` that in the file. */
function decodeSlot(bytes: Uint8Array, at: number, page: number, offset: number): MetaSlot {
  const start = at + HEADER_SIZE;
  const raw = META.decode(bytes, start);
  const problem = (code: ErrorCode, message: string, field: keyof typeof META.fields): MetaSlot => ({
    problem: {
      code,
      message: `meta page ${page}: ${message}`,
      offset: offset + HEADER_SIZE + META.fields[field].offset,
    },
  });

  if (raw.magic !== MAGIC) {
    return problem('bolt.meta.invalid', `magic is ${hex(raw.magic)}, expected ${hex(MAGIC)}`, 'magic');
  }
  if (raw.version !== VERSION) {
    return problem('bolt.meta.version', `version is ${raw.version}, expected ${VERSION}`, 'version');
  }
  const computed = fnv64(bytes, start, start + CHECKSUM_OFFSET);
  if (computed !== raw.checksum) {
    return problem(
      'bolt.meta.checksum',
      `checksum is ${hex(raw.checksum)}, but its contents hash to ${hex(computed)}`,
      'checksum',
    );
  }
  if (!isPageSize(raw.pageSize)) {
    return problem('bolt.page-size', `page size is ${raw.pageSize}`, 'pageSize');
  }
  const pageLimit = Number(raw.pageLimit);
  if (!Number.isSafeInteger(pageLimit * raw.pageSize) || pageLimit <= FIRST_DATA_PAGE) {
    return problem('bolt.meta.field', `high-water mark is ${raw.pageLimit}`, 'pageLimit');
  }
  if (raw.root < BigInt(FIRST_DATA_PAGE) || raw.root >= raw.pageLimit) {
    return problem('bolt.meta.field', `root page is ${raw.root} of ${raw.pageLimit}`, 'root');
  }
  if (
    raw.freelist !== NO_FREELIST &&
    (raw.freelist < BigInt(FIRST_DATA_PAGE) || raw.freelist >= raw.pageLimit)
  ) {
    return problem('bolt.meta.field', `freelist page is ${raw.freelist} of ${raw.pageLimit}`, 'freelist');
  }
  return {
    meta: {
      page,
      pageSize: raw.pageSize,
      root: Number(raw.root),
      sequence: raw.sequence,
      freelist: raw.freelist === NO_FREELIST ? undefined : Number(raw.freelist),
      pageLimit,
      txid: raw.txid,
    },
  };
}

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

function isPageSize(size: number): boolean {
  return size >= PAGE_SIZE_MIN && size <= PAGE_SIZE_MAX && (size & (size - 1)) === 0;
}

function slotAt(source: Source, offset: number, page: number): MetaSlot {
  if (offset + META_END > source.size) {
    const message = `meta page ${page}: the file ends before it, at ${source.size} bytes`;
    return { problem: { code: 'bytes.truncated', message, offset } };
  }
  return decodeSlot(readAt(source, offset, META_END), 0, page, offset);
}

/**
 * Reads both metas. With meta 0 gone the page size is found by probing for meta 1, as bbolt does.
 * Throws `CorruptError` when neither is valid, `UnsupportedError` for a big-endian file.
 */
export function readMetas(source: Source): Metas {
  const first = slotAt(source, 0, 0);
  let second: MetaSlot | undefined;
  if (first.meta) {
    second = slotAt(source, first.meta.pageSize, 1);
  } else {
    for (let size = PAGE_SIZE_MIN; size <= PAGE_SIZE_MAX && !second?.meta; size *= 2) {
      const probed = slotAt(source, size, 1);
      if (probed.meta?.pageSize === size) second = probed;
    }
  }
  const live = newer(first.meta, second?.meta);
  if (!live) throw noMeta(source, first);
  return { pageSize: live.pageSize, live, slots: [first, second ?? slotAt(source, live.pageSize, 1)] };
}

function newer(a: Meta | undefined, b: Meta | undefined): Meta | undefined {
  if (!a || !b) return a ?? b;
  return b.txid > a.txid ? b : a;
}

function noMeta(source: Source, first: MetaSlot): CorruptError | UnsupportedError {
  if (source.size >= META_END) {
    const magic = META.decode(readAt(source, HEADER_SIZE, META.size)).magic;
    if (magic === MAGIC_SWAPPED) {
      return new UnsupportedError('bolt.big-endian', `${source.name} was written on a big-endian machine`, {
        where: { file: source.name, offset: HEADER_SIZE },
        hint: 'take a new snapshot over the API from a little-endian member',
      });
    }
  }
  const problem = first.meta ? undefined : first.problem;
  const upstream =
    problem?.code === 'bolt.meta.version'
      ? 'version mismatch'
      : problem?.code === 'bolt.meta.checksum'
        ? 'checksum error'
        : 'invalid database';
  return new CorruptError(
    'bolt.meta.none',
    `neither meta page is valid (${problem?.message ?? 'no meta'}): not a bbolt database, or its start is destroyed`,
    { where: { file: source.name, offset: problem?.offset ?? 0 }, upstream },
  );
}

/** What is wrong with the metas of a file that can still be opened. */
export function checkMetas(source: Source, metas: Metas, report: (finding: Finding) => void): void {
  for (const [page, slot] of metas.slots.entries()) {
    const offset = page * metas.pageSize;
    const add = (code: ErrorCode, message: string, at: number): void =>
      report({
        code,
        severity: 'lossy',
        where: { file: source.name, offset: at, unit: `page ${page}` },
        message,
      });
    if (!slot.meta) {
      add(slot.problem.code, slot.problem.message, slot.problem.offset);
      continue;
    }
    const header = PAGE_HEADER.decode(readAt(source, offset, HEADER_SIZE));
    if (header.id !== BigInt(page))
      add('bolt.page.id', `meta page ${page} calls itself ${header.id}`, offset);
    if (header.flags !== PAGE_META) {
      add(
        'bolt.page.flags',
        `meta page ${page} has flags ${hex(header.flags)}, expected ${hex(PAGE_META)}`,
        offset + 8,
      );
    }
    if (header.count !== 0 || header.overflow !== 0) {
      add(
        'bolt.page.element',
        `meta page ${page} counts ${header.count} elements, ${header.overflow} overflow pages`,
        offset + 10,
      );
    }
    if (slot.meta.pageSize !== metas.pageSize) {
      add(
        'bolt.page-size',
        `meta page ${page} names page size ${slot.meta.pageSize}, the other ${metas.pageSize}`,
        offset + HEADER_SIZE + 8,
      );
    }
  }
}

/** The 80 bytes of page header and meta record, sealed with its checksum. */
export function encodeMetaPage(meta: Meta): Uint8Array {
  const bytes = new Uint8Array(meta.pageSize);
  PAGE_HEADER.encode({ id: BigInt(meta.page), flags: PAGE_META, count: 0, overflow: 0 }, bytes);
  META.encode(
    {
      magic: MAGIC,
      version: VERSION,
      pageSize: meta.pageSize,
      flags: 0,
      root: BigInt(meta.root),
      sequence: meta.sequence,
      freelist: meta.freelist === undefined ? NO_FREELIST : BigInt(meta.freelist),
      pageLimit: BigInt(meta.pageLimit),
      txid: meta.txid,
      checksum: 0n,
    },
    bytes,
    HEADER_SIZE,
  );
  new DataView(bytes.buffer).setBigUint64(
    HEADER_SIZE + CHECKSUM_OFFSET,
    fnv64(bytes, HEADER_SIZE, HEADER_SIZE + CHECKSUM_OFFSET),
    true,
  );
  return bytes;
}
