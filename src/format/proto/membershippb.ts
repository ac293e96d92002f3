/** Requests that change what the cluster knows of itself, since 3.5 (etcd v3.6 api/membershippb); proto3. */
import { bool, embed, repeated, text, uint64 } from './field.ts';
import { message, type Value } from './message.ts';

/** `ver` as `3.6.0`. */
export const clusterVersionSetRequest = message('membershippb.ClusterVersionSetRequest', { ver: text(1) });
export type ClusterVersionSetRequest = Value<typeof clusterVersionSetRequest>;

export const attributes = message('membershippb.Attributes', {
  name: text(1),
  clientUrls: repeated(text(2)),
});

/** What a member publishes of itself when it starts. */
export const clusterMemberAttrSetRequest = message('membershippb.ClusterMemberAttrSetRequest', {
  memberId: uint64(1),
  memberAttributes: embed(2, attributes),
});
export type ClusterMemberAttrSetRequest = Value<typeof clusterMemberAttrSetRequest>;

export const downgradeInfoSetRequest = message('membershippb.DowngradeInfoSetRequest', {
  enabled: bool(1),
  ver: text(2),
});
export type DowngradeInfoSetRequest = Value<typeof downgradeInfoSetRequest>;
