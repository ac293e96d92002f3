/** v3lock, v3election and gRPC's own health service (etcd v3.6 server/etcdserver/api/v3lock, v3election); proto3. */
import { bytes, choice, count, embed, encoded, int64, text } from './field.ts';
import { responseHeader } from './kvpb.ts';
import { message, type Value } from './message.ts';
import { keyValue } from './mvccpb.ts';

const header = embed(1, responseHeader);

export const lockRequest = message('v3lockpb.LockRequest', { name: bytes(1), lease: int64(2) });
export const lockResponse = message('v3lockpb.LockResponse', { header, key: bytes(2) });
export const unlockRequest = message('v3lockpb.UnlockRequest', { key: bytes(1) });
export const unlockResponse = message('v3lockpb.UnlockResponse', { header });

/** Who leads: the key that the candidate put, and its create revision. */
export const leaderKey = message('v3electionpb.LeaderKey', {
  name: bytes(1),
  key: bytes(2),
  rev: count(3),
  lease: int64(4),
});
export type LeaderKey = Value<typeof leaderKey>;

export const campaignRequest = message('v3electionpb.CampaignRequest', {
  name: bytes(1),
  lease: int64(2),
  value: bytes(3),
});
export const campaignResponse = message('v3electionpb.CampaignResponse', {
  header,
  leader: embed(2, leaderKey),
});
export const leaderRequest = message('v3electionpb.LeaderRequest', { name: bytes(1) });
/** `kv`: an encoded mvccpb.KeyValue. */
export const leaderResponse = message('v3electionpb.LeaderResponse', { header, kv: encoded(2, keyValue) });
export const resignRequest = message('v3electionpb.ResignRequest', { leader: embed(1, leaderKey) });
export const resignResponse = message('v3electionpb.ResignResponse', { header });
export const proclaimRequest = message('v3electionpb.ProclaimRequest', {
  leader: embed(1, leaderKey),
  value: bytes(2),
});
export const proclaimResponse = message('v3electionpb.ProclaimResponse', { header });

export const SERVING_STATUS = { unknown: 0, serving: 1, notServing: 2, serviceUnknown: 3 } as const;
export const healthCheckRequest = message('grpc.health.v1.HealthCheckRequest', { service: text(1) });
export const healthCheckResponse = message('grpc.health.v1.HealthCheckResponse', { status: choice(1) });
