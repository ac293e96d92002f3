/**
 * The state machine: what each log entry does to a backend. It decides as every member does, from the entry and the
 * state alone; it knows no clock, and no disk but the backend. etcd v3.6 server/etcdserver/apply.
 */
import { CorruptError, type ToolError, type Where } from '../../errors.ts';
import { type ConfChange, confChange, ENTRY_TYPE } from '../../format/proto/raftpb.ts';
import { type RequestName, requestName, requestOf } from '../../format/proto/request.ts';
import type { AlarmMember, InternalRaftRequest } from '../../format/proto/rpcpb.ts';
import type { Backend } from '../backend/backend.ts';
import type { Compaction } from '../mvcc/compaction.ts';
import type { KeyValues } from '../mvcc/key-values.ts';
import { encodeIndex, indexOf } from '../schema/rows.ts';
import { Alarms, noSpace } from './alarms.ts';
import { Cluster } from './cluster.ts';
import { type Effects, effectsOn } from './effects.ts';
import { Leases } from './leases.ts';
import { checkPermission } from './permissions.ts';
import { costOf } from './quota.ts';
import { isRejection } from './rejected.ts';
import { Users } from './users.ts';

/** Where an entry stands in the log. */
export interface EntryPoint {
  index: number;
  term: number;
}

/** An entry that is committed. */
export interface CommittedEntry extends EntryPoint {
  /** See `ENTRY_TYPE`. */
  type: number;
  /** A view will do: nothing keeps it. */
  data: Uint8Array;
}

/** What became of an entry. */
export interface Outcome {
  /** The request's name; `no-op` of a new leader, `v2`, `confChange`. */
  what: RequestName | 'no-op' | 'v2' | 'confChange';
  /** Why it changed nothing; or, of one that was done, that there was no room left for it. */
  rejection?: ToolError;
  /** The message that answers the request, without its header where one says nothing but what the member is. */
  response?: unknown;
  /** What a compaction still has to do, for the caller to see to. */
  compaction?: Compaction;
}

export interface ApplierOptions {
  /** Whether `meta` has the field `term`: since 3.5. */
  hasTerm: boolean;
  /** Whether so many bytes more are within the quota. Where they are not, a request is done but answered as refused. */
  hasRoom?: (cost: number) => boolean;
  /** In seconds; what leases have at least. */
  leaseTtlMin?: number;
}

const CONSISTENT_INDEX = Buffer.from('consistent_index');
const TERM = Buffer.from('term');

export class Applier {
  readonly keys: KeyValues;
  readonly cluster: Cluster;
  readonly leases: Leases;
  readonly users: Users;
  readonly #alarms: Alarms;
  readonly #backend: Backend;
  readonly #options: ApplierOptions;
  readonly #effects: Effects;
  /** As stored; undefined until the first entry. */
  #term: number | undefined;

  /** `keys` are those of the backend. Reads what else it has to know of the state. Throws `CorruptError`. */
  constructor(backend: Backend, keys: KeyValues, options: ApplierOptions) {
    this.#backend = backend;
    this.#options = options;
    this.keys = keys;
    this.cluster = new Cluster(backend);
    this.leases = new Leases(backend, keys, options);
    this.users = new Users(backend);
    this.#alarms = new Alarms(backend);
    this.#effects = effectsOn({
      keys,
      leases: this.leases,
      users: this.users,
      cluster: this.cluster,
      alarms: this.#alarms,
    });
  }

  /** Those that are active. */
  alarms(): readonly AlarmMember[] {
    return this.#alarms.list();
  }

  /** Index of the last entry that was applied. */
  get consistentIndex(): number {
    const value = this.#backend.get('meta', CONSISTENT_INDEX);
    return value ? indexOf(value, 'consistent_index') : 0;
  }

  /** Entries come in order, each once. Throws `CorruptError` for one that no server could read. */
  apply(entry: CommittedEntry, where: Where = {}): Outcome {
    const outcome = this.#outcome(entry, where);
    this.#advance(entry);
    return outcome;
  }

  #advance({ index, term }: EntryPoint): void {
    this.#backend.put('meta', CONSISTENT_INDEX, encodeIndex(index));
    if (!this.#options.hasTerm || term === this.#term) return;
    this.#backend.put('meta', TERM, encodeIndex(term));
    this.#term = term;
  }

  #outcome({ type, data }: CommittedEntry, where: Where): Outcome {
    if (type === ENTRY_TYPE.confChange) return this.#changed(confChange.decode(data, where));
    if (type !== ENTRY_TYPE.normal)
      throw new CorruptError('apply.confchange', `entries of type ${type} are never written`, { where });
    const found = requestOf(data, where);
    if (found.kind === 'empty') return { what: 'no-op' };
    if (found.kind === 'v2') return attempt('v2', () => this.cluster.applyV2(found.request));
    const name = nameOf(found.request, where);
    return this.#requested(name, found.request);
  }

  #changed(change: ConfChange): Outcome {
    return attempt('confChange', () => this.cluster.applyChange(change));
  }

  #requested(name: RequestName, request: InternalRaftRequest): Outcome {
    return attempt(name, () => this.#run(name, request));
  }

  /** Requests without a row have no effect on the state, and no answer of it. */
  #run(name: RequestName, request: InternalRaftRequest): Omit<Outcome, 'what'> | void {
    const effect = this.#effects[name];
    if (!effect) return;
    this.#alarms.check(name, request);
    checkPermission(name, request, this);
    const hasRoom = this.#hasRoomFor(request);
    const done = effect(request);
    return hasRoom ? done : { rejection: noSpace() };
  }

  #hasRoomFor(request: InternalRaftRequest): boolean {
    const { hasRoom } = this.#options;
    const cost = hasRoom ? costOf(request) : 0;
    return cost === 0 || hasRoom!(cost);
  }
}

function nameOf(request: InternalRaftRequest, where: Where): RequestName {
  const name = requestName(request);
  if (name) return name;
  throw new CorruptError('proto.malformed', 'the entry holds no request that is known', { where });
}

function attempt(what: Outcome['what'], run: () => Omit<Outcome, 'what'> | void): Outcome {
  try {
    return { what, ...run() };
  } catch (error) {
    if (!isRejection(error)) throw error;
    return { what, rejection: error };
  }
}
