/** A store to be watched: rows in memory, each change told as one revision, and its history kept beside it. */
import { latin1 } from '../../../src/bytes/order.ts';
import { keyValue, type KeyValue } from '../../../src/format/proto/mvccpb.ts';
import type { Backend, Pair, ScanRange } from '../../../src/store/backend/backend.ts';
import type { Change, WatchedKeys } from '../../../src/store/mvcc/events.ts';
import { encodeRevision } from '../../../src/store/mvcc/record.ts';

/** One bucket's rows in order; cheap when they come in order. */
class Rows {
  readonly keys: string[] = [];
  readonly values = new Map<string, Uint8Array>();

  lowerBound(key: string): number {
    let low = 0;
    for (let high = this.keys.length; low < high;) {
      const middle = (low + high) >>> 1;
      if (this.keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export class MemoryBackend implements Backend {
  readonly #buckets = new Map<string, Rows>();
  /** Rows that scans gave. */
  readCount = 0;

  #rows(bucket: string): Rows {
    let rows = this.#buckets.get(bucket);
    if (!rows) this.#buckets.set(bucket, (rows = new Rows()));
    return rows;
  }

  get(bucket: string, key: Uint8Array): Uint8Array | undefined {
    return this.#rows(bucket).values.get(latin1(key));
  }

  put(bucket: string, key: Uint8Array, value: Uint8Array): void {
    const rows = this.#rows(bucket);
    const name = latin1(key);
    if (!rows.values.has(name)) rows.keys.splice(rows.lowerBound(name), 0, name);
    rows.values.set(name, value);
  }

  delete(bucket: string, key: Uint8Array): void {
    const rows = this.#rows(bucket);
    const name = latin1(key);
    if (rows.values.delete(name)) rows.keys.splice(rows.lowerBound(name), 1);
  }

  *scan(bucket: string, { from, to }: ScanRange = {}): Generator<Pair, void> {
    const rows = this.#rows(bucket);
    const end = to === undefined ? rows.keys.length : rows.lowerBound(latin1(to));
    for (let at = from === undefined ? 0 : rows.lowerBound(latin1(from)); at < end; at++) {
      this.readCount++;
      const name = rows.keys[at]!;
      yield { key: Buffer.from(name, 'latin1'), value: rows.values.get(name)! };
    }
  }
}

export interface HistoryEvent {
  revision: number;
  key: string;
  /** Undefined for a deletion. */
  value: string | undefined;
  /** Value before, while it is held. */
  previous: string | undefined;
}

export type Step = { put: string; value: string } | { delete: string };

export class WatchedStore implements WatchedKeys {
  readonly backend = new MemoryBackend();
  revision = 1;
  compactRevision = -1;
  onRevision: (revision: number, changes: readonly Change[]) => void = () => {};
  readonly history: HistoryEvent[] = [];
  /** Records of each key, oldest first. */
  readonly #records = new Map<string, Array<{ main: number; live: KeyValue | undefined }>>();

  put(key: string, value = ''): void {
    this.change([{ put: key, value }]);
  }

  delete(key: string): void {
    this.change([{ delete: key }]);
  }

  /** Makes one revision, unless nothing changes. */
  change(steps: readonly Step[]): void {
    const main = this.revision + 1;
    const changes: Change[] = [];
    for (const step of steps) {
      const change = this.#apply(step, main, changes.length);
      if (change) changes.push(change);
    }
    if (changes.length === 0) return;
    this.revision = main;
    this.onRevision(main, changes);
  }

  #apply(step: Step, main: number, sub: number): Change | undefined {
    const key = 'put' in step ? step.put : step.delete;
    const records = this.#records.get(key) ?? [];
    this.#records.set(key, records);
    const before = records.at(-1)?.live;
    if ('delete' in step && !before) return undefined;
    const name = Buffer.from(key, 'latin1');
    const live =
      'put' in step
        ? {
            key: name,
            createRevision: before?.createRevision ?? main,
            modRevision: main,
            version: (before?.version ?? 0) + 1,
            value: Buffer.from(step.value),
            lease: 0n,
          }
        : undefined;
    records.push({ main, live });
    this.backend.put('key', encodeRevision(main, sub, !live), keyValue.encode(live ?? { key: name }));
    const text = (kv: KeyValue | undefined): string | undefined => kv && Buffer.from(kv.value).toString();
    this.history.push({ revision: main, key, value: text(live), previous: text(before) });
    return {
      key,
      sub,
      isDelete: !live,
      isCreate: live !== undefined && !before,
      bytes: keyValue.encode(live ?? { key: name, modRevision: main }),
      previous: () => before && keyValue.encode(before),
    };
  }

  range({ key }: { key: Uint8Array }, at: { revision: number }): Array<{ bytes: Uint8Array }> {
    const record = this.#records.get(latin1(key))?.findLast(({ main }) => main <= at.revision);
    return record?.live ? [{ bytes: keyValue.encode(record.live) }] : [];
  }

  /** Drops what nobody can ask for any more. */
  compact(revision: number): void {
    this.compactRevision = revision;
    const rows = [...this.backend.scan('key', { to: encodeRevision(revision + 1, 0) })];
    for (const { key, value } of rows) {
      const records = this.#records.get(latin1(keyValue.decode(value).key))!;
      const main = Number(Buffer.from(key).readBigUInt64BE(0));
      const newest = records.findLast((record) => record.main <= revision)!;
      if (main !== newest.main || (!newest.live && main < revision)) this.backend.delete('key', key);
    }
  }
}
