/**
 * The membership and the cluster version as 3.5 knows them: the v2 store of the .snap file it starts from, and
 * what the log says after that. 3.6 and later believe the buckets of the database instead, and the two can differ
 * (learners promoted, members removed: etcd issues 19557, 20967). etcd v3.5 server/etcdserver/api/membership.
 */
import { decodeMember, decodeMemberChange, type Member } from '../format/proto/member-json.ts';
import { CONF_CHANGE_TYPE, type ConfChange } from '../format/proto/raftpb.ts';
import type { V2Store } from '../format/snap/v2store.ts';
import type { ClusterEvent } from './cluster-log.ts';

/** As many as 3.5 allows. */
const LEARNERS_MAX = 1;
const NOTHING = new Uint8Array();

/** `store` after `events`, of which only those in (`after`, `upTo`] count. */
export function replayMembership(
  store: V2Store,
  events: readonly ClusterEvent[],
  { after, upTo }: { after: number; upTo: number },
): V2Store {
  const members = new Map(store.members.map((member) => [member.id, member]));
  const removed = new Set(store.removedMembers);
  let { clusterVersion } = store;
  for (const event of events) {
    if (event.index <= after || event.index > upTo) continue;
    if (event.kind === 'change') applyChange(event.change, members, removed);
    else if (event.kind === 'version') clusterVersion = event.version;
    else if (event.kind === 'attributes') {
      const member = members.get(event.id);
      if (member) members.set(event.id, { ...member, name: event.name, clientUrls: event.clientUrls });
    }
  }
  return {
    members: [...members.values()],
    removedMembers: [...removed],
    ...(clusterVersion === undefined ? {} : { clusterVersion }),
  };
}

/** A change that the members refuse has no effect, as in a server. */
function applyChange(
  { type, nodeId: id, context = NOTHING }: ConfChange,
  members: Map<bigint, Member>,
  removed: Set<bigint>,
): void {
  if (removed.has(id)) return;
  const before = members.get(id);
  if (type === CONF_CHANGE_TYPE.removeNode) {
    if (!before) return;
    members.delete(id);
    removed.add(id);
  } else if (type === CONF_CHANGE_TYPE.updateNode) {
    const { peerUrls } = decodeMember(context);
    if (before && !sharesUrl(peerUrls, members, id)) members.set(id, { ...before, peerUrls });
  } else {
    const { isPromote, ...member } = decodeMemberChange(context);
    if (isPromote) {
      if (before?.isLearner) members.set(id, { ...before, isLearner: false });
    } else if (!before && !sharesUrl(member.peerUrls, members) && !isOneTooMany(member, members))
      members.set(id, member);
  }
}

function sharesUrl(urls: readonly string[], members: Map<bigint, Member>, except?: bigint): boolean {
  return [...members.values()].some(
    ({ id, peerUrls }) => id !== except && peerUrls.some((url) => urls.includes(url)),
  );
}

function isOneTooMany({ isLearner }: Member, members: Map<bigint, Member>): boolean {
  return isLearner && [...members.values()].filter((member) => member.isLearner).length >= LEARNERS_MAX;
}
