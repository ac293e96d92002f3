/**
 * Changes a database in place, by copy-on-write transactions: what changes is written to pages that the live meta
 * does not reach, then the other meta page names the new root. A crash at any moment leaves the old state or the
 * new one, whole. A state that somebody holds stays whole too, however many follow it.
 *
 * Differs from bbolt: the freelist is never stored, as etcd on Linux has it; it is found by walking the tree once,
 * and what is not sound is not edited. The live meta is never overwritten: where its page does not fit the parity
 * of its transaction id, as in a snapshot, one id is left out.
 */
import type { Disk } from '../../bytes/disk.ts';
import { Pacer } from '../../bytes/pacer.ts';
import { FileSource, type Source } from '../../bytes/source.ts';
import { CorruptError, ToolError } from '../../errors.ts';
import { PageChecker } from './check.ts';
import { CLAIM } from './claims.ts';
import { BoltFile, type Bucket, describeBucket } from './file.ts';
import { FreePages, type PageRun } from './free-pages.ts';
import { checkFreelist } from './freelist.ts';
import { DEPTH_MAX, ELEMENT_BUCKET } from './layout.ts';
import { encodeMetaPage, type Meta } from './meta.ts';
import { PageFile } from './page-file.ts';
import { Page } from './page.ts';
import { BoltTransaction, type Change } from './transaction.ts';
import { TreeReader } from './tree-reader.ts';
import { layOut } from './tx-pages.ts';
import { LeafWalk } from './walk.ts';

/** A file that grows is made longer than it needs by its own size at first, and by no more than this later on. */
const GROWTH_MAX = 16 << 20;

export interface EditOptions {
  /** Keeps the walk that opens the file polite. */
  pacer?: Pacer | undefined;
  /** No page is free: new ones go behind the last one. Then nothing is walked or checked. */
  isAppendOnly?: boolean;
  /** Makes the file longer ahead of need, so that a commit seldom changes its size. */
  isGrowing?: boolean;
  /** How much of the file may stay in memory for look-ups. */
  cacheBytes?: number | undefined;
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

/** A state that stays as it is. */
export interface HeldState {
  readonly meta: Meta;
  /** By page: 0 where the state needs it. */
  readonly unneeded: Uint8Array;
  /** Its pages may be used again. */
  release(): void;
}

/** Pages that were given back by one transaction while older states were held. */
interface Given {
  txid: bigint;
  runs: readonly PageRun[];
}

/** What `BoltEditor.open` found. */
interface Opened {
  disk: Disk;
  fd: number;
  source: FileSource;
  file: BoltFile;
  free: FreePages;
  options: EditOptions;
}

/**
 * A database that is open for changes; `close` it. Nobody else may write to the file meanwhile: hold its lock.
 * The file must end with its last page: cut a snapshot's trailer off first. Memory: one byte a page, the page
 * windows and the pages kept, and what one transaction changes.
 */
export class BoltEditor {
  readonly #disk: Disk;
  readonly #fd: number;
  readonly #source: FileSource;
  readonly #free: FreePages;
  readonly #pages: PageFile;
  readonly #checker: PageChecker;
  readonly #isGrowing: boolean;
  /** Reads the live state. */
  readonly reader: TreeReader;
  #live: Meta;
  #neededCount: number;
  #fileSize: number;
  /** Top-level buckets of the live state by label, once they were asked for. */
  #buckets: Map<string, Bucket> | undefined;
  /** Pages of the stored freelist, which the first commit makes obsolete. */
  #freelist: PageRun | undefined;
  #transaction: BoltTransaction | undefined;
  /** From the start of a commit until it is durable: when it fails, nobody knows what reached the disk. */
  #isInDoubt = false;
  readonly #holds = new Set<HeldState>();
  /** Ascending. */
  #given: Given[] = [];

  private constructor({ disk, fd, source, file, free, options }: Opened) {
    this.#disk = disk;
    this.#fd = fd;
    this.#source = source;
    this.#live = file.live;
    this.#free = free;
    this.#neededCount = free.neededCount;
    this.#fileSize = Math.max(source.size, options.isGrowing ? file.sizeBytes : 0);
    this.#isGrowing = options.isGrowing ?? false;
    this.#pages = new PageFile(this.#growingSource(), file.live.pageSize, file.live.pageLimit);
    this.#checker = new PageChecker({ file: source.name, claims: undefined });
    this.reader = new TreeReader(this.#pages, this.#checker, options.cacheBytes);
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
      // A copy may have lost pages at its end that nothing needs; a view of it has them.
      const size = file.live.pageLimit * file.live.pageSize;
      if (options.isGrowing && source.size < size) disk.truncate(fd, size);
      return new BoltEditor({ disk, fd, source, file, free, options });
    } catch (error) {
      source.close();
      if (fd !== undefined) disk.close(fd);
      throw error;
    }
  }

  /** The file as it is now; it grows by what is committed. */
  #growingSource(): Source {
    const file = this.#source;
    const sizeNow = (): number => Math.max(file.size, this.#live.pageLimit * this.#live.pageSize);
    return {
      name: file.name,
      get size() {
        return sizeNow();
      },
      readInto: (offset, into) => file.readInto(offset, into),
      readAhead: () => file.readAhead(),
      close() {},
    };
  }

