/** Offset tables and constants of a bbolt file, version 2 (bbolt 1.3–1.5). Little-endian; see README.md here. */
import { id64, layout, u16, u32 } from '../../bytes/layout.ts';

/** Start of every page; overflow pages have none of their own. */
export const PAGE_HEADER = layout('bolt page header', 16, {
  id: id64(0), // page number; 0 in an inline page
  flags: u16(8),
  count: u16(10), // elements
  overflow: u32(12), // further pages that belong to this one
});

/** At byte 16 of pages 0 and 1. */
export const META = layout('bolt meta', 64, {
  magic: u32(0),
  version: u32(4),
  pageSize: u32(8),
  flags: u32(12), // unused
  root: id64(16), // page of the root bucket
  sequence: id64(24),
  freelist: id64(32), // all ones: not stored
  pageLimit: id64(40), // high-water mark: the first page id never allocated
  txid: id64(48),
  checksum: id64(56), // FNV-1a 64 over bytes 0…55
});

/** In a branch page, one for each child, right behind the header. */
export const BRANCH_ELEMENT = layout('bolt branch element', 16, {
  position: u32(0), // from this element's start to the key
  keySize: u32(4),
  page: id64(8),
});

/** In a leaf page, one for each key, right behind the header. */
export const LEAF_ELEMENT = layout('bolt leaf element', 16, {
  flags: u32(0),
  position: u32(4), // from this element's start to the key; the value follows the key
  keySize: u32(8),
  valueSize: u32(12),
});

/** The value of a bucket's element; an inline page follows when `root` is 0. */
export const BUCKET_HEADER = layout('bolt bucket header', 16, { root: id64(0), sequence: id64(8) });

export const HEADER_SIZE = 16;
export const ELEMENT_SIZE = 16;

export const PAGE_BRANCH = 0x01;
export const PAGE_LEAF = 0x02;
export const PAGE_META = 0x04;
export const PAGE_FREELIST = 0x10;

/** A leaf element whose value is a bucket. */
export const ELEMENT_BUCKET = 0x01;

export const MAGIC = 0xed0cdaed;
/** How `MAGIC` reads in a file that a big-endian machine wrote. */
export const MAGIC_SWAPPED = 0xedda0ced;
export const VERSION = 2;
/** `freelist` of a meta whose free pages are not stored. */
export const NO_FREELIST = 0xffff_ffff_ffff_ffffn;
/** A freelist `count` of this says that the real count is the first id. */
export const FREELIST_COUNT_IN_FIRST = 0xffff;

export const PAGE_SIZE_MIN = 1024;
export const PAGE_SIZE_MAX = 65536;
export const KEY_SIZE_MAX = 32768;
export const VALUE_SIZE_MAX = 2 ** 31 - 2;
/** A bucket without sub-buckets lies inline in its parent while its leaf fits in this part of a page. */
export const INLINE_DIVISOR = 4;
/** Pages 0 and 1 hold the metas. */
export const FIRST_DATA_PAGE = 2;
/** Real trees have at most five levels; this bounds a damaged one. */
export const DEPTH_MAX = 32;

/** What a page calls itself, in bbolt's words. */
export function pageTypeName(flags: number): string {
  if (flags === PAGE_BRANCH) return 'branch';
  if (flags === PAGE_LEAF) return 'leaf';
  if (flags === PAGE_META) return 'meta';
  if (flags === PAGE_FREELIST) return 'freelist';
  return `unknown<${flags.toString(16).padStart(2, '0')}>`;
}
