/** Paths of all methods that are served, by how they are called, and how long that may take. */

const AUTH_METHODS = [
  'Authenticate',
  'AuthEnable',
  'AuthDisable',
  'AuthStatus',
  ...['Add', 'Delete', 'Get', 'List', 'ChangePassword', 'GrantRole', 'RevokeRole'].map(
    (name) => `User${name}`,
  ),
  ...['Add', 'Delete', 'Get', 'List', 'GrantPermission', 'RevokePermission'].map((name) => `Role${name}`),
];

export const UNARY_PATHS: readonly string[] = [
  ...['Range', 'Put', 'DeleteRange', 'Txn', 'Compact'].map((method) => `/etcdserverpb.KV/${method}`),
  ...['LeaseGrant', 'LeaseRevoke', 'LeaseTimeToLive', 'LeaseLeases'].map(
    (method) => `/etcdserverpb.Lease/${method}`,
  ),
  ...['MemberList', 'MemberAdd', 'MemberRemove', 'MemberUpdate', 'MemberPromote'].map(
    (method) => `/etcdserverpb.Cluster/${method}`,
  ),
  ...['Alarm', 'Status', 'Defragment', 'Hash', 'HashKV', 'MoveLeader', 'Downgrade'].map(
    (method) => `/etcdserverpb.Maintenance/${method}`,
  ),
  ...AUTH_METHODS.map((method) => `/etcdserverpb.Auth/${method}`),
  ...['Lock', 'Unlock'].map((method) => `/v3lockpb.Lock/${method}`),
  ...['Campaign', 'Proclaim', 'Leader', 'Resign'].map((method) => `/v3electionpb.Election/${method}`),
  '/grpc.health.v1.Health/Check',
];

export const STREAM_PATHS: readonly string[] = [
  '/etcdserverpb.Watch/Watch',
  '/etcdserverpb.Lease/LeaseKeepAlive',
  '/etcdserverpb.Maintenance/Snapshot',
  '/v3electionpb.Election/Observe',
  '/grpc.health.v1.Health/Watch',
];

/** Of both, those that wait for something to happen, maybe for ever. */
export const WAITING_PATHS: readonly string[] = [
  '/etcdserverpb.Watch/Watch',
  '/etcdserverpb.Lease/LeaseKeepAlive',
  '/v3lockpb.Lock/Lock',
  '/v3electionpb.Election/Campaign',
  '/v3electionpb.Election/Observe',
  '/grpc.health.v1.Health/Watch',
];
