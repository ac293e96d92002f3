/** The Lease service. etcd v3.6 server/etcdserver/api/v3rpc/lease.go, quota.go. */
import {
  leaseGrantResponse,
  leaseKeepAliveRequest,
  leaseKeepAliveResponse,
  leaseLeasesRequest,
  leaseLeasesResponse,
  leaseRevokeResponse,
  leaseTimeToLiveRequest,
  leaseTimeToLiveResponse,
} from '../../format/proto/lease-service.ts';
import { leaseGrantRequest, type LeaseGrantRequest, leaseRevokeRequest } from '../../format/proto/rpcpb.ts';
import type { Methods } from '../../rpc/seam.ts';
import type { Access } from '../auth/access.ts';
import type { Core } from '../core.ts';
import { freshLeaseId } from './lease-ids.ts';
import type { Lessor } from '../lessor.ts';
import { decodeRequest, sendWaiting, stream, unary } from './method.ts';

/** What a lease is taken to need of the quota. */
const LEASE_BYTES = 64;
const GONE = -1n;

export interface LeaseServiceOptions {
  access: Access;
  lessor: Lessor;
  /** 64 random bits, for leases whose id the server chooses. */
  randomId: () => bigint;
  /** Throws NOSPACE when so many bytes exceed the quota, after it has raised the alarm. */
  admit: (bytes: number) => Promise<void> | undefined;
  /** Told of the seconds of each lease that was granted. */
  onGrant?: (ttl: number) => void;
}

export function leaseService(core: Core, options: LeaseServiceOptions): Methods {
  const { access, lessor } = options;
  const keysOf = (id: bigint): Uint8Array[] =>
    core.applier.leases.keysOf(id).map((key) => Buffer.from(key, 'latin1'));

  const grant = async (request: LeaseGrantRequest): Promise<{ id: bigint; ttl: bigint }> => {
    await options.admit(LEASE_BYTES);
    const id = request.id === 0n ? freshLeaseId(core.applier.leases, options.randomId) : request.id;
    const { response } = await core.propose({ leaseGrant: { id, ttl: request.ttl } });
    const granted = response as { id: bigint; ttl: bigint };
    options.onGrant?.(Number(granted.ttl));
    return granted;
  };

  return {
    unary: {
      '/etcdserverpb.Lease/LeaseGrant': unary(leaseGrantRequest, leaseGrantResponse, async (request) => {
        const granted = await grant(request);
        return { header: core.header(), ...granted };
      }),
      '/etcdserverpb.Lease/LeaseRevoke': unary(
        leaseRevokeRequest,
        leaseRevokeResponse,
        async ({ id }, call) => {
          const caller = await access.callerOf(call);
          await core.propose({ leaseRevoke: { id }, header: caller.signature });
          return { header: core.header() };
        },
      ),
      '/etcdserverpb.Lease/LeaseTimeToLive': unary(
        leaseTimeToLiveRequest,
        leaseTimeToLiveResponse,
        ({ id, keys }, call) =>
          access.as(call, (caller) => {
            if (keys) caller.checkLease('read', id);
            const header = core.header();
            const standing = lessor.standing(id);
            if (!standing) return { header, id, ttl: GONE };
            return {
              header,
              id,
              ttl: BigInt(standing.ttl),
              grantedTtl: BigInt(standing.grantedTtl),
              keys: keys ? keysOf(id) : [],
            };
          }),
      ),
      '/etcdserverpb.Lease/LeaseLeases': unary(leaseLeasesRequest, leaseLeasesResponse, (_request, call) =>
        access.as(call, (caller) => {
          const ids = lessor.inOrder();
          caller.requireLogin();
          for (const id of ids) caller.checkLease('read', id);
          return { header: core.header(), leases: ids.map((id) => ({ id })) };
        }),
      ),
    },
    stream: {
      '/etcdserverpb.Lease/LeaseKeepAlive': stream(async (call) => {
        for (let bytes = await call.receive(); bytes !== undefined; bytes = await call.receive()) {
          const { id } = decodeRequest(leaseKeepAliveRequest, bytes);
          // The header says what was there before: a lease revoked at a revision must not seem alive at it.
          const header = core.header();
          (await access.callerOf(call)).checkLease('write', id);
          const ttl = BigInt(await lessor.renew(id));
          await sendWaiting(call, leaseKeepAliveResponse.encode({ header, id, ttl }));
        }
      }),
    },
  };
}
