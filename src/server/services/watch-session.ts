/**
 * One stream of the Watch service. What its client does not take is not kept for it beyond a limit: the hub reads it
 * again later.
 */
import { latin1 } from '../../bytes/order.ts';
import type { Input } from '../../format/proto/field.ts';
import type { ResponseHeader } from '../../format/proto/kvpb.ts';
import {
  WATCH_FILTER,
  type WatchCreateRequest,
  type WatchRequest,
  watchRequest,
  type WatchResponse,
  watchResponse,
} from '../../format/proto/watchpb.ts';
import type { Stream } from '../../rpc/seam.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import type { EventBatch } from '../../store/mvcc/event-batch.ts';
import type { Subscriber, Watcher, WatchHub, WatchOptions } from '../../store/mvcc/watch.ts';
import type { Access, Caller } from '../auth/access.ts';
import type { WatchStats } from '../monitor/stats.ts';
import { rpcErrorOf } from '../rpc-errors.ts';
import type { WatchFrames } from './watch-frames.ts';
import type { WatchClock } from './watch.ts';

/** What all streams of the service have in common. */
export interface WatchSessionOptions {
  access: Access;
  hub: WatchHub;
  header: () => ResponseHeader;
  frames: WatchFrames;
  queuedBytesMax: number;
  /** How many streams have a client that does not take what is queued. */
  stalled: { count: number };
  progressNotifyMs: number;
  clock: WatchClock;
  stats: WatchStats;
  random: () => number;
}

/** The watch id of responses that concern no watcher, or all. */
const NO_WATCH_ID = -1n;
/** What is queued for all stalled clients together, and for each at least. */
const QUEUED_BYTES_ALL = 64 << 20;
const QUEUED_BYTES_MIN = 64 << 10;
/** Of the interval between notifications; watchers made together are not all notified together. */
const JITTER = 0.1;

const RANGE_IS_EMPTY = 'mvcc: watcher range is empty';
const DUPLICATE_ID = 'mvcc: duplicate watch ID provided on the WatchStream';
const COMPACTED = 'etcdserver: mvcc: required revision has been compacted';
const CANCELED = 'etcdserver: watch canceled';

export class WatchSession {
  readonly #stream: Stream;
  readonly #options: WatchSessionOptions;
  readonly #subscriber: Subscriber;
  /** Compacted ones too, until the client cancels them. */
  readonly #watches = new Map<bigint, Watch>();
  #nextId = 0n;
  /** Until the client has taken what is queued. */
  #draining: Promise<void> | undefined;
  /** Whether so much is queued that it gets no more events. */
  #isFull = false;
  #stopTimer: (() => void) | undefined;
  #isOver = false;
  #fail: (error: unknown) => void = () => {};

  constructor(stream: Stream, options: WatchSessionOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#subscriber = options.hub.subscribe();
  }

  /** Runs until the call is over, which it always is by a throw. */
  async run(): Promise<void> {
    this.#options.stats.streams++;
    const failed = new Promise<never>((_resolve, reject) => (this.#fail = reject));
    try {
      await Promise.race([this.#receiveAll(), failed]);
    } catch (error) {
      throw this.#stream.signal.aborted ? new RpcError(STATUS.cancelled, CANCELED, error) : error;
    } finally {
      this.#isOver = true;
      this.#options.stats.streams--;
      this.#stopTimer?.();
      this.#subscriber.close();
      this.#watches.clear();
    }
  }

  async #receiveAll(): Promise<void> {
    const { signal } = this.#stream;
    while (!this.#isOver) {
      const request = await this.#stream.receive();
      if (request === undefined) break;
      const asked = watchRequest.decode(request);
      // Whoever was allowed to watch goes on watching; a new watch needs a token that still counts.
      if (asked.createRequest)
        this.#create(asked.createRequest, await this.#options.access.callerOf(this.#stream));
      else this.#take(asked);
      // Answers are queued whatever the client takes, so one that takes nothing is not listened to.
      while (this.#draining) await this.#draining;
    }
    // A client that has nothing more to ask goes on watching.
    if (!signal.aborted)
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    signal.throwIfAborted();
  }

  #take({ cancelRequest, progressRequest }: WatchRequest): void {
    if (cancelRequest) this.#cancel(cancelRequest.watchId);
    else if (progressRequest && this.#isCurrent()) this.#answer({ watchId: NO_WATCH_ID });
  }

  /** Whether a notification would not overtake events. */
  #isCurrent(): boolean {
    return !this.#isFull && this.#subscriber.isCurrent();
  }

  #create(request: WatchCreateRequest, caller: Caller): void {
    const cancelReason = this.#objection(request, caller);
    if (cancelReason !== undefined) {
      this.#answer({ watchId: NO_WATCH_ID, created: true, canceled: true, cancelReason });
      return;
    }
    const watchId = request.watchId === 0n ? this.#unusedId() : request.watchId;
    this.#answer({ watchId, created: true });
    const watch: Watch = {
      watchId,
      isFragmented: request.fragment,
      isNotified: request.progressNotify,
      isIdle: true,
      watcher: undefined,
    };
    this.#watches.set(watchId, watch);
    watch.watcher = this.#subscriber.watch(watchOptionsOf(request), {
      events: (batch) => this.#send(watch, batch),
      compacted: (compactRevision) => {
        // As from etcd: no revision in the header, and no reason.
        const header = { ...this.#options.header(), revision: 0 };
        this.#answer({ header, watchId, canceled: true, compactRevision });
      },
      failed: (error) => this.#fail(error),
    });
    if (watch.isNotified) this.#startTimer();
  }

  /** Why there can be no such watch. */
  #objection(request: WatchCreateRequest, caller: Caller): string | undefined {
    const { key, rangeEnd, startRevision, watchId } = request;
    if (startRevision < 0n) return COMPACTED;
    const denial = denialOf(request, caller);
    if (denial !== undefined) return denial;
    const hasEnd = rangeEnd.length > 0 && latin1(rangeEnd) !== FROM_KEY;
    if (hasEnd && nameOf(key) >= latin1(rangeEnd)) return RANGE_IS_EMPTY;
    return watchId !== 0n && this.#watches.has(watchId) ? DUPLICATE_ID : undefined;
  }

