/** What each kind of request does, and what it answers. etcd v3.6 server/etcdserver/apply/apply.go. */
import type { RequestName } from '../../format/proto/request.ts';
import type { InternalRaftRequest } from '../../format/proto/rpcpb.ts';
import type { Compaction } from '../mvcc/compaction.ts';
import type { KeyValues } from '../mvcc/key-values.ts';
import { compareVersions, knownVersion } from '../schema/buckets.ts';
import type { Alarms } from './alarms.ts';
import type { Cluster } from './cluster.ts';
import type { Leases } from './leases.ts';
import { answerRange } from './range.ts';
import { applyDelete, applyPut, applyTxn } from './txn.ts';
import type { Users } from './users.ts';

interface Done {
  response?: unknown;
  compaction?: Compaction;
}
type Effect = (request: InternalRaftRequest) => Done | void;
/** By the request's name; one without a row changes nothing, and what it answers is not of the state. */
export type Effects = Partial<Record<RequestName, Effect>>;

/** The state that requests change. */
export interface State {
  keys: KeyValues;
  leases: Leases;
  users: Users;
  cluster: Cluster;
  alarms: Alarms;
}

const STORED_CHECKPOINTS = '3.6';

export function effectsOn(state: State): Effects {
  return { ...onKeys(state), ...onLeases(state), ...onUsers(state), ...onCluster(state) };
}

function onKeys(state: State): Effects {
  return {
    range: ({ range }) => ({ response: answerRange(state.keys, range!) }),
    put: ({ put }) => ({ response: applyPut(state, put!) }),
    deleteRange: ({ deleteRange }) => ({ response: applyDelete(state, deleteRange!) }),
    txn: ({ txn }) => ({ response: applyTxn(state, txn!) }),
    compaction: ({ compaction }) => ({ compaction: state.keys.compact(Number(compaction!.revision)) }),
  };
}

function onLeases({ leases, cluster }: State): Effects {
  return {
    leaseGrant: ({ leaseGrant }) => ({ response: leases.grant(leaseGrant!) }),
    leaseRevoke: ({ leaseRevoke }) => leases.revoke(leaseRevoke!.id),
    leaseCheckpoint: ({ leaseCheckpoint }) =>
      leases.checkpoint(leaseCheckpoint!, { isStored: storesCheckpoints(cluster) }),
  };
}

/** Since cluster version 3.6 what is left of a lease outlives a restart. */
function storesCheckpoints(cluster: Cluster): boolean {
  const version = knownVersion(cluster.version ?? '');
  return version !== undefined && compareVersions(version, STORED_CHECKPOINTS) >= 0;
}

function onUsers({ users }: State): Effects {
  return {
    authEnable: () => users.enable(),
    authDisable: () => users.disable(),
    authStatus: () => ({ response: { enabled: users.isEnabled, authRevision: users.revision } }),
    authenticate: ({ authenticate }) => users.checkLogin(authenticate!.name),
    authUserAdd: ({ authUserAdd }) => users.addUser(authUserAdd!),
    authUserDelete: ({ authUserDelete }) => users.deleteUser(authUserDelete!.name),
    authUserGet: ({ authUserGet }) => ({ response: { roles: users.rolesOf(authUserGet!.name) } }),
    authUserList: () => ({ response: { users: users.names() } }),
    authUserChangePassword: ({ authUserChangePassword }) => users.changePassword(authUserChangePassword!),
    authUserGrantRole: ({ authUserGrantRole: grant }) => users.grantRole(grant!.user, grant!.role),
    authUserRevokeRole: ({ authUserRevokeRole: revoke }) => users.revokeRole(revoke!.name, revoke!.role),
    authRoleAdd: ({ authRoleAdd }) => users.addRole(authRoleAdd!.name),
    authRoleDelete: ({ authRoleDelete }) => users.deleteRole(authRoleDelete!.role),
    authRoleGet: ({ authRoleGet }) => ({ response: { perm: users.permissionsOf(authRoleGet!.role) } }),
    authRoleList: () => ({ response: { roles: users.roleNames() } }),
    authRoleGrantPermission: ({ authRoleGrantPermission }) => users.grantPermission(authRoleGrantPermission!),
    authRoleRevokePermission: ({ authRoleRevokePermission }) =>
      users.revokePermission(authRoleRevokePermission!),
  };
}

function onCluster({ cluster, alarms }: State): Effects {
  return {
    alarm: ({ alarm }) => ({ response: { alarms: alarms.apply(alarm!) } }),
    clusterVersionSet: ({ clusterVersionSet }) => cluster.setVersion(clusterVersionSet!.ver),
    clusterMemberAttrSet: ({ clusterMemberAttrSet }) => cluster.setAttributes(clusterMemberAttrSet!),
    downgradeInfoSet: ({ downgradeInfoSet }) => cluster.setDowngrade(downgradeInfoSet!),
  };
}
