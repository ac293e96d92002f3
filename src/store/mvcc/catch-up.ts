/**
 * One round of catching up: the events of some revisions, read once, for all unsynced watchers that need them. What
 * it sends in one turn of the loop is bounded, so it may take several turns.
 */
import type { BackendView } from '../backend/backend.ts';
import { EventBatches } from './event-batch.ts';
import { readEvents, type WatchedKeys, type WatchEvent } from './events.ts';
import type { Watcher } from './watch.ts';
import { type WatcherGroup, WatcherIndex } from './watcher-index.ts';

/** etcd v3.6 gives a watcher no more revisions in one response. */
const REVISIONS_MAX = 1000;
const WANTED_BYTES_MAX = 256 << 10;
const READ_BYTES_MAX = 4 << 20;
/** What is sent in one turn, where each response counts for this much more than its events. */
const TURN_BYTES_MAX = 4 << 20;
const RESPONSE_COST = 256;

interface Unsynced {
  /** Those who take events at present. */
  ready: readonly Watcher[];
  /** No compacted revision. */
  from: number;
}

export class CatchUpRound {
  /** The first revision it does not have. */
  readonly nextRevision: number;
  readonly #waiting: Iterator<[watcher: Watcher, batches: EventBatches]>;

  private constructor(nextRevision: number, waiting: Iterable<[watcher: Watcher, batches: EventBatches]>) {
    this.nextRevision = nextRevision;
    this.#waiting = waiting[Symbol.iterator]();
  }

  /** Reads for those who need what comes from `from` on, and nothing below. Throws `CorruptError`. */
  static read(backend: BackendView, keys: WatchedKeys, { ready, from }: Unsynced): CatchUpRound {
    const index = new WatcherIndex<Watcher>();
    for (const watcher of ready) {
      const { nextRevision } = watcher;
      if (nextRevision >= from && nextRevision < from + REVISIONS_MAX) index.add(watcher);
    }
    const past = readEvents(backend, keys, {
      from,
      revisionsMax: REVISIONS_MAX,
      wantedBytesMax: WANTED_BYTES_MAX,
      readBytesMax: READ_BYTES_MAX,
      isWanted: (key) => index.has(key),
    });
    const wanted = new Map<WatcherGroup<Watcher>, WatchEvent[]>();
    for (const group of index.groups()) wanted.set(group, []);
    for (const { key, event } of past.events) index.find(key, (group) => wanted.get(group)!.push(event));
    return new CatchUpRound(past.nextRevision, eachWith(wanted, keys.revision));
  }

  /** Goes on giving; `passed` is told who has been given all of it. Gives whether everybody has been asked. */
  deliver(passed: (watcher: Watcher) => void): boolean {
    for (let cost = 0; cost < TURN_BYTES_MAX; cost += RESPONSE_COST) {
      const next = this.#waiting.next();
      if (next.done) return true;
      const [watcher, batches] = next.value;
      const { subscriber, state, nextRevision } = watcher;
      if (state !== 'unsynced' || subscriber.isFull || nextRevision >= this.nextRevision) continue;
      const batch = batches.of(watcher.variant, nextRevision);
      watcher.nextRevision = this.nextRevision;
      if (batch) {
        cost += batch.sizeBytes;
        if (!watcher.listener.events(batch)) subscriber.isFull = true;
      }
      // It may have been closed by the one who took the events.
      if (watcher.state === 'unsynced') passed(watcher);
    }
    return false;
  }
}

function* eachWith(
  wanted: ReadonlyMap<WatcherGroup<Watcher>, readonly WatchEvent[]>,
  revision: number,
): Generator<[watcher: Watcher, batches: EventBatches], void> {
  for (const [group, events] of wanted) {
    const batches = new EventBatches(events, revision);
    for (const watcher of group.members) yield [watcher, batches];
  }
}
