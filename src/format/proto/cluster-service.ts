/** The Cluster service (etcd v3.6 api/etcdserverpb/rpc.proto); proto3. */
import { bool, embed, named, repeated, text, uint64 } from './field.ts';
import { responseHeader } from './kvpb.ts';
import { message, type Value } from './message.ts';

const header = embed(1, responseHeader);
const id = named('ID', uint64(1));

export const member = message('etcdserverpb.Member', {
  id,
  name: text(2),
  peerUrls: named('peerURLs', repeated(text(3))),
  clientUrls: named('clientURLs', repeated(text(4))),
  isLearner: named('isLearner', bool(5)),
});
export type MemberMessage = Value<typeof member>;

const members = repeated(embed(2, member));

export const memberAddRequest = message('etcdserverpb.MemberAddRequest', {
  peerUrls: named('peerURLs', repeated(text(1))),
  isLearner: named('isLearner', bool(2)),
});
export const memberAddResponse = message('etcdserverpb.MemberAddResponse', {
  header,
  member: embed(2, member),
  members: repeated(embed(3, member)),
});
export const memberRemoveRequest = message('etcdserverpb.MemberRemoveRequest', { id });
export const memberRemoveResponse = message('etcdserverpb.MemberRemoveResponse', { header, members });
export const memberUpdateRequest = message('etcdserverpb.MemberUpdateRequest', {
  id,
  peerUrls: named('peerURLs', repeated(text(2))),
});
export const memberUpdateResponse = message('etcdserverpb.MemberUpdateResponse', { header, members });
export const memberListRequest = message('etcdserverpb.MemberListRequest', { linearizable: bool(1) });
export const memberListResponse = message('etcdserverpb.MemberListResponse', { header, members });
export const memberPromoteRequest = message('etcdserverpb.MemberPromoteRequest', { id });
export const memberPromoteResponse = message('etcdserverpb.MemberPromoteResponse', { header, members });
