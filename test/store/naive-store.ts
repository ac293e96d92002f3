/** Keys and values kept the plainest way, as a list of records that every read walks: what the real store is held against. */
import { ascending } from '../../src/bytes/order.ts';
import { keyValue } from '../../src/format/proto/mvccpb.ts';
import { encodeRevision } from '../../src/store/mvcc/record.ts';
import { text } from './database-builder.ts';

export interface NaiveRecord {
  main: number;
  sub: number;
  isTombstone: boolean;
  key: string;
  value: string;
  createRevision: number;
  modRevision: number;
  version: number;
  lease: bigint;
}

export class NaiveStore {
  records: NaiveRecord[] = [];
  revision = 1;
  compactRevision = -1;
  #sub = 0;

  /** Runs changes as one revision. */
  change(run: () => void): void {
    this.#sub = 0;
    run();
    if (this.#sub > 0) this.revision++;
  }

  put(key: string, value: string, lease = 0n): void {
    const before = this.now(key);
    const main = this.revision + 1;
    this.records.push({
      ...{ main, sub: this.#sub++, isTombstone: false, key, value, modRevision: main, lease },
      createRevision: before?.createRevision ?? main,
      version: (before?.version ?? 0) + 1,
    });
  }

  delete(key: string, end?: string): NaiveRecord[] {
    const deleted =
      end === undefined ? [this.now(key)].filter((one) => one !== undefined) : this.range(key, end);
    const main = this.revision + 1;
    for (const one of deleted)
      this.records.push({ ...one, main, sub: this.#sub++, isTombstone: true, value: '', lease: 0n });
    return deleted;
  }

  now(key: string): NaiveRecord | undefined {
    const newest = this.records.findLast((record) => record.key === key);
    return newest?.isTombstone ? undefined : newest;
  }

  /** Each key's newest record up to a revision. */
  #newest(revision: number): Map<string, NaiveRecord> {
    const held = this.records.filter(({ main }) => main <= revision);
    return new Map(held.map((record) => [record.key, record]));
  }

  /** Alive at a revision, in byte order; `end` empty is all from `key` on. */
  range(key: string, end?: string, revision = Infinity): NaiveRecord[] {
    const isIn = (one: string): boolean =>
      end === undefined ? one === key : one >= key && (end === '' || one < end);
    return [...this.#newest(revision).values()]
      .filter((record) => !record.isTombstone && isIn(record.key))
      .sort((a, b) => ascending(a.key, b.key));
  }

  compact(revision: number): void {
    this.compactRevision = revision;
    const newest = this.#newest(revision);
    this.records = this.records.filter(
      (record) =>
        record.main > revision ||
        (record === newest.get(record.key) && (!record.isTombstone || record.main === revision)),
    );
  }

  /** As bucket `key` holds them, in hex. */
  rows(): Array<[key: string, value: string]> {
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
    return this.records.map((record) => [
      hex(encodeRevision(record.main, record.sub, record.isTombstone)),
      hex(bytesOf(record)),
    ]);
  }
}

/** The record as it is stored. */
export function bytesOf({ key, value, isTombstone, ...rest }: NaiveRecord): Uint8Array {
  if (isTombstone) return keyValue.encode({ key: text(key) });
  const { createRevision, modRevision, version, lease } = rest;
  return keyValue.encode({
    ...{ key: text(key), createRevision, modRevision, version, lease },
    value: text(value),
  });
}