  #unusedId(): bigint {
    while (this.#watches.has(this.#nextId)) this.#nextId++;
    return this.#nextId++;
  }

  #cancel(watchId: bigint): void {
    const watch = this.#watches.get(watchId);
    if (!watch) return;
    watch.watcher?.close();
    this.#watches.delete(watchId);
    this.#answer({ watchId, canceled: true });
  }

  #send(watch: Watch, batch: EventBatch): boolean {
    const { frames, stats } = this.#options;
    watch.isIdle = false;
    stats.events += batch.events.length;
    if (!watch.isFragmented) return this.#sent(this.#stream.send(frames.whole(watch.watchId, batch)));
    let isOpen = true;
    for (const frame of frames.fragments(watch.watchId, batch)) isOpen = this.#stream.send(frame);
    return this.#sent(isOpen);
  }

  #answer(response: Input<WatchResponse>): void {
    const bytes = watchResponse.encode({ header: this.#options.header(), ...response });
    this.#sent(this.#stream.send(bytes));
  }

  /** Gives whether more may be sent; sees to it that it goes on when it may not. */
  #sent(isOpen: boolean): boolean {
    if (isOpen) return true;
    this.#draining ??= this.#drain();
    const { queuedBytesMax, stalled } = this.#options;
    const share = Math.max(QUEUED_BYTES_ALL / stalled.count, QUEUED_BYTES_MIN);
    this.#isFull ||= this.#stream.queuedBytes >= Math.min(queuedBytesMax, share);
    return !this.#isFull;
  }

  async #drain(): Promise<void> {
    const { stalled } = this.#options;
    stalled.count++;
    await this.#stream.drained();
    stalled.count--;
    this.#draining = undefined;
    this.#isFull = false;
    this.#subscriber.resume();
  }

  #startTimer(): void {
    if (this.#stopTimer) return;
    const { clock, random, progressNotifyMs } = this.#options;
    const intervalMs = progressNotifyMs * (1 + JITTER * random());
    const start = (): void => {
      this.#stopTimer = clock.after(intervalMs, () => {
        this.#notifyIdle();
        start();
      });
    };
    start();
  }

  #notifyIdle(): void {
    for (const watch of this.#watches.values()) {
      if (!watch.isNotified || !watch.watcher) continue;
      const isCurrent = this.#subscriber.isWatcherCurrent(watch.watcher);
      if (watch.isIdle && isCurrent && !this.#isFull) this.#answer({ watchId: watch.watchId });
      watch.isIdle = true;
    }
  }
}

interface Watch {
  readonly watchId: bigint;
  readonly isFragmented: boolean;
  /** Whether it is told of progress. */
  readonly isNotified: boolean;
  /** Whether it was sent no events since progress was last looked at. */
  isIdle: boolean;
  watcher: Watcher | undefined;
}

const FROM_KEY = '\0';

/** A text that gRPC makes of a status, which clients match. */
const statusText = (code: string, text: string): string => `rpc error: code = ${code} desc = ${text}`;

/** What a denied watch is told, by what is wrong with its caller; in all other cases that it is denied. */
const DENIALS: Readonly<Record<string, string>> = {
  'etcdserver: invalid auth token': 'Unauthenticated',
  'etcdserver: revision of auth store is old': 'InvalidArgument',
  'etcdserver: user name is empty': 'InvalidArgument',
};

function denialOf({ key, rangeEnd }: WatchCreateRequest, caller: Caller): string | undefined {
  try {
    const range = { key: key.length === 0 ? SMALLEST_KEY : key, rangeEnd };
    caller.checkRead(range);
    return undefined;
  } catch (error) {
    const { message } = rpcErrorOf(error);
    const code = DENIALS[message];
    if (code !== undefined) return statusText(code, message);
    return statusText('PermissionDenied', 'etcdserver: permission denied');
  }
}

const SMALLEST_KEY = Uint8Array.of(0);

/** No key is the smallest one. */
function nameOf(key: Uint8Array): string {
  return key.length === 0 ? '\0' : latin1(key);
}

function watchOptionsOf(request: WatchCreateRequest): WatchOptions {
  const { key, filters, prevKv, startRevision } = request;
  const rangeEnd = latin1(request.rangeEnd);
  const end = rangeEnd === FROM_KEY ? '' : rangeEnd;
  return {
    range: { key: nameOf(key), end: rangeEnd === '' ? undefined : end },
    startRevision: Number(startRevision),
    noPut: filters.includes(WATCH_FILTER.noPut),
    noDelete: filters.includes(WATCH_FILTER.noDelete),
    previous: prevKv,
  };
}
