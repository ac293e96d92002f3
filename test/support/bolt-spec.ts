/** Small bbolt files as literal values, and any file read back in full. */
import type { Source } from '../../src/bytes/source.ts';
import type { Finding } from '../../src/errors.ts';
import { BoltFile, type Bucket } from '../../src/format/bolt/file.ts';
import { checkFreelist } from '../../src/format/bolt/freelist.ts';
import {
  BRANCH_ELEMENT,
  BUCKET_HEADER,
  ELEMENT_BUCKET,
  ELEMENT_SIZE,
  HEADER_SIZE,
  LEAF_ELEMENT,
  PAGE_BRANCH,
  PAGE_FREELIST,
  PAGE_HEADER,
  PAGE_LEAF,
} from '../../src/format/bolt/layout.ts';
import { checkMetas, encodeMetaPage, type Meta } from '../../src/format/bolt/meta.ts';

type Text = string | Uint8Array;

/** A plain pair, or a bucket with its root page or its inline pairs. */
export type LeafSpec = readonly [key: Text, value: Text] | BucketSpec;

export interface BucketSpec {
  bucket: Text;
  sequence?: bigint;
  root?: number;
  inline?: ReadonlyArray<readonly [key: Text, value: Text]>;
}

type Content =
  | { leaf: readonly LeafSpec[] }
  | { branch: ReadonlyArray<readonly [key: Text, child: number]> }
  | { freelist: readonly number[] };

/** What a page holds; header fields are what they must be unless they are given. */
export type PageSpec = Content & { id?: number; flags?: number; count?: number; overflow?: number };

export interface BoltFileSpec {
  /** 1024 unless given. */
  pageSize?: number;
  /** Page of the root bucket. */
  root: number;
  /** Page of the freelist; not stored unless given. */
  freelist?: number;
  /** High-water mark; unless given, the end of the last page. */
  pageLimit?: number;
  /** Of meta 1; meta 0 has the one before. 1 unless given. */
  txid?: bigint;
  /** What meta 0 or 1 has otherwise. */
  metas?: [Partial<Meta>, Partial<Meta>];
  /** By number; what lies between them is zero. */
  pages: Record<number, PageSpec>;
}

const bytesOf = (text: Text): Uint8Array => (typeof text === 'string' ? Buffer.from(text) : text);

/** The bytes of the file. */
export function boltFile(spec: BoltFileSpec): Uint8Array {
  const { pageSize = 1024, txid = 1n } = spec;
  const pages = Object.entries(spec.pages).map(([id, page]) => ({
    id: Number(id),
    bytes: encodePage(page, Number(id)),
  }));
  const end = Math.max(...pages.map(({ id, bytes }) => id + Math.ceil(bytes.length / pageSize)));
  const pageLimit = spec.pageLimit ?? end;
  const file = new Uint8Array(Math.max(end, pageLimit) * pageSize);
  for (const page of [0, 1]) {
    const meta: Meta = {
      page,
      pageSize,
      root: spec.root,
      sequence: 0n,
      freelist: spec.freelist,
      pageLimit,
      txid: page === 0 ? txid - 1n : txid,
      ...spec.metas?.[page],
    };
    file.set(encodeMetaPage(meta), page * pageSize);
  }
  for (const { id, bytes } of pages) {
    const { overflow = Math.ceil(bytes.length / pageSize) - 1 } = spec.pages[id]!;
    new DataView(bytes.buffer).setUint32(PAGE_HEADER.fields.overflow.offset, overflow, true);
    file.set(bytes, id * pageSize);
  }
  return file;
}

function encodePage(page: PageSpec, id: number): Uint8Array {
  if ('freelist' in page) {
    const bytes = new Uint8Array(HEADER_SIZE + 8 * page.freelist.length);
    header(bytes, { id, flags: PAGE_FREELIST, count: page.freelist.length, ...page });
    const view = new DataView(bytes.buffer);
    for (const [i, free] of page.freelist.entries())
      view.setBigUint64(HEADER_SIZE + 8 * i, BigInt(free), true);
    return bytes;
  }
  if ('branch' in page) {
    const elements = page.branch.map(([key, child]) => ({
      key: bytesOf(key),
      value: new Uint8Array(),
      flags: 0,
      child,
    }));
    return encodeNode(elements, { id, flags: PAGE_BRANCH, count: elements.length, ...page });
  }
  return encodeNode(page.leaf.map(leafElement), { id, flags: PAGE_LEAF, count: page.leaf.length, ...page });
}

