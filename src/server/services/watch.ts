/**
 * The Watch service: watchers of one client multiplexed on a stream. Behaviour: etcd v3.6
 * server/etcdserver/api/v3rpc/watch.go.
 */
import type { Access } from '../auth/access.ts';
import type { ResponseHeader } from '../../format/proto/kvpb.ts';
import type { Methods } from '../../rpc/seam.ts';
import type { BackendView } from '../../store/backend/backend.ts';
import type { WatchedKeys } from '../../store/mvcc/events.ts';
import type { KeyValues } from '../../store/mvcc/key-values.ts';
import { WatchHub } from '../../store/mvcc/watch.ts';
import { WatchStats } from '../monitor/stats.ts';
import { WatchFrames } from './watch-frames.ts';
import { WatchSession } from './watch-session.ts';

/** What of the server's core watching needs. */
export interface WatchCore {
  readonly keys: WatchedKeys & Pick<KeyValues, 'onRevision'>;
  readonly backend: BackendView;
  header(): ResponseHeader;
}

export interface WatchServiceOptions {
  access: Access;
  /** Told of changes by somebody else; without it one is made, which `keys` tell. */
  hub?: WatchHub;
  /** How long a watcher that asked for it hears nothing. */
  progressNotifyMs?: number;
  /** Bytes that a client has not taken, from which on it is given no more events. */
  queuedBytesMax?: number;
  /** Below this are the responses to watchers that want fragments: etcd's limit of a request and 512 KiB. */
  fragmentBytes?: number;
  clock?: WatchClock;
  stats?: WatchStats;
  /** From 0 to 1, so that watchers made together are not all notified together. */
  random?: () => number;
}

export interface WatchClock {
  /** Runs once after a while, unless the function that it gives is called. */
  after(ms: number, run: () => void): () => void;
}

const PROGRESS_NOTIFY_MS = 600_000;
const PROGRESS_NOTIFY_MS_MIN = 100;
const QUEUED_BYTES_MAX = 1 << 20;
const FRAGMENT_BYTES = 2 << 20;

const systemClock: WatchClock = {
  after(ms, run) {
    const timer = setTimeout(run, ms).unref();
    return () => clearTimeout(timer);
  },
};

/** Serves watches of the keys in `core`. */
export function watchService(core: WatchCore, options: WatchServiceOptions): Methods {
  const hub = options.hub ?? attachedHub(core);
  const shared = {
    access: options.access,
    header: () => core.header(),
    hub,
    frames: new WatchFrames(() => core.header(), options.fragmentBytes ?? FRAGMENT_BYTES),
    queuedBytesMax: options.queuedBytesMax ?? QUEUED_BYTES_MAX,
    stalled: { count: 0 },
    progressNotifyMs: Math.max(options.progressNotifyMs ?? PROGRESS_NOTIFY_MS, PROGRESS_NOTIFY_MS_MIN),
    clock: options.clock ?? systemClock,
    stats: options.stats ?? new WatchStats(),
    random: options.random ?? Math.random,
  };
  return { stream: { '/etcdserverpb.Watch/Watch': (stream) => new WatchSession(stream, shared).run() } };
}

function attachedHub({ keys, backend }: WatchCore): WatchHub {
  const hub = new WatchHub(keys, backend);
  const before = keys.onRevision;
  keys.onRevision = (revision, changes) => {
    before?.(revision, changes);
    hub.notify(revision, changes);
  };
  return hub;
}
