/** Paths of all methods that are served, by how they are called: what answers before the services are there. */

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