interface ElementSpec {
  key: Uint8Array;
  value: Uint8Array;
  flags: number;
  child: number;
}

function leafElement(spec: LeafSpec): ElementSpec {
  if (!('bucket' in spec)) return { key: bytesOf(spec[0]), value: bytesOf(spec[1]), flags: 0, child: 0 };
  const inline = spec.inline?.map(leafElement);
  const page = inline && encodeNode(inline, { id: 0, flags: PAGE_LEAF, count: inline.length });
  const value = new Uint8Array(BUCKET_HEADER.size + (page?.length ?? 0));
  BUCKET_HEADER.encode({ root: BigInt(spec.root ?? 0), sequence: spec.sequence ?? 0n }, value);
  if (page) value.set(page, BUCKET_HEADER.size);
  return { key: bytesOf(spec.bucket), value, flags: ELEMENT_BUCKET, child: 0 };
}

interface HeaderSpec {
  id: number;
  flags: number;
  count: number;
}

function header(bytes: Uint8Array, { id, flags, count }: HeaderSpec): void {
  PAGE_HEADER.encode({ id: BigInt(id), flags, count, overflow: 0 }, bytes);
}

function encodeNode(elements: readonly ElementSpec[], spec: HeaderSpec): Uint8Array {
  const dataSize = elements.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
  const bytes = new Uint8Array(HEADER_SIZE + ELEMENT_SIZE * elements.length + dataSize);
  header(bytes, spec);
  let dataAt = HEADER_SIZE + ELEMENT_SIZE * elements.length;
  for (const [i, { key, value, flags, child }] of elements.entries()) {
    const at = HEADER_SIZE + ELEMENT_SIZE * i;
    const position = dataAt - at;
    if (spec.flags === PAGE_BRANCH)
      BRANCH_ELEMENT.encode({ position, keySize: key.length, page: BigInt(child) }, bytes, at);
    else LEAF_ELEMENT.encode({ flags, position, keySize: key.length, valueSize: value.length }, bytes, at);
    bytes.set(key, dataAt);
    bytes.set(value, dataAt + key.length);
    dataAt += key.length + value.length;
  }
  return bytes;
}

/** A bucket with all that is in it; names, keys and values as `latin1`. */
export interface BucketContent {
  sequence: bigint;
  pairs: Map<string, string>;
  buckets: Map<string, BucketContent>;
}

export interface BoltReading {
  file: BoltFile;
  findings: Finding[];
  buckets: Map<string, BucketContent>;
}

/** Reads and checks all that a file holds: metas, every bucket with those inside it, the freelist. */
export function readBolt(source: Source): BoltReading {
  const findings: Finding[] = [];
  const file = new BoltFile(source, { report: (finding) => findings.push(finding) });
  checkMetas(source, file.metas, (finding) => findings.push(finding));
  const buckets = new Map<string, BucketContent>();
  for (const bucket of file.buckets()) buckets.set(latin1(bucket.name), readBucket(file, bucket));
  checkFreelist(file);
  return { file, findings, buckets };
}

function readBucket(file: BoltFile, bucket: Bucket): BucketContent {
  const content: BucketContent = { sequence: bucket.sequence, pairs: new Map(), buckets: new Map() };
  const inner: Bucket[] = [];
  const leaves = file.leaves(bucket);
  for (let leaf = leaves.next(); leaf; leaf = leaves.next()) {
    for (let i = 0; i < leaf.count; i++) {
      const nested = leaf.elementFlags(i) === ELEMENT_BUCKET ? file.describe(leaf, i) : undefined;
      if (nested) inner.push(nested);
      else content.pairs.set(latin1(leaf.key(i)), latin1(leaf.value(i)));
    }
  }
  for (const nested of inner) content.buckets.set(latin1(nested.name), readBucket(file, nested));
  return content;
}

/** Bytes as text of one character each; compares and prints faster than an array. */
export const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
