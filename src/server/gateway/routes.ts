/** The gateway's paths, and what is called there (etcd v3.6 api/etcdserverpb/gw, v3lockpb/gw, v3electionpb/gw). */
import * as auth from '../../format/proto/auth-requests.ts';
import * as answer from '../../format/proto/auth-service.ts';
import * as cluster from '../../format/proto/cluster-service.ts';
import * as contest from '../../format/proto/concurrency-services.ts';
import type { Message } from '../../format/proto/field.ts';
import * as kv from '../../format/proto/kvpb.ts';
import * as lease from '../../format/proto/lease-service.ts';
import * as maintenance from '../../format/proto/maintenance-service.ts';
import * as request from '../../format/proto/rpcpb.ts';
import { watchRequest, watchResponse } from '../../format/proto/watchpb.ts';

/** `unary`: one message each way; `answers`: one request, many answers; `both`: many of both. */
export type Shape = 'unary' | 'answers' | 'both';

export interface Route {
  /** Of the method: `/etcdserverpb.KV/Put`. */
  method: string;
  shape: Shape;
  request: Message<unknown>;
  response: Message<unknown>;
}

type Row = [
  path: string,
  method: string,
  request: Message<unknown>,
  response: Message<unknown>,
  shape?: Shape,
];

function routesOf(service: string, rows: readonly Row[]): Array<[string, Route]> {
  return rows.map(([path, method, asked, answered, shape = 'unary']) => [
    `/v3/${path}`,
    { method: `/${service}/${method}`, shape, request: asked, response: answered },
  ]);
}

export const ROUTES: ReadonlyMap<string, Route> = new Map([
  ...routesOf('etcdserverpb.KV', [
    ['kv/range', 'Range', request.rangeRequest, kv.rangeResponse],
    ['kv/put', 'Put', request.putRequest, kv.putResponse],
    ['kv/deleterange', 'DeleteRange', request.deleteRangeRequest, kv.deleteRangeResponse],
    ['kv/txn', 'Txn', request.txnRequest, kv.txnResponse],
    ['kv/compaction', 'Compact', request.compactionRequest, kv.compactionResponse],
  ]),
  ...routesOf('etcdserverpb.Watch', [['watch', 'Watch', watchRequest, watchResponse, 'both']]),
  ...routesOf('etcdserverpb.Lease', [
    ['lease/grant', 'LeaseGrant', request.leaseGrantRequest, lease.leaseGrantResponse],
    ...['lease', 'kv/lease'].flatMap((at): Row[] => [
      [`${at}/revoke`, 'LeaseRevoke', request.leaseRevokeRequest, lease.leaseRevokeResponse],
      [`${at}/timetolive`, 'LeaseTimeToLive', lease.leaseTimeToLiveRequest, lease.leaseTimeToLiveResponse],
      [`${at}/leases`, 'LeaseLeases', lease.leaseLeasesRequest, lease.leaseLeasesResponse],
    ]),
    ['lease/keepalive', 'LeaseKeepAlive', lease.leaseKeepAliveRequest, lease.leaseKeepAliveResponse, 'both'],
  ]),
  ...routesOf('etcdserverpb.Cluster', [
    ['cluster/member/add', 'MemberAdd', cluster.memberAddRequest, cluster.memberAddResponse],
    ['cluster/member/remove', 'MemberRemove', cluster.memberRemoveRequest, cluster.memberRemoveResponse],
    ['cluster/member/update', 'MemberUpdate', cluster.memberUpdateRequest, cluster.memberUpdateResponse],
    ['cluster/member/list', 'MemberList', cluster.memberListRequest, cluster.memberListResponse],
    ['cluster/member/promote', 'MemberPromote', cluster.memberPromoteRequest, cluster.memberPromoteResponse],
  ]),
  ...routesOf('etcdserverpb.Maintenance', [
    ['maintenance/alarm', 'Alarm', request.alarmRequest, maintenance.alarmResponse],
    ['maintenance/status', 'Status', maintenance.statusRequest, maintenance.statusResponse],
    ['maintenance/defragment', 'Defragment', maintenance.defragmentRequest, maintenance.defragmentResponse],
    ['maintenance/hash', 'Hash', maintenance.hashRequest, maintenance.hashResponse],
    ['maintenance/hashkv', 'HashKV', kv.hashKvRequest, maintenance.hashKvResponse],
    [
      'maintenance/snapshot',
      'Snapshot',
      maintenance.snapshotRequest,
      maintenance.snapshotResponse,
      'answers',
    ],
    [
      'maintenance/transfer-leadership',
      'MoveLeader',
      maintenance.moveLeaderRequest,
      maintenance.moveLeaderResponse,
    ],
    ['maintenance/downgrade', 'Downgrade', maintenance.downgradeRequest, maintenance.downgradeResponse],
  ]),
  ...routesOf('etcdserverpb.Auth', [
    ['auth/enable', 'AuthEnable', auth.authEnableRequest, answer.authChangeResponse],
    ['auth/disable', 'AuthDisable', auth.authDisableRequest, answer.authChangeResponse],
    ['auth/status', 'AuthStatus', auth.authStatusRequest, answer.authStatusResponse],
    ['auth/authenticate', 'Authenticate', answer.authenticateRequest, answer.authenticateResponse],
    ['auth/user/add', 'UserAdd', auth.authUserAddRequest, answer.authChangeResponse],
    ['auth/user/get', 'UserGet', auth.authUserGetRequest, answer.authUserGetResponse],
    ['auth/user/list', 'UserList', auth.authUserListRequest, answer.authUserListResponse],
    ['auth/user/delete', 'UserDelete', auth.authUserDeleteRequest, answer.authChangeResponse],
    [
      'auth/user/changepw',
      'UserChangePassword',
      auth.authUserChangePasswordRequest,
      answer.authChangeResponse,
    ],
    ['auth/user/grant', 'UserGrantRole', auth.authUserGrantRoleRequest, answer.authChangeResponse],
    ['auth/user/revoke', 'UserRevokeRole', auth.authUserRevokeRoleRequest, answer.authChangeResponse],
    ['auth/role/add', 'RoleAdd', auth.authRoleAddRequest, answer.authChangeResponse],
    ['auth/role/get', 'RoleGet', auth.authRoleGetRequest, answer.authRoleGetResponse],
    ['auth/role/list', 'RoleList', auth.authRoleListRequest, answer.authRoleListResponse],
    ['auth/role/delete', 'RoleDelete', auth.authRoleDeleteRequest, answer.authChangeResponse],
    [
      'auth/role/grant',
      'RoleGrantPermission',
      auth.authRoleGrantPermissionRequest,
      answer.authChangeResponse,
    ],
    [
      'auth/role/revoke',
      'RoleRevokePermission',
      auth.authRoleRevokePermissionRequest,
      answer.authChangeResponse,
    ],
  ]),
  ...routesOf('v3lockpb.Lock', [
    ['lock/lock', 'Lock', contest.lockRequest, contest.lockResponse],
    ['lock/unlock', 'Unlock', contest.unlockRequest, contest.unlockResponse],
  ]),
  ...routesOf('v3electionpb.Election', [
    ['election/campaign', 'Campaign', contest.campaignRequest, contest.campaignResponse],
    ['election/proclaim', 'Proclaim', contest.proclaimRequest, contest.proclaimResponse],
    ['election/leader', 'Leader', contest.leaderRequest, contest.leaderResponse],
    ['election/observe', 'Observe', contest.leaderRequest, contest.leaderResponse, 'answers'],
    ['election/resign', 'Resign', contest.resignRequest, contest.resignResponse],
  ]),
]);
