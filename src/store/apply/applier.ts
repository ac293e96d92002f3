/**
 * The state machine: what each log entry does to a backend. It decides as every member does, from the entry and the
 * state alone; it knows no clock, and no disk but the backend. etcd v3.6 server/etcdserver/apply.
 */
import { CorruptError, type Where } from '../../errors.ts';
import { ENTRY_TYPE, confChange } from '../../format/proto/raftpb.ts';
import { type RequestName, requestName, requestOf } from '../../format/proto/request.ts';
import {
  ALARM_ACTION,
  ALARM_TYPE,
  type AlarmMember,
  type AlarmRequest,
  alarmMember,
  type InternalRaftRequest,
  type RequestOp,
  type TxnRequest,
} from '../../format/proto/rpcpb.ts';
import type { Backend } from '../backend/backend.ts';
import type { KeyValues } from '../mvcc/key-values.ts';
import { compareVersions, knownVersion } from '../schema/buckets.ts';
import { encodeIndex, indexOf } from '../schema/rows.ts';
import { Cluster } from './cluster.ts';
import { Leases } from './leases.ts';
import { checkPermission } from './permissions.ts';
import { isRejection, rejected } from './rejected.ts';
import { applyDelete, applyPut, applyTxn, type KeySpace } from './txn.ts';
import { Users } from './users.ts';

/** An entry that is committed. */
export interface CommittedEntry {
  index: number;
  term: number;
  /** See `ENTRY_TYPE`. */
  type: number;
  /** A view will do: nothing keeps it. */
  data: Uint8Array;
}

/** What became of an entry. */
export interface Outcome {
  /** The request's name; `no-op` of a new leader, `v2`, `confChange`. */
  what: RequestName | 'no-op' | 'v2' | 'confChange';
  /** Why it changed nothing. */
  rejection?: string;
}

type Effect = (request: InternalRaftRequest) => void;

const CONSISTENT_INDEX = Buffer.from('consistent_index');
const TERM = Buffer.from('term');
const STORED_CHECKPOINTS = '3.6';

export class Applier {
  readonly keys: KeyValues;
  readonly cluster: Cluster;
  readonly #backend: Backend;
  readonly leases: Leases;
  readonly users: Users;
  /** Whether `meta` has the field `term`: since 3.5. */
  readonly #hasTerm: boolean;
  readonly #effects: Partial<Record<RequestName, Effect>>;

  /** `keys` are those of the backend. Reads what else it has to know of the state. Throws `CorruptError`. */
  constructor(backend: Backend, keys: KeyValues, options: { hasTerm: boolean }) {
    this.#backend = backend;
    this.#hasTerm = options.hasTerm;
    this.keys = keys;
    this.cluster = new Cluster(backend);
    this.leases = new Leases(backend, this.keys);
    this.users = new Users(backend);
    this.#effects = this.#makeEffects();
  }

  /** Index of the last entry that was applied. */
  get consistentIndex(): number {
    const value = this.#backend.get('meta', CONSISTENT_INDEX);
    return value ? indexOf(value, 'consistent_index') : 0;
  }

  /** Entries come in order, each once. Throws `CorruptError` for one that no server could read. */
  apply(entry: CommittedEntry, where: Where = {}): Outcome {
    const outcome = this.#outcome(entry, where);
    this.#backend.put('meta', CONSISTENT_INDEX, encodeIndex(entry.index));
    if (this.#hasTerm) this.#backend.put('meta', TERM, encodeIndex(entry.term));
    return outcome;
  }

  #outcome({ type, data }: CommittedEntry, where: Where): Outcome {
    if (type === ENTRY_TYPE.confChange) {
      const change = confChange.decode(data, where);
      return this.#attempt('confChange', () => this.cluster.applyChange(change));
    }
    if (type !== ENTRY_TYPE.normal)
      throw new CorruptError('apply.confchange', `entries of type ${type} are never written`, { where });
    const found = requestOf(data, where);
    if (found.kind === 'empty') return { what: 'no-op' };
    if (found.kind === 'v2') return this.#attempt('v2', () => this.cluster.applyV2(found.request));
    const name = requestName(found.request);
    if (!name)
      throw new CorruptError('proto.malformed', 'the entry holds no request that is known', { where });
    return this.#attempt(name, () => this.#run(name, found.request));
  }

