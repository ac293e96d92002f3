/**
 * Changes a database in place, by copy-on-write transactions: what changes is written to pages that the live meta
 * does not reach, then the other meta page names the new root. A crash at any moment leaves the old state or the
 * new one, whole.
 *
 * Differs from bbolt: the freelist is never stored, as etcd on Linux has it; it is found by walking the tree once,
 * and what is not sound is not edited. The live meta is never overwritten: where its page does not fit the parity
 * of its transaction id, as in a snapshot, one id is left out.
 */
import type { Disk } from '../../bytes/disk.ts';
import { Pacer } from '../../bytes/pacer.ts';
import { FileSource, type Source } from '../../bytes/source.ts';
import { CorruptError, ToolError } from '../../errors.ts';
import { CLAIM } from './claims.ts';
import { BoltFile, type Bucket, inlinePage } from './file.ts';
import { FreePages } from './free-pages.ts';
import { checkFreelist } from './freelist.ts';
import { BUCKET_HEADER, DEPTH_MAX, ELEMENT_BUCKET, KEY_SIZE_MAX, VALUE_SIZE_MAX } from './layout.ts';
import { encodeMetaPage, type Meta } from './meta.ts';
import { Node, valueOf } from './node.ts';
import { PageFile } from './page-file.ts';
import { Page } from './page.ts';
import { Tree } from './tree.ts';
import { layOut, type PageRun, type PageWrite, TransactionPages } from './tx-pages.ts';

export interface EditOptions {
  /** Keeps the walk that opens the file polite. */
  pacer?: Pacer | undefined;
  /** Writes new pages behind the last one alone. Then free pages need not be found, and nothing is walked or checked. */
  isAppendOnly?: boolean;
}

/**
 * Runs `edit` in one transaction on the database at `path`, and commits it. Gives the live meta afterwards. The
 * caller holds the database's lock. Throws what `BoltEditor` throws; what `edit` throws leaves the file untouched.
 */
export async function editBolt(
  disk: Disk,
  path: string,
  edit: (tx: BoltTransaction) => void,
  options: EditOptions = {},
): Promise<Meta> {
  const editor = await BoltEditor.open(disk, path, options);
  try {
    const tx = editor.begin();
    edit(tx);
    return tx.commit();
  } finally {
    editor.close();
  }
}

/**
 * A database that is open for changes; `close` it. Nobody else may write to the file meanwhile: hold its lock.
 * The file must end with its last page: cut a snapshot's trailer off first. Memory: one byte a page, the page
 * windows, and what one transaction changes.
 */
export class BoltEditor {
  readonly #disk: Disk;
  readonly #fd: number;
  readonly #source: FileSource;
  readonly #free: FreePages;
  #live: Meta;
  /** Pages of the stored freelist, which the first commit makes obsolete. */
  #freelist: PageRun | undefined;
  #transaction: BoltTransaction | undefined;
  /** Set during a commit: when it fails, nobody knows what reached the disk. */
  #isInDoubt = false;

  private constructor(disk: Disk, fd: number, source: FileSource, file: BoltFile, free: FreePages) {
    this.#disk = disk;
    this.#fd = fd;
    this.#source = source;
    this.#live = file.live;
    this.#free = free;
    if (file.live.freelist !== undefined) {
      const page = new Page();
      file.pages.load(file.live.freelist, page);
      this.#freelist = { id: page.id, count: page.overflow + 1 };
    }
  }

  /** Walks the whole tree to find the free pages, if they are wanted. Throws `CorruptError` at the first damage. */
  static async open(disk: Disk, path: string, options: EditOptions = {}): Promise<BoltEditor> {
    const { pacer = new Pacer() } = options;
    const source = new FileSource(path);
    let fd: number | undefined;
    try {
      const file = new BoltFile(source);
      const free = options.isAppendOnly
        ? FreePages.none(file.live.pageLimit)
        : await findFreePages(file, pacer);
      fd = disk.openForUpdate(path);
      // The live meta may be the last thing a killed process wrote. It must be durable before the pages that only
      // the older one reaches are overwritten.
      if (!options.isAppendOnly) disk.sync(fd);
      return new BoltEditor(disk, fd, source, file, free);
    } catch (error) {
      source.close();
      if (fd !== undefined) disk.close(fd);
      throw error;
    }
  }

  /** The meta of the last commit. */
  get live(): Meta {
    return this.#live;
  }

