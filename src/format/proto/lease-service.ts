/** The Lease service (etcd v3.6 api/etcdserverpb/rpc.proto); proto3. Its grants and revocations are in `rpcpb.ts`. */
import { bool, bytes, embed, int64, named, repeated, text } from './field.ts';
import { responseHeader } from './kvpb.ts';
import { message } from './message.ts';

const header = embed(1, responseHeader);

/** `ttl` in seconds, as granted. */
export const leaseGrantResponse = message('etcdserverpb.LeaseGrantResponse', {
  header,
  id: named('ID', int64(2)),
  ttl: named('TTL', int64(3)),
  error: text(4),
});
export const leaseRevokeResponse = message('etcdserverpb.LeaseRevokeResponse', { header });

export const leaseKeepAliveRequest = message('etcdserverpb.LeaseKeepAliveRequest', {
  id: named('ID', int64(1)),
});
/** `ttl` 0: the lease is gone. */
export const leaseKeepAliveResponse = message('etcdserverpb.LeaseKeepAliveResponse', {
  header,
  id: named('ID', int64(2)),
  ttl: named('TTL', int64(3)),
});

export const leaseTimeToLiveRequest = message('etcdserverpb.LeaseTimeToLiveRequest', {
  id: named('ID', int64(1)),
  keys: bool(2),
});
/** `ttl` is what is left, −1 when the lease is gone; seconds. */
export const leaseTimeToLiveResponse = message('etcdserverpb.LeaseTimeToLiveResponse', {
  header,
  id: named('ID', int64(2)),
  ttl: named('TTL', int64(3)),
  grantedTtl: named('grantedTTL', int64(4)),
  keys: repeated(bytes(5)),
});

export const leaseLeasesRequest = message('etcdserverpb.LeaseLeasesRequest', {});
export const leaseStatus = message('etcdserverpb.LeaseStatus', { id: named('ID', int64(1)) });
export const leaseLeasesResponse = message('etcdserverpb.LeaseLeasesResponse', {
  header,
  leases: repeated(embed(2, leaseStatus)),
});