  #attempt(what: Outcome['what'], run: () => void): Outcome {
    try {
      run();
      return { what };
    } catch (error) {
      if (!isRejection(error)) throw error;
      return { what, rejection: error.message };
    }
  }

  #run(name: RequestName, request: InternalRaftRequest): void {
    const effect = this.#effects[name];
    if (!effect) return;
    this.#checkAlarms(name, request);
    checkPermission(name, request, { users: this.users, leases: this.leases });
    effect(request);
  }

  /** Requests without a row have no effect on the state: they read, or they make a token. */
  #makeEffects(): Partial<Record<RequestName, Effect>> {
    const space: KeySpace = { keys: this.keys, leases: this.leases };
    const users = this.users;
    return {
      put: ({ put }) => applyPut(space, put!),
      deleteRange: ({ deleteRange }) => applyDelete(space, deleteRange!),
      txn: ({ txn }) => applyTxn(space, txn!),
      compaction: ({ compaction }) => this.keys.compact(Number(compaction!.revision)),
      leaseGrant: ({ leaseGrant }) => this.leases.grant(leaseGrant!),
      leaseRevoke: ({ leaseRevoke }) => this.leases.revoke(leaseRevoke!.id),
      leaseCheckpoint: ({ leaseCheckpoint }) =>
        this.leases.checkpoint(leaseCheckpoint!, { isStored: this.#storesCheckpoints }),
      alarm: ({ alarm }) => this.#setAlarm(alarm!),
      authEnable: () => users.enable(),
      authDisable: () => users.disable(),
      authUserAdd: ({ authUserAdd }) => users.addUser(authUserAdd!),
      authUserDelete: ({ authUserDelete }) => users.deleteUser(authUserDelete!.name),
      authUserChangePassword: ({ authUserChangePassword }) => users.changePassword(authUserChangePassword!),
      authUserGrantRole: ({ authUserGrantRole: grant }) => users.grantRole(grant!.user, grant!.role),
      authUserRevokeRole: ({ authUserRevokeRole: revoke }) => users.revokeRole(revoke!.name, revoke!.role),
      authRoleAdd: ({ authRoleAdd }) => users.addRole(authRoleAdd!.name),
      authRoleDelete: ({ authRoleDelete }) => users.deleteRole(authRoleDelete!.role),
      authRoleGrantPermission: ({ authRoleGrantPermission }) =>
        users.grantPermission(authRoleGrantPermission!),
      authRoleRevokePermission: ({ authRoleRevokePermission }) =>
        users.revokePermission(authRoleRevokePermission!),
      clusterVersionSet: ({ clusterVersionSet }) => this.cluster.setVersion(clusterVersionSet!.ver),
      clusterMemberAttrSet: ({ clusterMemberAttrSet }) => this.cluster.setAttributes(clusterMemberAttrSet!),
      downgradeInfoSet: ({ downgradeInfoSet }) => this.cluster.setDowngrade(downgradeInfoSet!),
    };
  }

  /** Those that are raised, in the order of their rows. */
  alarms(): AlarmMember[] {
    return [...this.#backend.scan('alarm')].map(({ key }) => alarmMember.decode(key));
  }

  get #storesCheckpoints(): boolean {
    const version = knownVersion(this.cluster.version ?? '');
    return version !== undefined && compareVersions(version, STORED_CHECKPOINTS) >= 0;
  }

  #setAlarm({ action, memberId, alarm }: AlarmRequest): void {
    const key = alarmMember.encode({ memberId, alarm });
    if (action === ALARM_ACTION.activate && alarm !== ALARM_TYPE.none)
      this.#backend.put('alarm', key, new Uint8Array());
    else if (action === ALARM_ACTION.deactivate) this.#backend.delete('alarm', key);
  }

  /** A full disk refuses what needs room, data that is in doubt refuses nearly everything. */
  #checkAlarms(name: RequestName, request: InternalRaftRequest): void {
    const isRefused = (alarm: number): boolean =>
      alarm === ALARM_TYPE.corrupt ? CORRUPT_REFUSES.includes(name) : needsRoom(name, request);
    for (const { alarm } of this.alarms()) {
      if (!isRefused(alarm)) continue;
      throw rejected(
        alarm === ALARM_TYPE.corrupt
          ? 'etcdserver: corrupt cluster'
          : 'etcdserver: mvcc: database space exceeded',
      );
    }
  }
}

const CORRUPT_REFUSES: readonly RequestName[] = [
  'put',
  'deleteRange',
  'txn',
  'compaction',
  'leaseGrant',
  'leaseRevoke',
];

function needsRoom(name: RequestName, { txn }: InternalRaftRequest): boolean {
  return name === 'put' || name === 'leaseGrant' || (txn !== undefined && hasPut(txn));
}

function hasPut({ success, failure }: TxnRequest): boolean {
  const puts = (op: RequestOp): boolean =>
    op.requestPut !== undefined || (op.requestTxn !== undefined && hasPut(op.requestTxn));
  return [...success, ...failure].some(puts);
}
