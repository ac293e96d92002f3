/**
 * Keys and values as they are now, and how they change: revisions, records and compaction over any backend. What a
 * client may do is not asked here. etcd v3.6 server/storage/mvcc.
 */
import { latin1 } from '../../bytes/order.ts';
import type { Pacer } from '../../bytes/pacer.ts';
import { CorruptError, ToolError } from '../../errors.ts';
import { type KeyValue, keyValue } from '../../format/proto/mvccpb.ts';
import type { Backend } from '../backend/backend.ts';
import { KeyIndex, type LiveKey } from './key-index.ts';
import { decodeMark, encodeMark, FINISHED_KEY, SCHEDULED_KEY } from './marks.ts';
import { encodeRevision, RecordView } from './record.ts';

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

const EMPTY_STORE_REVISION = 1;
/** Between two looks at the clock. */
const RECORDS_A_LOOK = 64;

const bytesOf = (key: string): Uint8Array => Buffer.from(key, 'latin1');

export class KeyValues {
  /** Main revision of the last change. */
  revision: number;
  /** −1 when never compacted. */
  compactRevision: number;
  readonly #backend: Backend;
  readonly #keys: KeyIndex;
  /** Told of each key whose lease changes; 0 is none. */
  onLease: (key: string, from: bigint, to: bigint) => void = () => {};

  /** A store without records; {@link open} one that has some. */
  constructor(
    backend: Backend,
    read: IndexedRecords = { keys: new KeyIndex(), revision: EMPTY_STORE_REVISION },
  ) {
    this.#backend = backend;
    this.#keys = read.keys;
    const scheduled = this.#mark(SCHEDULED_KEY);
    const finished = this.#mark(FINISHED_KEY);
    this.compactRevision = Math.max(scheduled ?? -1, finished ?? -1);
    this.revision = Math.max(read.revision, this.compactRevision);
    if ((scheduled ?? -1) > (finished ?? -1)) this.#dropBelow(scheduled!);
  }

  /** Reads all records once; a scheduled compaction that was not finished is. Throws `CorruptError`. */
  static async open(backend: Backend, pacer: Pacer): Promise<KeyValues> {
    return new KeyValues(backend, await indexRecords(backend, pacer));
  }

  #mark(key: string): number | undefined {
    const value = this.#backend.get('meta', Buffer.from(key));
    return value && decodeMark(value, key);
  }

  /** Each live key that has a lease. */
  leased(): Iterable<[key: string, lease: bigint]> {
    return this.#keys.leased();
  }

  has(key: Uint8Array): boolean {
    return this.#keys.get(latin1(key)) !== undefined;
  }

  /** Those that are alive, in byte order. */
  range({ key, end }: KeyRange): KeyValue[] {
    return this.#names({ key, end }).map((name) => this.#read(name));
  }

  #names({ key, end }: KeyRange): string[] {
    const from = latin1(key);
    if (end === undefined) return this.#keys.get(from) ? [from] : [];
    return this.#keys.range(from, end.length === 0 ? undefined : latin1(end));
  }

  #read(name: string): KeyValue {
    const { main, sub } = this.#keys.get(name)!;
    return keyValue.decode(this.#backend.get('key', encodeRevision(main, sub))!);
  }

  /** Runs changes that become one revision, if there are any. */
  change(run: (change: KeyChange) => void): void {
    const change = new KeyChange(this.#backend, this.#keys, this.revision + 1, this.onLease, (range) =>
      this.#names(range),
    );
    run(change);
    if (change.count > 0) this.revision++;
  }

  /** Throws `mvcc.compacted` or `mvcc.future`. */
  compact(revision: number): void {
    this.assertHeld(revision, revision <= this.compactRevision);
    this.#dropBelow(revision);
  }

  /** Throws unless a read at `revision` can be answered. */
  assertHeld(revision: number, isCompacted = revision < this.compactRevision): void {
    if (isCompacted) throw new ToolError('mvcc.compacted', 'mvcc: required revision has been compacted');
    if (revision > this.revision)
      throw new ToolError('mvcc.future', 'mvcc: required revision is a future revision');
  }

  /** Deletes what a compaction at `revision` does: all but each key's newest record, and tombstones below. */
  #dropBelow(revision: number): void {
    const record = new RecordView();
    const newest = new Map<string, Uint8Array>();
    const dropped: Uint8Array[] = [];
    for (const { key, value } of this.#backend.scan('key', { to: encodeRevision(revision + 1, 0) })) {
      record.decodeRevision(key, 0, key.length);
      record.decodeValue(value, 0, value.length);
      // The records of bumps go by a key without a name, as they do in etcd's index.
      const name = latin1(value.subarray(record.keyStart, record.keyEnd));
      const before = newest.get(name);
      if (before) dropped.push(before);
      if (record.isTombstone && record.main < revision) dropped.push(key.slice());
      else newest.set(name, key.slice());
    }
    for (const key of dropped) this.#backend.delete('key', key);
    const mark = encodeMark(revision);
    this.#backend.put('meta', Buffer.from(SCHEDULED_KEY), mark);
    this.#backend.put('meta', Buffer.from(FINISHED_KEY), mark);
    this.compactRevision = revision;
  }
}

