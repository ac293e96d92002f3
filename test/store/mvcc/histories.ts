/** Histories as etcd makes them: transactions and compactions, played into the records that bucket `key` then holds. */
import * as fc from 'fast-check';
import { type Pair, deletion, put } from '../database-builder.ts';

interface Change {
  key: string;
  isDeletion: boolean;
}

export type Step =
  | { kind: 'transaction'; changes: readonly Change[] }
  /** To `back` revisions before the newest. Old servers delete a tombstone at that revision, new ones keep it. */
  | { kind: 'compaction'; back: number; isOld: boolean };

export interface History {
  steps: readonly Step[];
  /** A last compaction that was begun, and has deleted so many records. */
  pending?: { back: number; deletedCount: number } | undefined;
}

export interface HistoryRecord {
  main: number;
  sub: number;
  key: string;
  isTombstone: boolean;
  pair: Pair;
}

export interface Played {
  records: HistoryRecord[];
  scheduled: number | undefined;
  finished: number | undefined;
  revision: number;
  liveKeyCount: number;
}

/** `isStrict`: no key twice in a transaction, as etcd demands of its clients. */
export function histories({ isStrict }: { isStrict: boolean }): fc.Arbitrary<History> {
  const change = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), isDeletion: fc.boolean() });
  const changes = isStrict
    ? fc.uniqueArray(change, { minLength: 1, maxLength: 3, selector: ({ key }) => key })
    : fc.array(change, { minLength: 1, maxLength: 3 });
  const transaction = fc.record({ kind: fc.constant('transaction' as const), changes });
  const back = fc.integer({ min: 0, max: 4 });
  const compaction = fc.record({ kind: fc.constant('compaction' as const), back, isOld: fc.boolean() });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 5, arbitrary: transaction },
    { weight: 1, arbitrary: compaction },
  );
  return fc.record({
    steps: fc.array(step, { maxLength: 25 }),
    pending: fc.option(fc.record({ back, deletedCount: fc.integer({ min: 0, max: 12 }) }), {
      nil: undefined,
    }),
  });
}

export function play({ steps, pending }: History): Played {
  const store = new Store();
  for (const step of steps) {
    if (step.kind === 'transaction') store.transaction(step.changes);
    else store.compact(step.back, step.isOld);
  }
  if (pending) store.beginCompaction(pending.back, pending.deletedCount);
  const { records, scheduled, finished, revision } = store;
  return { records, scheduled, finished, revision, liveKeyCount: store.live.size };
}

class Store {
  records: HistoryRecord[] = [];
  revision = 1;
  scheduled: number | undefined;
  finished: number | undefined;
  readonly live = new Map<string, { create: number; version: number }>();

  transaction(changes: readonly Change[]): void {
    const main = this.revision + 1;
    let sub = 0;
    for (const { key, isDeletion } of changes) {
      const known = this.live.get(key);
      if (isDeletion && !known) continue;
      if (isDeletion) {
        this.live.delete(key);
        this.records.push({ main, sub, key, isTombstone: true, pair: deletion(main, key, sub) });
      } else {
        const state = { create: known?.create ?? main, version: (known?.version ?? 0) + 1 };
        this.live.set(key, state);
        const pair = put(main, key, { sub, createRevision: state.create, version: state.version });
        this.records.push({ main, sub, key, isTombstone: false, pair });
      }
      sub++;
    }
    if (sub > 0) this.revision = main;
  }

  /** Gives what it would delete, or undefined where etcd refuses. */
  #plan(revision: number, isOld: boolean): Set<HistoryRecord> | undefined {
    if (revision <= (this.scheduled ?? 0)) return undefined;
    const newest = new Map<string, HistoryRecord>();
    for (const record of this.records) if (record.main <= revision) newest.set(record.key, record);
    const isKept = (record: HistoryRecord): boolean =>
      record.main > revision ||
      (newest.get(record.key) === record && (!record.isTombstone || (!isOld && record.main === revision)));
    return new Set(this.records.filter((record) => !isKept(record)));
  }

  compact(back: number, isOld: boolean): void {
    const revision = this.revision - back;
    const deleted = this.#plan(revision, isOld);
    if (!deleted) return;
    this.scheduled = this.finished = revision;
    this.records = this.records.filter((record) => !deleted.has(record));
  }

  beginCompaction(back: number, deletedCount: number): void {
    const revision = this.revision - back;
    const deleted = this.#plan(revision, false);
    if (!deleted) return;
    this.scheduled = revision;
    const gone = new Set([...deleted].slice(0, deletedCount));
    this.records = this.records.filter((record) => !gone.has(record));
  }
}