  /** The meta of the last commit. */
  get live(): Meta {
    return this.#live;
  }

  /** Whether a commit has not ended, or failed so that nobody knows what the disk holds. */
  get isInDoubt(): boolean {
    return this.#isInDoubt;
  }

  /** Pages that the last commit needs, metas included. */
  get neededCount(): number {
    return this.#neededCount;
  }

  /** A top-level bucket of the last commit, for `reader`. */
  bucket(label: string): Bucket | undefined {
    this.#buckets ??= new Map(this.#readBuckets());
    return this.#buckets.get(label);
  }

  *#readBuckets(): Generator<[string, Bucket]> {
    this.#checker.bucket = '';
    const walk = new LeafWalk(this.#pages, this.#live.root, this.#checker);
    for (let leaf = walk.next(); leaf; leaf = walk.next()) {
      for (let i = 0; i < leaf.count; i++) {
        const bucket = describeBucket(leaf, i, this.#checker);
        if (bucket) yield [bucket.label, bucket];
      }
    }
  }

  /** Keeps the state of the last commit whole until it is released. */
  hold(): HeldState {
    const meta = this.#live;
    const held: HeldState = {
      meta,
      unneeded: this.#free.unneeded(meta.pageLimit),
      release: () => {
        if (this.#holds.delete(held)) this.#giveUnheld();
      },
    };
    this.#holds.add(held);
    return held;
  }

  /** Frees what no held state needs. */
  #giveUnheld(): void {
    const isHeld = ({ txid }: Given): boolean => [...this.#holds].some(({ meta }) => meta.txid < txid);
    for (const given of this.#given) {
      if (!isHeld(given)) for (const run of given.runs) this.#free.give(run);
    }
    this.#given = this.#given.filter(isHeld);
  }

  /** Starts a transaction; there is one at a time. */
  begin(): BoltTransaction {
    if (this.#transaction?.isOpen) throw new ToolError('unexpected', 'a transaction is open already');
    if (this.#isInDoubt)
      throw new ToolError(
        'unexpected',
        'a commit has not ended, or failed: close the database and open it again',
      );
    this.#transaction = new BoltTransaction({
      live: this.#live,
      pages: this.#pages,
      free: this.#free,
      cache: this.reader.cache,
      commit: (settle) => {
        for (const _ of this.#commit(settle)) this.#disk.sync(this.#fd);
        return this.#live;
      },
      startCommit: async (settle) => {
        for (const _ of this.#commit(settle)) await this.#disk.startDataSync(this.#fd);
        return this.#live;
      },
    });
    return this.#transaction;
  }

  /** Stops wherever what was written so far must become durable before it goes on. */
  *#commit(settle: () => Change | undefined): Generator<undefined, void> {
    this.#isInDoubt = true;
    const change = this.#settleAndWrite(settle);
    if (change) {
      const meta = this.#nextMeta(change.root);
      yield;
      this.#disk.write(this.#fd, encodeMetaPage(meta), meta.page * meta.pageSize);
      yield;
      this.#goLive(meta, change);
    }
    this.#isInDoubt = false;
  }

  /** A disk that has no room for the pages leaves everything as it was: nothing reaches them yet. */
  #settleAndWrite(settle: () => Change | undefined): Change | undefined {
    const { pageLimit } = this.#free;
    try {
      const change = settle();
      if (change) this.#writePages(change);
      return change;
    } catch (error) {
      if (error instanceof ToolError && error.code === 'io.no-space') {
        this.#free.untake(pageLimit);
        this.#isInDoubt = false;
      }
      throw error;
    } finally {
      this.#pages.renew(this.#live.pageLimit);
    }
  }

  #nextMeta(root: number): Meta {
    const { pageSize, sequence } = this.#live;
    const page = 1 - this.#live.page;
    let txid = this.#live.txid + 1n;
    if (txid % 2n !== BigInt(page)) txid++;
    return { page, pageSize, root, sequence, freelist: undefined, pageLimit: this.#free.pageLimit, txid };
  }

  #writePages({ writes }: Change): void {
    const { pageSize } = this.#live;
    const needed = this.#free.pageLimit * pageSize;
    if (this.#isGrowing && needed > this.#fileSize) {
      const size = needed + Math.ceil(Math.min(needed, GROWTH_MAX) / pageSize) * pageSize;
      this.#disk.truncate(this.#fd, size);
      this.#fileSize = size;
    }
    for (const { id, bytes } of layOut(writes, pageSize)) this.#disk.write(this.#fd, bytes, id * pageSize);
  }

  #goLive(meta: Meta, { writes, released }: Change): void {
    this.#live = meta;
    this.#pages.renew(meta.pageLimit);
    this.#buckets = undefined;
    const runs = this.#freelist ? [...released, this.#freelist] : released;
    this.#freelist = undefined;
    for (const { id } of released) this.reader.cache.forget(id);
    for (const run of writes) this.#free.keep(run);
    if (this.#holds.size > 0) {
      for (const run of runs) this.#free.hold(run);
      this.#given.push({ txid: meta.txid, runs });
    } else for (const run of runs) this.#free.give(run);
    this.#neededCount = this.#free.neededCount;
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