interface IndexedRecords {
  keys: KeyIndex;
  /** Main revision of the last record. */
  revision: number;
}

async function indexRecords(backend: Backend, pacer: Pacer): Promise<IndexedRecords> {
  const keys = new KeyIndex();
  const record = new RecordView();
  let revision = EMPTY_STORE_REVISION;
  let count = 0;
  for (const { key, value } of backend.scan('key')) {
    const problem = record.decodeRevision(key, 0, key.length) ?? record.decodeValue(value, 0, value.length);
    if (problem) throw new CorruptError('mvcc.value', problem, { where: { field: 'bucket key' } });
    revision = record.main;
    if (++count % RECORDS_A_LOOK === 0 && pacer.isDue()) await pacer.rest();
    // The record of a bump has no key, and no server gives it to anybody.
    if (record.isEmpty && !record.isTombstone) continue;
    const name = latin1(value.subarray(record.keyStart, record.keyEnd));
    if (record.isTombstone) keys.delete(name);
    else keys.set(name, liveKeyOf(record));
  }
  return { keys, revision };
}

function liveKeyOf({ main, sub, createRevision, version, lease }: RecordView): LiveKey {
  return { main, sub, createRevision, version, lease: BigInt.asIntN(64, lease) };
}

/** Changes of one revision. */
export class KeyChange {
  /** How many there are; the next one's sub revision. */
  count = 0;
  readonly #backend: Backend;
  readonly #keys: KeyIndex;
  readonly #main: number;
  readonly #onLease: KeyValues['onLease'];
  readonly #names: (range: KeyRange) => string[];

  constructor(
    backend: Backend,
    keys: KeyIndex,
    main: number,
    onLease: KeyValues['onLease'],
    names: (range: KeyRange) => string[],
  ) {
    this.#backend = backend;
    this.#keys = keys;
    this.#main = main;
    this.#onLease = onLease;
    this.#names = names;
  }

  put(key: Uint8Array, value: Uint8Array, lease: bigint): void {
    const name = latin1(key);
    const before = this.#keys.get(name);
    const [main, sub] = [this.#main, this.count++];
    const live: LiveKey = {
      main,
      sub,
      createRevision: before?.createRevision ?? main,
      version: (before?.version ?? 0) + 1,
      lease,
    };
    const { createRevision, version } = live;
    const record = keyValue.encode({ key, createRevision, modRevision: main, version, value, lease });
    this.#backend.put('key', encodeRevision(main, sub), record);
    this.#keys.set(name, live);
    this.#moved(name, before?.lease ?? 0n, lease);
  }

  /** Gives how many keys there were. */
  delete(range: KeyRange): number {
    const names = this.#names(range);
    for (const name of names) {
      const { lease } = this.#keys.get(name)!;
      const record = keyValue.encode({ key: bytesOf(name) });
      this.#backend.put('key', encodeRevision(this.#main, this.count++, true), record);
      this.#keys.delete(name);
      this.#moved(name, lease, 0n);
    }
    return names.length;
  }

  #moved(key: string, from: bigint, to: bigint): void {
    if (from !== to) this.#onLease(key, from, to);
  }
}
