/**
 * The tree of one bucket, or of the root, while a transaction changes it. Nodes are taken apart only on the way to
 * the keys that change. Invariants of what is written: no empty page but an empty root, all leaves equally
 * deep, a parent's key equal to its child's first.
 */
import { CorruptError, UnsupportedError } from '../../errors.ts';
import { BUCKET_HEADER, DEPTH_MAX, ELEMENT_BUCKET, INLINE_DIVISOR } from './layout.ts';
import { childElement, type Element, Node, pairElement } from './node.ts';
import type { Slab } from './slab.ts';

/** bbolt's share of a page that a split fills, so that later keys find room. */
const FILL_DEFAULT = 0.5;
/** A node that lost elements is merged with its neighbour when it fills no more of a page than this. */
const MERGE_DIVISOR = 4;

/** What a tree needs of its transaction. */
export interface TreePages {
  readonly pageSize: number;
  /** For what is put. */
  readonly slab: Slab;
  /** Page `id` taken apart, as of the transaction's start. */
  node(id: number): Node;
  /** The element of `key` in the tree of pages under `id`, valid until the next call. */
  lookUp(id: number, key: Uint8Array): Element | undefined;
  /** A run of `count` pages to write to. */
  allocate(count: number): number;
  /** Pages that the tree does not use any more. */
  release(id: number, count: number): void;
  /** Takes `node` for the run of `count` pages at `id`; it is not changed any more. */
  write(id: number, count: number, node: Node): void;
}

export class Tree {
  readonly #pages: TreePages;
  /** Share of a page that a split fills, 0.1…1. */
  fill = FILL_DEFAULT;
  #root: Node | undefined;
  readonly #rootId: number;

  /** A tree in the file has its root's page id, any other one its root. */
  constructor(pages: TreePages, root: Node | number) {
    this.#pages = pages;
    this.#rootId = typeof root === 'number' ? root : 0;
    this.#root = typeof root === 'number' ? undefined : root;
  }

  get isDirty(): boolean {
    return this.#root?.isDirty ?? false;
  }

  /** The element of `key`, valid until the next call to the transaction. */
  find(key: Uint8Array): Element | undefined {
    if (!this.#root) return this.#pages.lookUp(this.#rootId, key);
    let node = this.#root;
    while (!node.isLeaf) {
      const element = node.elements[node.childIndex(key)]!;
      if (!element.node) return this.#pages.lookUp(element.child, key);
      node = element.node;
    }
    const index = node.lowerBound(key);
    return node.hasKey(index, key) ? node.elements[index] : undefined;
  }

  /** Sets the value of `key`. What is there already must have the same flags. */
  put(key: Uint8Array, value: Uint8Array, flags: number): void {
    const path = this.#pathTo(key);
    const leaf = path.at(-1)!;
    const index = leaf.lowerBound(key);
    const isReplacing = leaf.hasKey(index, key);
    if (isReplacing) assertFlags(leaf.elements[index]!, flags);
    leaf.place(index, pairElement(key, value, flags, this.#pages.slab), isReplacing);
    for (const node of path) node.isDirty = true;
  }

  /** Removes a plain key. Gives whether it was there. */
  delete(key: Uint8Array): boolean {
    const path = this.#pathTo(key);
    const leaf = path.at(-1)!;
    const index = leaf.lowerBound(key);
    if (!leaf.hasKey(index, key)) return false;
    assertFlags(leaf.elements[index]!, 0);
    leaf.remove(index);
    for (const node of path) node.isDirty = true;
    return true;
  }

  /** The nodes from the root to the leaf where `key` lies or would lie. */
  #pathTo(key: Uint8Array): Node[] {
    this.#root ??= this.#pages.node(this.#rootId);
    const path = [this.#root];
    for (let node = this.#root; !node.isLeaf; path.push(node)) {
      if (path.length > DEPTH_MAX) {
        throw new CorruptError('bolt.page.depth', `the tree is deeper than ${DEPTH_MAX} levels`);
      }
      node = this.#childOf(node.elements[node.childIndex(key)]!);
    }
    return path;
  }

  #childOf(element: Element): Node {
    element.node ??= this.#pages.node(element.child);
    return element.node;
  }

  /** Writes what changed. Gives the page of the root. */
  write(): number {
    return this.#writeNode(this.#settle());
  }

  /** Writes what changed. Gives the value of the bucket's element, with the tree in it when it is small. */
  writeBucket(sequence: bigint): Uint8Array {
    const root = this.#settle();
    const isInline =
      root.isLeaf &&
      root.size <= this.#pages.pageSize / INLINE_DIVISOR &&
      root.elements.every((element) => element.flags !== ELEMENT_BUCKET);
    const value = new Uint8Array(BUCKET_HEADER.size + (isInline ? root.size : 0));
    if (isInline) {
      this.#release(root);
      root.encode(value, BUCKET_HEADER.size, 0, 0);
    }
    const id = isInline ? 0 : this.#writeNode(root);
    BUCKET_HEADER.encode({ root: BigInt(id), sequence }, value);
    return value;
  }

  /** Merges and splits what changed. Gives the root that comes out. */
  #settle(): Node {
    let root = this.#root!;
    if (!root.isLeaf) this.#settleChildren(root);
    while (!root.isLeaf && root.count <= 1) {
      this.#release(root);
      root = root.count === 0 ? new Node(true) : this.#childOf(root.elements[0]!);
      root.isDirty = true;
    }
    for (let parts = this.#split(root); parts.length > 1; parts = this.#split(root)) {
      root = new Node(false, parts.map(childElement));
      root.isDirty = true;
    }
    return root;
  }

  #split(node: Node): Node[] {
    return node.split(this.#pages.pageSize, this.fill);
  }

  /** Brings the dirty nodes under `branch` into their final shape, from the leaves up. */
  #settleChildren(branch: Node): void {
    for (const { node } of branch.elements) {
      if (node?.isDirty && !node.isLeaf) this.#settleChildren(node);
    }
    this.#arrange(branch);
  }