  /** Starts a transaction; there is one at a time. */
  begin(): BoltTransaction {
    if (this.#transaction?.isOpen) throw new ToolError('unexpected', 'a transaction is open already');
    if (this.#isInDoubt)
      throw new ToolError('unexpected', 'a commit failed: close the database and open it again');
    this.#transaction = new BoltTransaction({
      live: this.#live,
      pages: this.#pageFile(),
      free: this.#free,
      commit: (settle) => this.#commit(settle),
    });
    return this.#transaction;
  }

  /** The file as it is now; it grew by what was committed. */
  #pageFile(): PageFile {
    const { pageSize, pageLimit } = this.#live;
    const file = this.#source;
    const source: Source = {
      name: file.name,
      size: Math.max(file.size, pageLimit * pageSize),
      readInto: (offset, into) => file.readInto(offset, into),
      close() {},
    };
    return new PageFile(source, pageSize, pageLimit);
  }

  #commit(settle: () => Change | undefined): Meta {
    this.#isInDoubt = true;
    const change = settle();
    if (change) this.#write(change);
    this.#isInDoubt = false;
    return this.#live;
  }

  #write(change: Change): void {
    const { pageSize, sequence } = this.#live;
    const page = 1 - this.#live.page;
    let txid = this.#live.txid + 1n;
    if (txid % 2n !== BigInt(page)) txid++;
    const { pageLimit } = this.#free;
    const meta: Meta = { page, pageSize, root: change.root, sequence, freelist: undefined, pageLimit, txid };

    for (const { id, bytes } of layOut(change.writes, pageSize))
      this.#disk.write(this.#fd, bytes, id * pageSize);
    this.#disk.sync(this.#fd);
    this.#disk.write(this.#fd, encodeMetaPage(meta), page * pageSize);
    this.#disk.sync(this.#fd);

    this.#live = meta;
    for (const { id, count } of change.released) this.#free.give(id, count);
    if (this.#freelist) this.#free.give(this.#freelist.id, this.#freelist.count);
    this.#freelist = undefined;
  }

  /** Ends the transaction that is open, without a commit. */
  close(): void {
    this.#transaction?.discard();
    this.#source.close();
    this.#disk.close(this.#fd);
  }
}

async function findFreePages(file: BoltFile, pacer: Pacer): Promise<FreePages> {
  for (const bucket of file.buckets()) await claimBucket(file, bucket, pacer);
  checkFreelist(file);
  return FreePages.unclaimed(file.claims, file.live.pageLimit);
}

/** Claims the pages of a bucket and of those inside it. */
async function claimBucket(file: BoltFile, bucket: Bucket, pacer: Pacer, depth = 1): Promise<void> {
  if (depth > DEPTH_MAX) {
    throw new CorruptError('bolt.page.depth', `buckets lie more than ${DEPTH_MAX} deep in each other`, {
      where: { file: file.source.name, unit: `page ${bucket.pageId}` },
    });
  }
  const nested: Bucket[] = [];
  const leaves = file.leaves(bucket);
  for (let leaf = leaves.next(); leaf; leaf = leaves.next()) {
    for (let i = 0; i < leaf.count; i++) {
      const inner = leaf.elementFlags(i) === ELEMENT_BUCKET ? file.describe(leaf, i) : undefined;
      if (inner) nested.push(inner);
    }
    if (pacer.isDue())
      await pacer.rest(file.claims.pageLimit - file.claims.count(CLAIM.none), file.claims.pageLimit);
  }
  for (const inner of nested) await claimBucket(file, inner, pacer, depth + 1);
}

/** What a transaction changed. */
interface Change {
  writes: PageWrite[];
  released: PageRun[];
  /** Page of the new root. */
  root: number;
}

interface TransactionOptions {
  /** The state it starts from. */
  live: Meta;
  pages: PageFile;
  free: FreePages;
  /** Makes durable what `settle` gives, and gives the live meta. */
  commit(settle: () => Change | undefined): Meta;
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
    this.#pages = new TransactionPages(options.pages, options.free);
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
    assertKey(key);
    if (value.length > VALUE_SIZE_MAX)
      throw new ToolError('bolt.key', `a value of ${value.length} bytes is too large`);
    this.#tree.put(key, value, 0);
  }

  /** Removes `key`. Gives whether it was there. */
  delete(key: Uint8Array): boolean {
    this.#tx.assertOpen();
    return this.#tree.delete(key);
  }
}

const labelOf = (name: Uint8Array): string => Buffer.from(name).toString('latin1');

function assertKey(key: Uint8Array): void {
  if (key.length > 0 && key.length <= KEY_SIZE_MAX) return;
  throw new ToolError(
    'bolt.key',
    `a key of ${key.length} bytes is not possible, it has 1 to ${KEY_SIZE_MAX}`,
  );
}
