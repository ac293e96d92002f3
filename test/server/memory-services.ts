/** All services but KV and Watch over one core in memory, and what their methods take and give. */
import { OPEN_ACCESS } from './open-access.ts';
import * as cluster from '../../src/format/proto/cluster-service.ts';
import * as contest from '../../src/format/proto/concurrency-services.ts';
import type { Message } from '../../src/format/proto/field.ts';
import { hashKvRequest } from '../../src/format/proto/kvpb.ts';
import * as lease from '../../src/format/proto/lease-service.ts';
import * as maintenance from '../../src/format/proto/maintenance-service.ts';
import { alarmRequest, leaseGrantRequest, leaseRevokeRequest } from '../../src/format/proto/rpcpb.ts';
import type { Methods } from '../../src/rpc/seam.ts';
import { KeyFeed } from '../../src/server/services/key-feed.ts';
import { Lessor } from '../../src/server/lessor.ts';
import { clusterService } from '../../src/server/services/cluster.ts';
import { electionService } from '../../src/server/services/election.ts';
import { leaseService } from '../../src/server/services/lease.ts';
import { lockService } from '../../src/server/services/lock.ts';
import { maintenanceService } from '../../src/server/services/maintenance.ts';
import type { Version } from '../../src/store/schema/buckets.ts';
import { FakeClock } from './fake-clock.ts';
import { MemoryCore } from './memory-core.ts';

interface Kind {
  request: Message<unknown>;
  response: Message<unknown>;
}

function kind<Q, A>(request: Message<Q>, response: Message<A>): Kind {
  return { request: request as Message<unknown>, response: response as Message<unknown> };
}

/** By their full path. */
export const KINDS: Readonly<Record<string, Kind>> = {
  '/etcdserverpb.Lease/LeaseGrant': kind(leaseGrantRequest, lease.leaseGrantResponse),
  '/etcdserverpb.Lease/LeaseRevoke': kind(leaseRevokeRequest, lease.leaseRevokeResponse),
  '/etcdserverpb.Lease/LeaseTimeToLive': kind(lease.leaseTimeToLiveRequest, lease.leaseTimeToLiveResponse),
  '/etcdserverpb.Lease/LeaseLeases': kind(lease.leaseLeasesRequest, lease.leaseLeasesResponse),
  '/etcdserverpb.Lease/LeaseKeepAlive': kind(lease.leaseKeepAliveRequest, lease.leaseKeepAliveResponse),
  '/etcdserverpb.Cluster/MemberList': kind(cluster.memberListRequest, cluster.memberListResponse),
  '/etcdserverpb.Cluster/MemberAdd': kind(cluster.memberAddRequest, cluster.memberAddResponse),
  '/etcdserverpb.Cluster/MemberRemove': kind(cluster.memberRemoveRequest, cluster.memberRemoveResponse),
  '/etcdserverpb.Cluster/MemberUpdate': kind(cluster.memberUpdateRequest, cluster.memberUpdateResponse),
  '/etcdserverpb.Cluster/MemberPromote': kind(cluster.memberPromoteRequest, cluster.memberPromoteResponse),
  '/etcdserverpb.Maintenance/Alarm': kind(alarmRequest, maintenance.alarmResponse),
  '/etcdserverpb.Maintenance/Status': kind(maintenance.statusRequest, maintenance.statusResponse),
  '/etcdserverpb.Maintenance/HashKV': kind(hashKvRequest, maintenance.hashKvResponse),
  '/etcdserverpb.Maintenance/Defragment': kind(maintenance.defragmentRequest, maintenance.defragmentResponse),
  '/etcdserverpb.Maintenance/MoveLeader': kind(maintenance.moveLeaderRequest, maintenance.moveLeaderResponse),
  '/etcdserverpb.Maintenance/Downgrade': kind(maintenance.downgradeRequest, maintenance.downgradeResponse),
  '/v3lockpb.Lock/Lock': kind(contest.lockRequest, contest.lockResponse),
  '/v3lockpb.Lock/Unlock': kind(contest.unlockRequest, contest.unlockResponse),
  '/v3electionpb.Election/Campaign': kind(contest.campaignRequest, contest.campaignResponse),
  '/v3electionpb.Election/Proclaim': kind(contest.proclaimRequest, contest.proclaimResponse),
  '/v3electionpb.Election/Leader': kind(contest.leaderRequest, contest.leaderResponse),
  '/v3electionpb.Election/Resign': kind(contest.resignRequest, contest.resignResponse),
  '/etcdserverpb.Maintenance/Hash': kind(maintenance.hashRequest, maintenance.hashResponse),
  '/etcdserverpb.Maintenance/Snapshot': kind(maintenance.snapshotRequest, maintenance.snapshotResponse),
  '/v3electionpb.Election/Observe': kind(contest.leaderRequest, contest.leaderResponse),
};

export class MemoryServices {
  readonly core: MemoryCore;
  readonly clock = new FakeClock();
  readonly methods: Methods;

  constructor({ core = new MemoryCore(), emulated = '3.6' }: { core?: MemoryCore; emulated?: Version } = {}) {
    this.core = core;
    const feed = new KeyFeed();
    core.keys.onRevision = (revision, changes) => feed.publish(revision, changes);
    const lessor = new Lessor({
      leases: core.applier.leases,
      propose: (request) => core.propose(request),
      clock: this.clock,
      log: core.log,
      extensionMs: 1000,
    });
    lessor.start();
    let lastId = 1_000_000n;
    const randomId = (): bigint => ++lastId;
    const services = [
      leaseService(core, { access: OPEN_ACCESS, lessor, randomId, admit: async () => {} }),
      clusterService(core, { access: OPEN_ACCESS }),
      maintenanceService(core, { access: OPEN_ACCESS, emulated, version: emulated, quotaBytes: 2 ** 31 }),
      lockService(core, { admit: () => undefined, access: OPEN_ACCESS, feed, randomId }),
      electionService(core, { admit: () => undefined, access: OPEN_ACCESS, feed, randomId }),
    ];
    this.methods = {
      unary: Object.assign({}, ...services.map(({ unary }) => unary)),
      stream: Object.assign({}, ...services.map(({ stream }) => stream)),
    };
  }
}
