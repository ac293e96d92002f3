/**
 * Who watches what, and who is told of which change. A synced watcher has been given all that happened and is told of
 * a change as it is made. One that starts in the past, or whose subscriber was full, is unsynced: it reads from the
 * backend what it has not been given, in rounds that unsynced watchers share, until it has caught up. Each watcher is
 * given every event once and in order; nothing is kept for it meanwhile but a revision.
 */
import type { BackendView } from '../backend/backend.ts';
import { CatchUpRound } from './catch-up.ts';
import { type EventBatch, EventBatches, variantOf, type Wants } from './event-batch.ts';
import { type WatchedKeys, WatchEvent } from './events.ts';
import type { Change } from './key-change.ts';
import { type WatcherGroup, WatcherIndex, type WatchRange } from './watcher-index.ts';

/** Takes what a watcher is given. It may close watchers, but must not throw. */
export interface WatchListener {
  /** Gives whether the subscriber takes more; it gets nothing after a no, until {@link Subscriber.resume}. */
  events(batch: EventBatch): boolean;
  /** Events that the watcher has not been given are compacted; it is closed. */
  compacted(compactRevision: number): void;
  /** The history could not be read; the watcher is closed. */
  failed(error: unknown): void;
}

export interface WatchOptions extends Wants {
  range: WatchRange;
  /** The first revision that is wanted; it may be far in the future. Without it, the next one. */
  startRevision?: number | undefined;
}

export class Watcher {
  readonly subscriber: Subscriber;
  readonly range: WatchRange;
  readonly variant: number;
  readonly startRevision: number;
  readonly listener: WatchListener;
  state: 'synced' | 'unsynced' | 'closed';
  /** While unsynced, the first revision that it has not been given; else none below it is wanted. */
  nextRevision: number;

  constructor(
    subscriber: Subscriber,
    { range, startRevision = 0, ...wants }: WatchOptions,
    listener: WatchListener,
    revision: number,
  ) {
    this.subscriber = subscriber;
    this.range = range;
    this.variant = variantOf(wants);
    this.startRevision = startRevision;
    this.listener = listener;
    this.state = startRevision > 0 && startRevision <= revision ? 'unsynced' : 'synced';
    this.nextRevision = Math.max(startRevision, this.state === 'synced' ? revision + 1 : 0);
  }

  close(): void {
    this.subscriber.remove(this);
  }
}

export interface HubOptions {
  /** Runs a round of catching up after what else is due. */
  nextTurn?: (run: () => void) => void;
}

export class WatchHub {
  readonly #keys: WatchedKeys;
  readonly #backend: BackendView;
  readonly #nextTurn: (run: () => void) => void;
  readonly #synced = new WatcherIndex<Watcher>();
  readonly #unsynced = new Set<Watcher>();
  #isScheduled = false;
  #round: CatchUpRound | undefined;
  /** Where the next round begins, unless nobody needs anything from there on. */
  #position = 0;

  constructor(keys: WatchedKeys, backend: BackendView, options: HubOptions = {}) {
    this.#keys = keys;
    this.#backend = backend;
    this.#nextTurn = options.nextTurn ?? setImmediate;
  }

  /** Last revision of the store. */
  get revision(): number {
    return this.#keys.revision;
  }

  get watcherCount(): number {
    return this.#synced.size + this.#unsynced.size;
  }

  get unsyncedCount(): number {
    return this.#unsynced.size;
  }

  /** One who takes events at his own pace, for any number of watchers. */
  subscribe(): Subscriber {
    return new Subscriber(this);
  }

  /** To be called when a revision was made, before the next one. */
  notify(revision: number, changes: readonly Change[]): void {
    if (this.#synced.size === 0) return;
    try {
      this.#notify(revision, changes);
    } catch (error) {
      // Whoever watches may have missed something. The change itself is made, and nothing here may undo it.
      const groups = [...this.#synced.groups()];
      for (const { members } of groups) fail([...members], error);
    }
  }

  #notify(revision: number, changes: readonly Change[]): void {
    const concerned = new Map<WatcherGroup<Watcher>, WatchEvent[]>();
    for (const change of changes) {
      let event: WatchEvent | undefined;
      this.#synced.find(change.key, (group) => {
        event ??= new WatchEvent(revision, change, this.#keys);
        const events = concerned.get(group);
        if (events) events.push(event);
        else concerned.set(group, [event]);
      });
    }
    for (const [group, events] of concerned) {
      try {
        this.#tell(group, new EventBatches(events, revision), revision);
      } catch (error) {
        // A value before that cannot be read must not stop the change that is told of.
        fail(group.members, error);
      }
    }
  }

