/**
 * What a normal log entry asks for: the key-value, lease and alarm requests, and the envelope that holds one
 * of all kinds (etcd v3.6 api/etcdserverpb/rpc.proto, raft_internal.proto); proto3. Auth requests are in
 * `auth-requests.ts`, membership ones in `membershippb.ts`, the v2 request in `v2pb.ts`.
 */
import * as auth from './auth-requests.ts';
import {
  bool,
  bytes,
  choice,
  count,
  embed,
  int64,
  type Message,
  named,
  oneOf,
  repeated,
  text,
  uint64,
} from './field.ts';
import {
  clusterMemberAttrSetRequest,
  clusterVersionSetRequest,
  downgradeInfoSetRequest,
} from './membershippb.ts';
import { message, type Value } from './message.ts';
import { v2Request } from './v2pb.ts';

/** Who asked. `authRevision` is that of the token. */
export const requestHeader = message('etcdserverpb.RequestHeader', {
  id: uint64(1),
  username: text(2),
  authRevision: count(3),
});
export type RequestHeader = Value<typeof requestHeader>;

export const SORT_ORDER = { none: 0, ascend: 1, descend: 2 } as const;
export const SORT_TARGET = { key: 0, version: 1, create: 2, mod: 3, value: 4 } as const;

export const rangeRequest = message('etcdserverpb.RangeRequest', {
  key: bytes(1),
  rangeEnd: bytes(2),
  limit: int64(3),
  revision: int64(4),
  sortOrder: choice(5, ['NONE', 'ASCEND', 'DESCEND']),
  sortTarget: choice(6, ['KEY', 'VERSION', 'CREATE', 'MOD', 'VALUE']),
  serializable: bool(7),
  keysOnly: bool(8),
  countOnly: bool(9),
  minModRevision: int64(10),
  maxModRevision: int64(11),
  minCreateRevision: int64(12),
  maxCreateRevision: int64(13),
});
export type RangeRequest = Value<typeof rangeRequest>;

export const putRequest = message('etcdserverpb.PutRequest', {
  key: bytes(1),
  value: bytes(2),
  lease: int64(3),
  prevKv: bool(4),
  ignoreValue: bool(5),
  ignoreLease: bool(6),
});
export type PutRequest = Value<typeof putRequest>;

export const deleteRangeRequest = message('etcdserverpb.DeleteRangeRequest', {
  key: bytes(1),
  rangeEnd: bytes(2),
  prevKv: bool(3),
});
export type DeleteRangeRequest = Value<typeof deleteRangeRequest>;

export const COMPARE_RESULT = { equal: 0, greater: 1, less: 2, notEqual: 3 } as const;
export const COMPARE_TARGET = { version: 0, create: 1, mod: 2, value: 3, lease: 4 } as const;

const target = 'target_union';
export const compare = message('etcdserverpb.Compare', {
  result: choice(1, ['EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL']),
  target: choice(2, ['VERSION', 'CREATE', 'MOD', 'VALUE', 'LEASE']),
  key: bytes(3),
  version: oneOf(target, int64(4)),
  createRevision: oneOf(target, int64(5)),
  modRevision: oneOf(target, int64(6)),
  value: oneOf(target, bytes(7)),
  lease: oneOf(target, int64(8)),
  rangeEnd: bytes(64),
});
export type Compare = Value<typeof compare>;

/** One operation of a transaction: one member is set. */
export interface RequestOp {
  requestRange?: RangeRequest;
  requestPut?: PutRequest;
  requestDeleteRange?: DeleteRangeRequest;
  requestTxn?: TxnRequest;
}

/** When all of `compare` hold, `success` is done, otherwise `failure`. */
export interface TxnRequest {
  compare: Compare[];
  success: RequestOp[];
  failure: RequestOp[];
}

export const requestOp: Message<RequestOp> = message('etcdserverpb.RequestOp', {
  requestRange: oneOf('request', embed(1, rangeRequest)),
  requestPut: oneOf('request', embed(2, putRequest)),
  requestDeleteRange: oneOf('request', embed(3, deleteRangeRequest)),
  requestTxn: oneOf(
    'request',
    embed(4, (): Message<TxnRequest> => txnRequest),
  ),
});

export const txnRequest: Message<TxnRequest> = message('etcdserverpb.TxnRequest', {
  compare: repeated(embed(1, compare)),
  success: repeated(embed(2, requestOp)),
  failure: repeated(embed(3, requestOp)),
});

export const compactionRequest = message('etcdserverpb.CompactionRequest', {
  revision: int64(1),
  physical: bool(2),
});
export type CompactionRequest = Value<typeof compactionRequest>;

