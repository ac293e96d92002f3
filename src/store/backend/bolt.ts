/**
 * A bbolt file as a backend that is written to. Changes gather in memory; a commit freezes them, writes them as one
 * transaction and lets go of them once it is durable, while new ones gather. A look-up goes from the latest changes
 * to those being written, then to the file. Nothing is tried again after a failure: whoever saw one commit fail sees
 * all later ones fail.
 */
import type { Disk } from '../../bytes/disk.ts';
import { latin1 } from '../../bytes/order.ts';
import { Pacer } from '../../bytes/pacer.ts';
import { FileSource } from '../../bytes/source.ts';
import { ToolError } from '../../errors.ts';
import { assertPair } from '../../format/bolt/transaction.ts';
import { BoltEditor } from '../../format/bolt/tx.ts';
import { BUCKETS } from '../schema/buckets.ts';
import type { DurableBackend, DurableView, Pair, ScanRange } from './backend.ts';
import { Changes } from './changes.ts';
import { makeDatabase, type Replacement, rewriteBeside } from './database-file.ts';
import { StateSource } from './state-source.ts';

/** Of a page, where keys come in ascending order; as etcd has it. */
const FILL_ASCENDING = 0.9;
const ASCENDING_BUCKET = 'key';
/** So many rows are written between two looks at the clock. */
const PACED_ROWS = 256;

/** Holds a lock on a file until it is let go. */
export interface HeldLock {
  release(): void;
}

export interface BoltOptions {
  /** Keeps the walk that opens the file polite. */
  pacer?: Pacer | undefined;
  /** Make the file, which must not be there. */
  isNew?: boolean | undefined;
  /** How much of the file may stay in memory for look-ups; 32 MiB unless given. */
  cacheBytes?: number | undefined;
  /**
   * Locks the file at a path; called for the file that is opened, and in `defrag` for the one that takes its place,
   * before it does. Without it the caller holds the lock, and cannot defragment without losing it.
   */
  lock?: ((path: string) => Promise<HeldLock>) | undefined;
}

export class BoltBackend implements DurableBackend {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #options: BoltOptions;
  #lock: HeldLock | undefined;
  #editor: BoltEditor;
  /** What no commit has begun to write. */
  #active = new Changes();
  /** What is being written. */
  #frozen: Changes | undefined;
  /** Rises whenever rows move from one of the three places to another. */
  #epoch = 0;
  /** Ends when all jobs have ended. */
  #jobs: Promise<unknown> = Promise.resolve();
  #jobCount = 0;
  /** The commit that waits for others to end. */
  #waiting: Promise<void> | undefined;
  #failure: unknown;
  #isClosed = false;
  #closed: Promise<void> | undefined;

  private constructor(
    disk: Disk,
    path: string,
    options: BoltOptions,
    opened: { editor: BoltEditor; lock: HeldLock | undefined },
  ) {
    this.#disk = disk;
    this.#path = path;
    this.#options = options;
    this.#editor = opened.editor;
    this.#lock = opened.lock;
  }

  /** Checks the whole file. Throws `CorruptError` at the first damage. */
  static async open(disk: Disk, path: string, options: BoltOptions = {}): Promise<BoltBackend> {
    if (options.isNew) makeDatabase(disk, path);
    const lock = await options.lock?.(path);
    try {
      const { pacer, cacheBytes } = options;
      const editor = await BoltEditor.open(disk, path, { pacer, cacheBytes, isGrowing: true });
      return new BoltBackend(disk, path, options, { editor, lock });
    } catch (error) {
      lock?.release();
      throw error;
    }
  }

  get sizeBytes(): number {
    const { pageLimit, pageSize } = this.#editor.live;
    return pageLimit * pageSize;
  }

  get inUseBytes(): number {
    return this.#editor.neededCount * this.#editor.live.pageSize;
  }

  get pendingCount(): number {
    return this.#active.count;
  }

  get(bucket: string, key: Uint8Array): Uint8Array | undefined {
    const active = this.#active.rowsOf(bucket);
    const frozen = this.#frozen?.rowsOf(bucket);
    if (active || frozen) {
      const name = latin1(key);
      if (active?.has(name)) return active.get(name);
      if (frozen?.has(name)) return frozen.get(name);
    }
    const inFile = this.#editor.bucket(bucket);
    return inFile && this.#editor.reader.get(inFile, key);
  }

