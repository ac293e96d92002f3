/** Changes of one revision: the records they write, and what is told of them to those who listen. */
import { latin1 } from '../../bytes/order.ts';
import type { Backend } from '../backend/backend.ts';
import type { KeyIndex } from './key-index.ts';
import { encodeKeyValue, leaseWords } from './key-value.ts';
import type { KeyRange, KeyTally, KeyValues } from './key-values.ts';
import { encodeRevision, RecordView } from './record.ts';

/** One change of a revision, as watchers are told. */
export interface Change {
  /** `latin1`. */
  key: string;
  /** Counts the changes of the revision from 0. */
  sub: number;
  isDelete: boolean;
  /** Whether there was no such key before. */
  isCreate: boolean;
  /** An encoded KeyValue: the record that was put, or `{key, modRevision}` of a deletion. */
  bytes: Uint8Array;
  /** The record before this change; undefined when there was none. To be asked before anything is compacted. */
  previous(): Uint8Array | undefined;
}

const NOTHING = new Uint8Array();

/** What a change needs of the store. */
export interface ChangedStore {
  backend: Backend;
  keys: KeyIndex;
  onLease: KeyValues['onLease'];
  /** Ids of live keys, in byte order. */
  ids(range: KeyRange): number[];
  /** Whether somebody listens. */
  isHeard: boolean;
  tally: KeyTally;
}

export class KeyChange {
  /** How many there are; the next one's sub revision. */
  count = 0;
  /** What is told; empty when nobody listens. */
  readonly told: Change[] = [];
  readonly #store: ChangedStore;
  readonly #main: number;
  readonly #record = new RecordView();

  constructor(store: ChangedStore, main: number) {
    this.#store = store;
    this.#main = main;
  }

  /** That of the store if it ended here. */
  get revision(): number {
    return this.count > 0 ? this.#main : this.#main - 1;
  }

  put(key: Uint8Array, value: Uint8Array, lease: bigint): void {
    const { keys, backend, tally } = this.#store;
    tally.puts++;
    tally.putBytes += key.length + value.length;
    const id = keys.find(key);
    const isLive = id !== -1 && keys.isLive(id);
    const record = this.#next(false);
    record.createRevision = isLive ? keys.createRevisionOf(id) : this.#main;
    record.version = isLive ? keys.versionOf(id) + 1 : 1;
    const words = leaseWords(lease);
    record.leaseLow = words.leaseLow;
    record.leaseHigh = words.leaseHigh;
    const leaseBefore = isLive ? keys.leaseOf(id) : 0n;
    const { createRevision, version } = record;
    const bytes = encodeKeyValue({ key, createRevision, modRevision: this.#main, version, value, ...words });
    if (this.#store.isHeard) this.#tell(latin1(key), isLive ? id : -1, bytes);
    backend.put('key', encodeRevision(this.#main, record.sub), bytes);
    if (id === -1) keys.add(record, key);
    else keys.append(record, id);
    if (leaseBefore !== lease) this.#store.onLease(latin1(key), leaseBefore, lease);
  }

  /** Gives how many keys there were. */
  delete(range: KeyRange): number {
    this.#store.tally.deletes++;
    const ids = this.#store.ids(range);
    for (const id of ids) this.#delete(id);
    return ids.length;
  }

  #delete(id: number): void {
    const { keys, backend } = this.#store;
    const key = keys.keyOf(id);
    const lease = keys.leaseOf(id);
    const record = this.#next(true);
    record.createRevision = record.version = record.leaseLow = record.leaseHigh = 0;
    const parts = {
      key,
      createRevision: 0,
      modRevision: 0,
      version: 0,
      value: NOTHING,
      leaseLow: 0,
      leaseHigh: 0,
    };
    if (this.#store.isHeard)
      this.#tell(latin1(key), id, encodeKeyValue({ ...parts, modRevision: this.#main }));
    backend.put('key', encodeRevision(this.#main, record.sub, true), encodeKeyValue(parts));
    keys.append(record, id);
    if (lease !== 0n) this.#store.onLease(latin1(key), lease, 0n);
  }

  #next(isTombstone: boolean): RecordView {
    const record = this.#record;
    record.main = this.#main;
    record.sub = this.count++;
    record.isTombstone = isTombstone;
    return record;
  }

  /** `id` is that of the key before the change; −1 when it was not there. */
  #tell(key: string, id: number, bytes: Uint8Array): void {
    const { keys, backend } = this.#store;
    const { sub, isTombstone: isDelete } = this.#record;
    const before = id !== -1 && keys.seek(id) ? encodeRevision(keys.main, keys.sub) : undefined;
    this.told.push({
      key,
      sub,
      isDelete,
      isCreate: before === undefined,
      bytes,
      previous: () => before && backend.get('key', before),
    });
  }
}
