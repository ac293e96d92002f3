/**
 * Keys and values at every revision that is not compacted, and how they change: revisions, records and compaction over
 * any backend. What a client may do is not asked here. etcd v3.6 server/storage/mvcc.
 */
import type { Pacer } from '../../bytes/pacer.ts';
import { CorruptError, ToolError } from '../../errors.ts';
import type { Backend } from '../backend/backend.ts';
import { Compaction } from './compaction.ts';
import { type IndexedRecords, indexNothing, indexRecords } from './index-records.ts';
import { type Change, KeyChange } from './key-change.ts';
import type { KeyIndex } from './key-index.ts';
import { joinLease, viewKeyValue } from './key-value.ts';
import { decodeMark, encodeMark, FINISHED_KEY, SCHEDULED_KEY } from './marks.ts';
import { encodeRevision } from './record.ts';
import { StoredCache } from './stored-cache.ts';

export type { Change };

/** A key, or a range of them: no `end` is one key, an empty one all keys from `key` on. */
export interface KeyRange {
  key: Uint8Array;
  end: Uint8Array | undefined;
}

/** What a request's `range_end` means: a single zero byte stands for no end. */
export function rangeOf(key: Uint8Array, rangeEnd: Uint8Array): KeyRange {
  if (rangeEnd.length === 0) return { key, end: undefined };
  return { key, end: rangeEnd.length === 1 && rangeEnd[0] === 0 ? new Uint8Array() : rangeEnd };
}

/** What is known of a live key without reading its record. */
export interface Head {
  /** `latin1`. */
  key: string;
  createRevision: number;
  modRevision: number;
  version: number;
  /** 0 when it has none. */
  lease: bigint;
}

export interface Stored extends Head {
  /** An encoded mvccpb.KeyValue; it must not be changed. */
  bytes: Uint8Array;
}

export interface ReadOptions {
  /** At which revision; what is newest without it, also of a change that is under way. */
  revision?: number | undefined;
  /** Give no more than so many. */
  limit?: number | undefined;
}

const LATELY_SIZE = 4 << 20;

/** The first key that is one: the record of a bump has none. */
const FIRST_KEY = Uint8Array.of(0);
const firstOf = (key: Uint8Array): Uint8Array => (key.length === 0 ? FIRST_KEY : key);
const endOf = (end: Uint8Array): Uint8Array | undefined => (end.length === 0 ? undefined : end);

/** How often what was asked for, since the store was opened. */
export class KeyTally {
  ranges = 0;
  puts = 0;
  /** Deletions, however many keys each found. */
  deletes = 0;
  /** Changes of more than one step. */
  txns = 0;
  /** Bytes of keys and values put. */
  putBytes = 0;
}

export class KeyValues {
  /** Main revision of the last change. */
  revision: number;
  /** Reads below are refused; −1 when never compacted. */
  compactRevision: number;
  readonly tally = new KeyTally();
  /** Told of each key whose lease changes; 0 is none. */
  onLease: (key: string, from: bigint, to: bigint) => void = () => {};
  /** Told of the changes of each new revision, in their order. */
  onRevision: ((revision: number, changes: readonly Change[]) => void) | undefined;
  readonly #backend: Backend;
  readonly #keys: KeyIndex;
  readonly #lately = new StoredCache(LATELY_SIZE);
  /** While it is, the index may hold a revision that is not there yet. */
  #isChanging = false;
  /** The last that was begun. */
  #compaction: Compaction | undefined;

  /** A store without records; {@link open} one that has some. */
  constructor(backend: Backend, read: IndexedRecords = indexNothing()) {
    this.#backend = backend;
    this.#keys = read.keys;
    const scheduled = this.#mark(SCHEDULED_KEY) ?? -1;
    const finished = this.#mark(FINISHED_KEY) ?? -1;
    this.compactRevision = Math.max(scheduled, finished);
    this.revision = Math.max(read.revision, this.compactRevision);
    if (scheduled > finished) this.#compaction = new Compaction(backend, this.#keys, scheduled, undefined);
  }

  /** Reads all records once. A compaction that was not finished is {@link pending}. Throws `CorruptError`. */
  static async open(backend: Backend, pacer: Pacer): Promise<KeyValues> {
    return new KeyValues(backend, await indexRecords(backend, pacer));
  }

