/** A hub over a store in memory whose turns are taken by hand, and a client that writes down what it is given. */
import { event } from '../../../src/format/proto/mvccpb.ts';
import type { EventBatch } from '../../../src/store/mvcc/event-batch.ts';
import {
  type Subscriber,
  type Watcher,
  WatchHub,
  type WatchListener,
  type WatchOptions,
} from '../../../src/store/mvcc/watch.ts';
import type { WatchRange } from '../../../src/store/mvcc/watcher-index.ts';
import { type HistoryEvent, WatchedStore } from './watched-store.ts';

export class WatchedHub {
  readonly store = new WatchedStore();
  readonly hub: WatchHub;
  readonly #turns: Array<() => void> = [];

  constructor() {
    this.hub = new WatchHub(this.store, this.store.backend, { nextTurn: (run) => this.#turns.push(run) });
    this.store.onRevision = (revision, changes) => this.hub.notify(revision, changes);
  }

  /** Gives whether there was one to take. */
  turn(): boolean {
    const run = this.#turns.shift();
    run?.();
    return run !== undefined;
  }

  /** Until nobody has anything to catch up with. */
  settle(): void {
    while (this.turn());
  }
}

/** A watcher's client: how much room it has is up to the test. */
export class Client implements WatchListener {
  readonly subscriber: Subscriber;
  readonly watcher: Watcher;
  readonly received: HistoryEvent[] = [];
  /** Revisions in headers of responses. */
  readonly headers: number[] = [];
  /** Responses that are taken before there is no more room; clients of one subscriber may share it. */
  readonly space: { room: number };
  /** Whether no revision came in two responses, and no header was behind its events. */
  isWhole = true;
  /** Whether it was given events when it had no room. */
  isOverfed = false;
  compactedAt: number | undefined;
  error: unknown;

  constructor(subscriber: Subscriber, options: WatchOptions, space = { room: Infinity }) {
    this.subscriber = subscriber;
    this.space = space;
    this.watcher = subscriber.watch(options, this);
  }

  events({ revision, events }: EventBatch): boolean {
    const last = this.received.at(-1)?.revision ?? 0;
    this.headers.push(revision);
    if (this.subscriber.isFull) this.isOverfed = true;
    const given = events.map((bytes) => decoded(bytes));
    if (given[0]!.revision <= last || given.at(-1)!.revision > revision) this.isWhole = false;
    this.received.push(...given);
    return --this.space.room > 0;
  }

  compacted(compactRevision: number): void {
    this.compactedAt = compactRevision;
  }

  failed(error: unknown): void {
    this.error = error;
  }

  resume(room = Infinity): void {
    this.space.room = room;
    this.subscriber.resume();
  }
}

export function decoded(bytes: Uint8Array): HistoryEvent {
  const { type, kv, prevKv } = event.decode(bytes);
  const text = (value: Uint8Array): string => Buffer.from(value).toString();
  return {
    revision: kv!.modRevision,
    key: Buffer.from(kv!.key).toString('latin1'),
    value: type === 1 ? undefined : text(kv!.value),
    previous: prevKv && text(prevKv.value),
  };
}

/** What a watcher is to be given of a history. */
export function wanted(history: readonly HistoryEvent[], options: WatchOptions): HistoryEvent[] {
  const { range, startRevision = 0, noPut, noDelete, previous } = options;
  return history
    .filter(({ revision, key, value }) => {
      const isInRange = matches(range, key);
      return isInRange && revision >= startRevision && !(value === undefined ? noDelete : noPut);
    })
    .map((one) => (previous ? one : { ...one, previous: undefined }));
}

export function matches({ key, end }: WatchRange, wantedKey: string): boolean {
  if (end === undefined) return wantedKey === key;
  return wantedKey >= key && (end === '' || wantedKey < end);
}

export const ALL: WatchRange = { key: '\0', end: '' };