  #tell(group: WatcherGroup<Watcher>, batches: EventBatches, revision: number): void {
    for (const watcher of group.members) {
      if (watcher.nextRevision > revision) continue;
      const batch = batches.of(watcher.variant, revision);
      if (!batch) continue;
      const { subscriber } = watcher;
      if (subscriber.isFull) this.#fallBehind(watcher, revision);
      else if (!watcher.listener.events(batch)) subscriber.isFull = true;
    }
  }

  #fallBehind(watcher: Watcher, revision: number): void {
    this.#synced.delete(watcher);
    watcher.nextRevision = revision;
    watcher.state = 'unsynced';
    this.#unsynced.add(watcher);
  }

  add(watcher: Watcher): void {
    if (watcher.state === 'synced') this.#synced.add(watcher);
    else {
      this.#unsynced.add(watcher);
      this.catchUp();
    }
  }

  /** Gives whether it was not closed already. */
  remove(watcher: Watcher): boolean {
    if (watcher.state === 'closed') return false;
    if (watcher.state === 'synced') this.#synced.delete(watcher);
    else this.#unsynced.delete(watcher);
    watcher.state = 'closed';
    return true;
  }

  /** Sees to it that whoever can catch up does. */
  catchUp(): void {
    if (this.#isScheduled || this.#unsynced.size === 0) return;
    this.#isScheduled = true;
    this.#nextTurn(() => {
      this.#isScheduled = false;
      this.#step();
    });
  }

  #step(): void {
    try {
      this.#round ??= this.#nextRound();
      if (!this.#round) return;
      if (this.#round.deliver((watcher) => this.#caughtUp(watcher))) this.#round = undefined;
    } catch (error) {
      this.#round = undefined;
      fail(
        [...this.#unsynced].filter(({ subscriber }) => !subscriber.isFull),
        error,
      );
    }
    this.catchUp();
  }

  /** Undefined when nobody is ready for one. */
  #nextRound(): CatchUpRound | undefined {
    const ready = [...this.#unsynced].filter((watcher) => this.#isReady(watcher));
    if (ready.length === 0) return undefined;
    // From the oldest to the newest and around again: nobody waits for those who come in behind him.
    let from = lowest(ready.filter(({ nextRevision }) => nextRevision >= this.#position));
    if (from === Infinity) from = lowest(ready);
    const round = CatchUpRound.read(this.#backend, this.#keys, { ready, from });
    this.#position = round.nextRevision;
    return round;
  }

  #isReady(watcher: Watcher): boolean {
    if (watcher.subscriber.isFull) return false;
    const { compactRevision } = this.#keys;
    if (watcher.nextRevision >= compactRevision) return true;
    watcher.close();
    watcher.listener.compacted(compactRevision);
    return false;
  }

  #caughtUp(watcher: Watcher): void {
    if (watcher.nextRevision <= this.#keys.revision) return;
    this.#unsynced.delete(watcher);
    watcher.state = 'synced';
    this.#synced.add(watcher);
  }
}

function fail(watchers: Iterable<Watcher>, error: unknown): void {
  for (const watcher of watchers) {
    watcher.close();
    watcher.listener.failed(error);
  }
}

function lowest(watchers: readonly Watcher[]): number {
  return watchers.reduce((least, { nextRevision }) => Math.min(least, nextRevision), Infinity);
}

/** Watchers that share a way to their client. */
export class Subscriber {
  /** Whether it takes nothing at present. */
  isFull = false;
  readonly #hub: WatchHub;
  readonly #watchers = new Set<Watcher>();

  constructor(hub: WatchHub) {
    this.#hub = hub;
  }

  watch(options: WatchOptions, listener: WatchListener): Watcher {
    const watcher = new Watcher(this, options, listener, this.#hub.revision);
    this.#watchers.add(watcher);
    this.#hub.add(watcher);
    return watcher;
  }

  remove(watcher: Watcher): void {
    if (this.#hub.remove(watcher)) this.#watchers.delete(watcher);
  }

  /** Takes events again. */
  resume(): void {
    this.isFull = false;
    this.#hub.catchUp();
  }

  /** Whether there are watchers, and all have been given what they want of everything up to now. */
  isCurrent(): boolean {
    if (this.#watchers.size === 0) return false;
    for (const watcher of this.#watchers) if (!this.isWatcherCurrent(watcher)) return false;
    return true;
  }

  isWatcherCurrent({ state, startRevision }: Watcher): boolean {
    return state === 'synced' && startRevision <= this.#hub.revision;
  }

  close(): void {
    for (const watcher of this.#watchers) this.remove(watcher);
  }
}
