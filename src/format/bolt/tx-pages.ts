/** The pages of one transaction: read from the file or from memory, written to memory. */
import { CorruptError } from '../../errors.ts';
import type { FreePages, PageRun } from './free-pages.ts';
import { DEPTH_MAX } from './layout.ts';
import { type Element, elementFor, Node } from './node.ts';
import type { PageCache } from './page-cache.ts';
import type { PageFile } from './page-file.ts';
import { Page } from './page.ts';
import { Slab } from './slab.ts';
import type { TreePages } from './tree.ts';

/** Pages that lie together are written together, up to about this many bytes. */
const WRITE_SIZE = 1 << 20;

/** What a run of pages will hold. */
export interface PageWrite extends PageRun {
  node: Node;
}

export class TransactionPages implements TreePages {
  readonly pageSize: number;
  readonly slab = new Slab();
  readonly file: string;
  /** What is to be written, by no order. */
  readonly writes: PageWrite[] = [];
  /** Pages that only states before this one need. */
  readonly released: PageRun[] = [];
  readonly #pages: PageFile;
  readonly #free: FreePages;
  readonly #cache: PageCache | undefined;
  readonly #page = new Page();

  constructor(pages: PageFile, free: FreePages, cache?: PageCache) {
    this.#pages = pages;
    this.#free = free;
    this.#cache = cache;
    this.pageSize = pages.pageSize;
    this.file = pages.source.name;
  }

  node(id: number): Node {
    return Node.ofPage(this.#cache?.peek(id) ?? this.#pages.read(id), this.file);
  }

  lookUp(id: number, key: Uint8Array): Element | undefined {
    const page = this.#page;
    for (let depth = 0; depth <= DEPTH_MAX; depth++) {
      this.#pages.load(id, page);
      const element = elementFor(page, key);
      if (page.isLeaf || !element) return element;
      id = element.child;
    }
    throw new CorruptError('bolt.page.depth', `the tree is deeper than ${DEPTH_MAX} levels at page ${id}`, {
      where: { file: this.file, unit: `page ${id}` },
    });
  }

  allocate(count: number): number {
    return this.#free.take(count);
  }

  release(id: number, count: number): void {
    this.released.push({ id, count });
  }

  write(id: number, count: number, node: Node): void {
    this.writes.push({ id, count, node });
  }
}

/** A piece of the file, from page `id` on; the bytes are valid until the next one. */
interface PagePiece {
  id: number;
  bytes: Uint8Array;
}

/** Sorts `writes` by page and lays them out, neighbours in one piece. */
export function* layOut(writes: PageWrite[], pageSize: number): Generator<PagePiece> {
  writes.sort((a, b) => a.id - b.id);
  let buffer = new Uint8Array(0);
  for (let from = 0, to = 0; from < writes.length; from = to) {
    const { id } = writes[from]!;
    let size = 0;
    for (; to < writes.length && writes[to]!.id === id + size / pageSize; to++) {
      const next = writes[to]!.count * pageSize;
      if (size > 0 && size + next > WRITE_SIZE) break;
      size += next;
    }
    if (size > buffer.length) buffer = new Uint8Array(size);
    else buffer.fill(0, 0, size);
    for (let i = from, at = 0; i < to; at += writes[i++]!.count * pageSize) {
      const { id, count, node } = writes[i]!;
      node.encode(buffer, at, id, count - 1);
    }
    yield { id, bytes: buffer.subarray(0, size) };
  }
}