  #mark(key: string): number | undefined {
    const value = this.#backend.get('meta', Buffer.from(key));
    return value && decodeMark(value, key);
  }

  /** The last compaction that was begun and is not finished; whoever opens a store sees to it that it is. */
  get pending(): Compaction | undefined {
    return this.#compaction?.isFinished ? undefined : this.#compaction;
  }

  /** Each live key that has a lease. */
  leased(): Iterable<[key: string, lease: bigint]> {
    return this.#keys.leased();
  }

  has(key: Uint8Array): boolean {
    return this.#ids({ key, end: undefined }).length > 0;
  }

  /** Those that are alive now, in byte order, without their records. */
  heads(range: KeyRange): Head[] {
    return this.#ids(range).map((id) => this.#head(id));
  }

  /** Those that are or were alive, in byte order. Throws `mvcc.compacted` or `mvcc.future`. */
  range(range: KeyRange, at: ReadOptions = {}): Stored[] {
    const past = this.#pastOf(at.revision);
    return this.#ids(range, past, at.limit).map((id) => this.#stored(id, past));
  }

  /** How many {@link range} would give; a limit is passed over. */
  count(range: KeyRange, { revision }: ReadOptions = {}): number {
    const { key, end } = range;
    const past = this.#pastOf(revision);
    if (past === undefined && end !== undefined) return this.#keys.liveCountIn(firstOf(key), endOf(end));
    return this.#visit(range, past, () => {});
  }

  /** Both at once: some of them, and how many there are. */
  page(range: KeyRange, at: ReadOptions = {}): { found: Stored[]; count: number } {
    const { limit = Infinity } = at;
    const past = this.#pastOf(at.revision);
    const ids: number[] = [];
    const isCounted = past !== undefined && limit < Infinity;
    const count = this.#visit(range, past, (id) => {
      if (ids.length < limit) ids.push(id);
      return isCounted || ids.length < limit;
    });
    const found = ids.map((id) => this.#stored(id, past));
    return { found, count: ids.length < limit || isCounted ? count : this.count(range) };
  }

  #ids(range: KeyRange, past?: number, limit = Infinity): number[] {
    const ids: number[] = [];
    this.#visit(range, past, (id) => ids.push(id) < limit);
    return ids;
  }

  /** A revision to look back to; undefined where what is newest will do. Throws when it is not held. */
  #pastOf(revision: number | undefined): number | undefined {
    if (revision === undefined) return undefined;
    this.assertHeld(revision);
    return revision === this.revision && !this.#isChanging ? undefined : revision;
  }

  /** Ids of those that are or were alive, until `take` gives false; gives how many it was given. */
  #visit({ key, end }: KeyRange, past: number | undefined, take: (id: number) => boolean | void): number {
    this.tally.ranges++;
    const keys = this.#keys;
    let count = 0;
    if (end === undefined) {
      const id = key.length === 0 ? -1 : keys.find(key);
      if (id !== -1 && keys.seek(id, past)) {
        count++;
        take(id);
      }
      return count;
    }
    keys.visit(firstOf(key), endOf(end), (id) => {
      if (!keys.seek(id, past)) return true;
      count++;
      return take(id) !== false;
    });
    return count;
  }

  #head(id: number): Head {
    const keys = this.#keys;
    keys.seek(id);
    return {
      key: keys.nameOf(id),
      createRevision: keys.createRevisionOf(id),
      modRevision: keys.main,
      version: keys.versionOf(id),
      lease: keys.leaseOf(id),
    };
  }

  #stored(id: number, past: number | undefined): Stored {
    const keys = this.#keys;
    keys.seek(id, past);
    const { main, sub, isNewest } = keys;
    const known = isNewest ? this.#lately.get(id, main, sub) : undefined;
    if (known) return known;
    const bytes = this.#backend.get('key', encodeRevision(main, sub));
    if (!bytes) throw new CorruptError('mvcc.value', `the record of revision ${main}.${sub} is gone`);
    if (isNewest) {
      // In memory of its own: a view would keep what it is a view of.
      const stored = { ...this.#head(id), bytes: bytes.slice() };
      this.#lately.set(id, sub, stored);
      return stored;
    }
    const { createRevision, version, leaseLow, leaseHigh } = viewKeyValue(bytes);
    const lease = joinLease(leaseLow, leaseHigh);
    return { key: keys.nameOf(id), createRevision, modRevision: main, version, lease, bytes };
  }

  /** Puts keys in order, which the first read of a range does otherwise. */
  sort(): void {
    this.#keys.sort();
  }

  /** Runs changes that become one revision, if there are any. */
  change(run: (change: KeyChange) => void): void {
    const change = new KeyChange(
      {
        backend: this.#backend,
        keys: this.#keys,
        onLease: this.onLease,
        ids: (range) => this.#ids(range),
        isHeard: this.onRevision !== undefined,
        tally: this.tally,
      },
      this.revision + 1,
    );
    this.#isChanging = true;
    run(change);
    this.#isChanging = false;
    if (change.count === 0) return;
    this.revision++;
    this.onRevision?.(this.revision, change.told);
  }

  /** Begins to drop what is not needed to read at `revision` or above. Throws `mvcc.compacted` or `mvcc.future`. */
  compact(revision: number): Compaction {
    this.assertHeld(revision, revision <= this.compactRevision);
    this.#backend.put('meta', Buffer.from(SCHEDULED_KEY), encodeMark(revision));
    this.compactRevision = revision;
    this.#compaction = new Compaction(this.#backend, this.#keys, revision, this.pending);
    return this.#compaction;
  }

  /** Throws unless a read at `revision` can be answered. */
  assertHeld(revision: number, isCompacted = revision < this.compactRevision): void {
    if (isCompacted) throw new ToolError('mvcc.compacted', 'mvcc: required revision has been compacted');
    if (revision > this.revision)
      throw new ToolError('mvcc.future', 'mvcc: required revision is a future revision');
  }
}