export const leaseGrantRequest = message('etcdserverpb.LeaseGrantRequest', {
  ttl: named('TTL', int64(1)),
  id: named('ID', int64(2)),
});
export type LeaseGrantRequest = Value<typeof leaseGrantRequest>;

export const leaseRevokeRequest = message('etcdserverpb.LeaseRevokeRequest', { id: named('ID', int64(1)) });
export type LeaseRevokeRequest = Value<typeof leaseRevokeRequest>;

export const leaseCheckpoint = message('etcdserverpb.LeaseCheckpoint', {
  id: named('ID', int64(1)),
  remainingTtl: named('remaining_TTL', int64(2)),
});
export const leaseCheckpointRequest = message('etcdserverpb.LeaseCheckpointRequest', {
  checkpoints: repeated(embed(1, leaseCheckpoint)),
});
export type LeaseCheckpointRequest = Value<typeof leaseCheckpointRequest>;

export const ALARM_ACTION = { get: 0, activate: 1, deactivate: 2 } as const;
export const ALARM_TYPE = { none: 0, nospace: 1, corrupt: 2 } as const;
const ALARM_NAMES = ['NONE', 'NOSPACE', 'CORRUPT'];

export const alarmRequest = message('etcdserverpb.AlarmRequest', {
  action: choice(1, ['GET', 'ACTIVATE', 'DEACTIVATE']),
  memberId: named('memberID', uint64(2)),
  alarm: choice(3, ALARM_NAMES),
});
export type AlarmRequest = Value<typeof alarmRequest>;

/** The key of a row in bucket `alarm`. */
export const alarmMember = message('etcdserverpb.AlarmMember', {
  memberId: named('memberID', uint64(1)),
  alarm: choice(2, ALARM_NAMES),
});
export type AlarmMember = Value<typeof alarmMember>;

/** Only in tests of etcd itself; no effect on state. */
export const downgradeVersionTestRequest = message('etcdserverpb.DowngradeVersionTestRequest', {
  ver: text(1),
});

/** What one member takes of its clients must be read wherever it is in the log, so there is room around it; etcd has no limit. */
const LOGGED_DEPTH_MAX = 400;

/** The data of a normal entry since 3.0. Besides `header`, one member is set. */
export const internalRaftRequest = message(
  'etcdserverpb.InternalRaftRequest',
  {
    header: embed(100, requestHeader),
    id: uint64(1),
    v2: embed(2, v2Request),
    range: embed(3, rangeRequest),
    put: embed(4, putRequest),
    deleteRange: embed(5, deleteRangeRequest),
    txn: embed(6, txnRequest),
    compaction: embed(7, compactionRequest),
    leaseGrant: embed(8, leaseGrantRequest),
    leaseRevoke: embed(9, leaseRevokeRequest),
    alarm: embed(10, alarmRequest),
    leaseCheckpoint: embed(11, leaseCheckpointRequest),
    authEnable: embed(1000, auth.authEnableRequest),
    authDisable: embed(1011, auth.authDisableRequest),
    authenticate: embed(1012, auth.internalAuthenticateRequest),
    authStatus: embed(1013, auth.authStatusRequest),
    authUserAdd: embed(1100, auth.authUserAddRequest),
    authUserDelete: embed(1101, auth.authUserDeleteRequest),
    authUserGet: embed(1102, auth.authUserGetRequest),
    authUserChangePassword: embed(1103, auth.authUserChangePasswordRequest),
    authUserGrantRole: embed(1104, auth.authUserGrantRoleRequest),
    authUserRevokeRole: embed(1105, auth.authUserRevokeRoleRequest),
    authUserList: embed(1106, auth.authUserListRequest),
    authRoleList: embed(1107, auth.authRoleListRequest),
    authRoleAdd: embed(1200, auth.authRoleAddRequest),
    authRoleDelete: embed(1201, auth.authRoleDeleteRequest),
    authRoleGet: embed(1202, auth.authRoleGetRequest),
    authRoleGrantPermission: embed(1203, auth.authRoleGrantPermissionRequest),
    authRoleRevokePermission: embed(1204, auth.authRoleRevokePermissionRequest),
    clusterVersionSet: embed(1300, clusterVersionSetRequest),
    clusterMemberAttrSet: embed(1301, clusterMemberAttrSetRequest),
    downgradeInfoSet: embed(1302, downgradeInfoSetRequest),
    downgradeVersionTest: embed(9900, downgradeVersionTestRequest),
  },
  { depthMax: LOGGED_DEPTH_MAX },
);
export type InternalRaftRequest = Value<typeof internalRaftRequest>;