  *scan(bucket: string, range: ScanRange = {}): Generator<Pair, void> {
    let { from } = range;
    for (let isMoved = true; isMoved;) {
      isMoved = false;
      const epoch = this.#epoch;
      for (const pair of this.#rows(bucket, { from, to: range.to })) {
        yield pair;
        if (epoch === this.#epoch) continue;
        // A commit ended while a row was looked at: the rest is somewhere else now.
        from = keyBehind(pair.key);
        isMoved = true;
        break;
      }
    }
  }

  #rows(bucket: string, range: ScanRange): Iterable<Pair> {
    const inFile = this.#editor.bucket(bucket);
    let rows: Iterable<Pair> = inFile ? this.#editor.reader.rows(inFile, range.from, range.to) : [];
    if (this.#frozen) rows = this.#frozen.over(rows, bucket, range);
    return this.#active.over(rows, bucket, range);
  }

  put(bucket: string, key: Uint8Array, value: Uint8Array): void {
    assertPair(key, value);
    this.#active.set(bucket, latin1(key), value);
  }

  delete(bucket: string, key: Uint8Array): void {
    this.#active.set(bucket, latin1(key), undefined);
  }

  commit(): Promise<void> {
    if (this.#waiting) return this.#waiting;
    const isFirst = this.#jobCount === 0;
    const ended = this.#enqueue(async () => {
      this.#waiting = undefined;
      this.#assertSound();
      await this.#write();
    });
    // One that has begun holds what was put so far; a later call waits for another one.
    if (!isFirst) this.#waiting = ended;
    return ended;
  }

  /** Runs `job` when those before it have ended; at once when there are none. Throws when one of them has failed. */
  #next<T>(job: () => Promise<T>): Promise<T> {
    return this.#enqueue(async () => {
      this.#assertSound();
      return await job();
    });
  }

  #enqueue<T>(job: () => Promise<T>): Promise<T> {
    const before = this.#jobCount++ === 0 ? undefined : this.#jobs;
    const run = async (): Promise<T> => {
      if (before) await before;
      return await job();
    };
    const ended = run().finally(() => this.#jobCount--);
    this.#jobs = ended.catch(() => {});
    return ended;
  }

  #assertSound(): void {
    if (this.#isClosed) throw new ToolError('unexpected', 'the backend is closed');
    if (this.#failure === undefined) return;
    throw new ToolError('backend.failed', `${this.#path} takes no more changes: writing it has failed`, {
      cause: this.#failure,
      where: { file: this.#path },
      hint: 'stop the server, look at the disk, and start it again',
    });
  }

  async #write(): Promise<void> {
    if (this.#active.count === 0) return;
    this.#frozen = this.#active;
    this.#active = new Changes();
    this.#epoch++;
    try {
      await this.#writeFrozen(this.#frozen);
    } catch (error) {
      this.#failure = error;
      throw error;
    }
    this.#frozen = undefined;
    this.#epoch++;
  }

  async #writeFrozen(changes: Changes): Promise<void> {
    const tx = this.#editor.begin();
    // After a stall there may be many; nothing that is read meanwhile depends on how far this is.
    const pacer = new Pacer();
    let done = 0;
    for (const label of BUCKETS) tx.ensureBucket(Buffer.from(label));
    for (const [label, rows, names] of changes.all()) {
      const bucket = tx.ensureBucket(Buffer.from(label));
      if (label === ASCENDING_BUCKET) bucket.fill = FILL_ASCENDING;
      for (const name of names) {
        const value = rows.get(name);
        const key = Buffer.from(name, 'latin1');
        if (value) bucket.put(key, value);
        else bucket.delete(key);
        if (++done % PACED_ROWS === 0 && pacer.isDue()) await pacer.rest();
      }
    }
    await tx.startCommit();
  }

  openView(): Promise<DurableView> {
    return this.#next(async () => {
      await this.#write();
      return this.#view();
    });
  }

  #view(): DurableView & { source: StateSource } {
    const source = new StateSource(new FileSource(this.#path), this.#editor.hold());
    return { source, close: () => source.close() };
  }

  defrag(): Promise<void> {
    return this.#next(async () => {
      await this.#write();
      const view = this.#view();
      try {
        const replacement = await rewriteBeside(this.#disk, this.#path, view.source);
        await this.#replace(replacement);
      } finally {
        view.close();
      }
    });
  }

  /** Until the new file has its place, the old one is the database. */
  async #replace(replacement: Replacement): Promise<void> {
    const { lock: takeLock, cacheBytes } = this.#options;
    let lock: HeldLock | undefined;
    let editor: BoltEditor;
    try {
      lock = await takeLock?.(replacement.temporary);
      replacement.takePlace();
      editor = await BoltEditor.open(this.#disk, this.#path, {
        cacheBytes,
        isAppendOnly: true,
        isGrowing: true,
      });
    } catch (error) {
      // What is written to the old file from now on would be lost.
      if (replacement.isInPlace) {
        this.#failure = error;
        this.#swapLock(lock);
      } else lock?.release();
      replacement.discard();
      throw error;
    }
    const old = this.#editor;
    this.#editor = editor;
    this.#epoch++;
    try {
      old.close();
    } catch {
      // Nothing in it is needed any more.
    }
    this.#swapLock(lock);
  }

  #swapLock(lock: HeldLock | undefined): void {
    if (!lock) return;
    this.#lock?.release();
    this.#lock = lock;
  }

  close(): Promise<void> {
    this.#closed ??= this.#enqueue(async () => {
      try {
        this.#assertSound();
        await this.#write();
      } finally {
        this.#isClosed = true;
        try {
          this.#editor.close();
        } finally {
          this.#lock?.release();
        }
      }
    });
    return this.#closed;
  }
}

/** The first key behind `key`. */
function keyBehind(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