  /** Drops, merges and splits the children of a dirty branch, which are settled in themselves. */
  #arrange(branch: Node): void {
    const kept: Element[] = [];
    for (const element of branch.elements) {
      if (element.node?.count === 0) this.#release(element.node);
      else kept.push(element);
    }
    this.#mergeSmall(kept);
    if (kept.length < branch.count) branch.isShrunk = true;
    branch.setElements(
      kept.flatMap((element) =>
        element.node?.isDirty ? this.#split(element.node).map(childElement) : [element],
      ),
    );
  }

  /** Merges nodes that became too small with the one to their right, or the last with the one to its left. */
  #mergeSmall(elements: Element[]): void {
    for (let i = 0; i < elements.length && elements.length > 1;) {
      const { node } = elements[i]!;
      if (!node?.isShrunk || !this.#isSmall(node)) {
        i++;
        continue;
      }
      const left = Math.min(i, elements.length - 2);
      const [target, right] = [this.#childOf(elements[left]!), this.#childOf(elements[left + 1]!)];
      target.absorb(right);
      target.isShrunk ||= right.isShrunk;
      // Children that had no neighbour have one now.
      if (!target.isLeaf) this.#arrange(target);
      this.#release(right);
      elements.splice(left + 1, 1);
      i = left;
    }
  }

  #isSmall(node: Node): boolean {
    return node.size <= this.#pages.pageSize / MERGE_DIVISOR || (!node.isLeaf && node.count < 2);
  }

  /** Writes `node` and the dirty ones under it to new pages. Gives its page. */
  #writeNode(node: Node): number {
    if (!node.isLeaf) {
      for (const element of node.elements) {
        if (element.node?.isDirty) element.child = this.#writeNode(element.node);
      }
    }
    this.#release(node);
    const count = Math.max(1, Math.ceil(node.size / this.#pages.pageSize));
    const id = this.#pages.allocate(count);
    this.#pages.write(id, count, node);
    return id;
  }

  /** Gives back the pages that `node` was read from. */
  #release(node: Node): void {
    if (node.pageId === 0) return;
    this.#pages.release(node.pageId, node.pageCount);
    node.pageId = 0;
  }
}

function assertFlags(element: Element, flags: number): void {
  if (element.flags === flags) return;
  throw new UnsupportedError('bolt.bucket', 'a bucket inside a bucket cannot be replaced or removed');
}
