/**
 * A bbolt file as a whole: its live meta, its buckets in name order, their leaves. Read-only; nothing is kept
 * but the page windows and, when pages are claimed, one byte a page.
 */
import { showBytes } from '../../bytes/order.ts';
import type { Source } from '../../bytes/source.ts';
import { CorruptError, type FindingSink } from '../../errors.ts';
import { PageChecker } from './check.ts';
import { PageClaims } from './claims.ts';
import { BUCKET_HEADER, ELEMENT_BUCKET, HEADER_SIZE } from './layout.ts';
import { type Meta, type Metas, readMetas } from './meta.ts';
import { PageFile } from './page-file.ts';
import { Page } from './page.ts';
import { LeafWalk, type WalkOptions } from './walk.ts';

/** A bucket as its parent describes it. */
export interface Bucket {
  name: Uint8Array;
  /** Readable name. */
  label: string;
  /** Root page, or 0 when the bucket lies inline in its parent. */
  root: number;
  sequence: bigint;
  /** The inline page, when `root` is 0. */
  inline: Page | undefined;
  /** Page of the element that describes it. */
  pageId: number;
}

/** Leaves of one bucket in order; each is valid until the next call. */
export interface Leaves {
  next(): Page | undefined;
  /** Pages whose content was lost to damage so far. */
  readonly lostPageCount: number;
}

export interface OpenOptions {
  /** Takes what is damaged; without it the first damage is thrown. */
  report?: FindingSink | undefined;
  /** Pages are read as often as they are needed, so nothing can be told from reading one twice. */
  isReread?: boolean;
}

export class BoltFile {
  readonly source: Source;
  readonly metas: Metas;
  readonly pages: PageFile;
  readonly claims: PageClaims;
  readonly checker: PageChecker;
  /** Whether pages of the root bucket were lost to damage, and buckets with them; known once `buckets` was called. */
  isRootLost = false;
  #buckets: Bucket[] | undefined;

  /** Throws when neither meta is valid. Does not own `source`. */
  constructor(source: Source, options: OpenOptions = {}) {
    this.source = source;
    this.metas = readMetas(source);
    const { pageSize, pageLimit } = this.live;
    // A high-water mark far beyond the file must not size anything; pages there are reported one by one.
    const limit = Math.min(pageLimit, Math.ceil(source.size / pageSize) + 1);
    this.pages = new PageFile(source, pageSize, pageLimit);
    this.claims = new PageClaims(limit);
    this.checker = new PageChecker({
      file: source.name,
      claims: options.isReread ? undefined : this.claims,
      report: options.report,
    });
  }

  get live(): Meta {
    return this.metas.live;
  }

  /** Size of the database: the high-water mark in bytes. */
  get sizeBytes(): number {
    return this.live.pageLimit * this.live.pageSize;
  }

  /** The top-level buckets in name order. */
  buckets(): Bucket[] {
    this.#buckets ??= [...this.#readBuckets(new LeafWalk(this.pages, this.live.root, this.checker))];
    return this.#buckets;
  }

  bucket(label: string): Bucket | undefined {
    return this.buckets().find((bucket) => bucket.label === label);
  }

  *#readBuckets(leaves: LeafWalk): Generator<Bucket> {
    this.checker.bucket = '';
    for (let leaf = leaves.next(); leaf; leaf = leaves.next()) {
      for (let i = 0; i < leaf.count; i++) {
        if (leaf.elementFlags(i) === ELEMENT_BUCKET) {
          const bucket = this.describe(leaf, i);
          if (bucket) yield bucket;
        } else {
          const message = `the root holds a plain key, ${showBytes(leaf.key(i))}`;
          this.checker.found('bolt.bucket', leaf, message, leaf.keyStart(i) - leaf.start);
        }
      }
    }
    this.isRootLost = leaves.lostPageCount > 0;
  }

  /** The bucket that element `index` of `leaf` holds; undefined when its header is damaged. */
  describe(leaf: Page, index: number): Bucket | undefined {
    return describeBucket(leaf, index, this.checker);
  }

  /** The leaves of a bucket, in key order or against it. Call it once for each bucket when pages are to be claimed right. */
  leaves(bucket: Bucket, options: WalkOptions = {}): Leaves {
    this.checker.bucket = bucket.label;
    if (!bucket.inline) return new LeafWalk(this.pages, bucket.root, this.checker, options);
    const page = bucket.inline;
    let isDelivered = !this.checker.checkInline(page);
    return {
      lostPageCount: isDelivered ? 1 : 0,
      next() {
        if (isDelivered) return undefined;
        isDelivered = true;
        return page;
      },
    };
  }

  /** The value of `key` in `bucket`, by descending from the root; undefined when it is not there. */
  get(bucket: Bucket, key: Uint8Array): Uint8Array | undefined {
    const leaf = bucket.inline ?? this.#descend(bucket.root, key);
    const index = leaf.find(key);
    return index < 0 ? undefined : leaf.value(index).slice();
  }

  #descend(root: number, key: Uint8Array): Page {
    const page = new Page();
    const seen = new Set<number>();
    for (let id = root; ;) {
      this.pages.load(id, page);
      if (page.isLeaf) return page;
      if (!page.isBranch || page.count === 0 || seen.has(id)) {
        throw new CorruptError('bolt.page.flags', `page ${id} is not a usable branch or leaf`, {
          where: { file: this.source.name, offset: page.offset, unit: `page ${id}` },
        });
      }
      seen.add(id);
      id = page.childId(page.childIndex(key));
    }
  }
}

/** The bucket that element `index` of `leaf` holds; undefined when its header is damaged. */
export function describeBucket(leaf: Page, index: number, checker: PageChecker): Bucket | undefined {
  const name = leaf.key(index).slice();
  const label = Buffer.from(name).toString('utf8');
  const value = leaf.value(index);
  const at = leaf.keyStart(index) + name.length;
  const damaged = (message: string): undefined =>
    checker.found('bolt.bucket', leaf, `bucket ${label} has ${message}`, at - leaf.start) as undefined;
  if (value.length < BUCKET_HEADER.size) return damaged(`a header of ${value.length} bytes`);
  const header = BUCKET_HEADER.decode(value);
  const root = Number(header.root);
  const isInline = root === 0;
  if (isInline ? value.length < BUCKET_HEADER.size + HEADER_SIZE : value.length !== BUCKET_HEADER.size)
    return damaged(`${value.length} bytes, root ${root}`);
  const inlineAt = { id: leaf.id, offset: leaf.fileOffset(at + BUCKET_HEADER.size) };
  const inline = isInline ? inlinePage(value.subarray(BUCKET_HEADER.size), inlineAt) : undefined;
  return { name, label, root, sequence: header.sequence, inline, pageId: leaf.id };
}

/** The page that a bucket's value holds. It is not aligned in the file, so it gets memory of its own. */
export function inlinePage(content: Uint8Array, at: { id: number; offset: number }): Page {
  const bytes = new Uint8Array(Math.ceil(content.length / 8) * 8);
  bytes.set(content);
  const page = new Page();
  page.place(bytes, new Uint32Array(bytes.buffer), 0, content.length);
  page.id = at.id;
  page.offset = at.offset;
  page.isInline = true;
  return page;
}
