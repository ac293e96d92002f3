/** One transaction on a database: buckets, and changes to them that come to be together or not at all. */
import { ToolError } from '../../errors.ts';
import { inlinePage } from './file.ts';
import type { FreePages, PageRun } from './free-pages.ts';
import { BUCKET_HEADER, ELEMENT_BUCKET, KEY_SIZE_MAX, VALUE_SIZE_MAX } from './layout.ts';
import type { Meta } from './meta.ts';
import { Node, valueOf } from './node.ts';
import type { PageCache } from './page-cache.ts';
import type { PageFile } from './page-file.ts';
import { Tree } from './tree.ts';
import { type PageWrite, TransactionPages } from './tx-pages.ts';

/** What a transaction changed. */
export interface Change {
  writes: PageWrite[];
  /** Pages that only states before this one need. */
  released: PageRun[];
  /** Page of the new root. */
  root: number;
}

interface TransactionOptions {
  /** The state it starts from. */
  live: Meta;
  pages: PageFile;
  free: FreePages;
  cache: PageCache | undefined;
  /** Makes durable what `settle` gives, and gives the live meta. */
  commit(settle: () => Change | undefined): Meta;
  /** The same, with syncs on another thread. */
  startCommit(settle: () => Change | undefined): Promise<Meta>;
}

/** A bucket that was asked for. */
interface OpenBucket {
  name: Uint8Array;
  sequence: bigint;
  tree: Tree;
  bucket: TransactionBucket;
}

/** Changes that come to be together, or not at all. */
export class BoltTransaction {
  readonly #options: TransactionOptions;
  readonly #pages: TransactionPages;
  readonly #root: Tree;
  /** Buckets that were asked for, by name in `latin1`. */
  readonly #buckets = new Map<string, OpenBucket>();
  #isOpen = true;

  constructor(options: TransactionOptions) {
    this.#options = options;
    this.#pages = new TransactionPages(options.pages, options.free, options.cache);
    this.#root = new Tree(this.#pages, options.live.root);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** A top-level bucket, or undefined when there is none of that name. */
  bucket(name: Uint8Array): TransactionBucket | undefined {
    this.assertOpen();
    const known = this.#buckets.get(labelOf(name));
    if (known) return known.bucket;
    const element = this.#root.find(name);
    if (!element) return undefined;
    const value = valueOf(element);
    const { root, sequence } = BUCKET_HEADER.decode(value);
    const inline = (): Node =>
      Node.ofPage(inlinePage(value.subarray(BUCKET_HEADER.size), { id: 0, offset: 0 }), this.#pages.file);
    return this.#keep({ name, sequence, tree: new Tree(this.#pages, root === 0n ? inline() : Number(root)) });
  }

  /** A top-level bucket, which is made when there is none of that name. */
  ensureBucket(name: Uint8Array): TransactionBucket {
    const found = this.bucket(name);
    if (found) return found;
    assertKey(name);
    const root = new Node(true);
    root.isDirty = true;
    return this.#keep({ name, sequence: 0n, tree: new Tree(this.#pages, root) });
  }

  #keep(open: Omit<OpenBucket, 'bucket'>): TransactionBucket {
    const bucket = new TransactionBucket(this, open.tree);
    this.#buckets.set(labelOf(open.name), { ...open, name: new Uint8Array(open.name), bucket });
    return bucket;
  }

  /**
   * Makes the changes durable and gives the live meta; without changes nothing is written. The transaction is over
   * then, also when it throws; after that nobody knows which state the disk has, and the editor takes no other one.
   */
  commit(): Meta {
    this.assertOpen();
    this.#isOpen = false;
    return this.#options.commit(() => this.#settle());
  }

  /** The same, and the event loop runs while the disk syncs; what is read meanwhile is the state before. */
  startCommit(): Promise<Meta> {
    this.assertOpen();
    this.#isOpen = false;
    return this.#options.startCommit(() => this.#settle());
  }

  #settle(): Change | undefined {
    for (const { name, sequence, tree } of this.#buckets.values()) {
      if (tree.isDirty) this.#root.put(name, tree.writeBucket(sequence), ELEMENT_BUCKET);
    }
    if (!this.#root.isDirty) return undefined;
    const root = this.#root.write();
    const { writes, released } = this.#pages;
    return { writes, released, root };
  }

  /** Forgets the changes. */
  discard(): void {
    this.#isOpen = false;
  }

  /** Throws when it was committed or discarded. */
  assertOpen(): void {
    if (!this.#isOpen) throw new ToolError('unexpected', 'the transaction is over');
  }
}

/** A top-level bucket inside a transaction. */
export class TransactionBucket {
  readonly #tx: BoltTransaction;
  readonly #tree: Tree;

  constructor(tx: BoltTransaction, tree: Tree) {
    this.#tx = tx;
    this.#tree = tree;
  }

  /** How much of a page a split fills, 0.1…1; 0.5 at first. Keys that come in ascending order pack well with more. */
  set fill(share: number) {
    this.#tree.fill = Math.min(1, Math.max(0.1, share));
  }

  /** A copy of the value of `key`; undefined when there is none, or when it is a bucket. */
  get(key: Uint8Array): Uint8Array | undefined {
    this.#tx.assertOpen();
    const element = this.#tree.find(key);
    return element && element.flags !== ELEMENT_BUCKET ? valueOf(element).slice() : undefined;
  }

  /** Sets the value of `key`; both are copied. Throws `bolt.key` for sizes that bbolt does not take. */
  put(key: Uint8Array, value: Uint8Array): void {
    this.#tx.assertOpen();
    assertPair(key, value);
    this.#tree.put(key, value, 0);
  }

  /** Removes `key`. Gives whether it was there. */
  delete(key: Uint8Array): boolean {
    this.#tx.assertOpen();
    return this.#tree.delete(key);
  }
}

const labelOf = (name: Uint8Array): string => Buffer.from(name).toString('latin1');

/** Throws `bolt.key` for sizes that bbolt does not take. */
export function assertPair(key: Uint8Array, value: Uint8Array): void {
  assertKey(key);
  if (value.length <= VALUE_SIZE_MAX) return;
  throw new ToolError('bolt.key', `a value of ${value.length} bytes is too large`);
}

function assertKey(key: Uint8Array): void {
  if (key.length > 0 && key.length <= KEY_SIZE_MAX) return;
  throw new ToolError(
    'bolt.key',
    `a key of ${key.length} bytes is not possible, it has 1 to ${KEY_SIZE_MAX}`,
  );
}
