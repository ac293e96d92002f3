/**
 * `--force-new-cluster`, and its refusal: a directory that several members shared becomes that of one. What is not known
 * to be committed goes, and is said aloud; all others leave by entries of the log, so that every later reader knows it.
 * etcd v3.6 server/etcdserver/bootstrap.go, server/storage/util.go.
 */
import { ascending } from '../../bytes/order.ts';
import { RefusedError } from '../../errors.ts';
import { formatId } from '../../format/ids.ts';
import { confChange, ENTRY_TYPE } from '../../format/proto/raftpb.ts';
import type { Member } from '../../format/proto/member-json.ts';
import type { Applier } from '../../store/apply/applier.ts';
import { Cluster } from '../../store/apply/cluster.ts';
import { isRejection } from '../../store/apply/rejected.ts';
import type { BackendView } from '../../store/backend/backend.ts';
import { Overlay } from '../../store/backend/overlay.ts';
import type { Log } from '../log.ts';
import type { MemberFiles } from './member-files.ts';
import { namesOf } from './membership.ts';
import type { EntryBody, OwnEntries } from './own-entries.ts';

/** What etcd gives a member of which nobody knows any more where its peers find it. */
const UNKNOWN_PEER_URL = 'http://localhost:2380';

/** Who takes part by all that is committed. Looks at a database without changing it. */
export async function membersOf(view: BackendView, { tail }: MemberFiles): Promise<Member[]> {
  const cluster = new Cluster(new Overlay(view));
  await tail.visit({ after: tail.from, upTo: tail.committed }, ({ type, data }, at) => {
    if (type !== ENTRY_TYPE.confChange) return;
    try {
      cluster.applyChange(confChange.decode(data, at));
    } catch (error) {
      if (!isRejection(error)) throw error;
    }
  });
  return cluster.members();
}

/** Throws `server.cluster` unless the member is the only voter. */
export function assertOneVoter(members: readonly Member[], { tail, paths }: MemberFiles, log: Log): void {
  const self = tail.metadata!.nodeId;
  const voters = members.filter(({ isLearner }) => !isLearner).map(({ id }) => id);
  if (voters.length === 1 && voters[0] === self) {
    const learners = members.filter(({ isLearner }) => isLearner).map(({ id }) => id);
    if (learners.length > 0)
      log.warn(
        { learners: namesOf(learners) },
        'the directory knows learners, to which this server sends nothing',
      );
    return;
  }
  const found =
    voters.length === 0
      ? 'the directory knows no member that votes'
      : `the directory is that of member ${formatId(self)} in a cluster with the voters ${namesOf(voters)}`;
  throw new RefusedError('server.cluster', `${found}; this server is one member and has no peers`, {
    where: { file: paths.dataDir },
    hint: 'start etcd on it; or, when the others are lost for good, add --force-new-cluster: what was not committed is dropped, and the others are removed',
  });
}

/** Entries behind the last one that is known to be committed. */
export function sayWhatIsDropped({ tail }: MemberFiles, log: Log): void {
  const { committed, lastIndex, state } = tail;
  const commit = state?.commit ?? 0;
  if (lastIndex > committed) {
    log.warn(
      { first: committed + 1, last: lastIndex, count: lastIndex - committed, commit },
      `discarding uncommitted WAL entries ${committed + 1} to ${lastIndex}`,
    );
  }
  log.warn({ commit: committed }, 'forcing restart member: it becomes the only member of its cluster');
}

/** Makes the member known, should it not be, and removes all others, in that order. */
export function changesToOneMember(
  { tail, snap }: MemberFiles,
  applier: Applier,
  entries: OwnEntries,
): EntryBody[] {
  const self = tail.metadata!.nodeId;
  const rows = applier.cluster.members().map(({ id }) => id);
  const ids = [...new Set([...rows, ...(snap?.memberIds ?? [])])].sort(ascending);
  const others = ids.filter((id) => id !== self).map((id) => entries.leaving(id));
  if (rows.includes(self)) return others;
  const member = { id: self, peerUrls: [UNKNOWN_PEER_URL], isLearner: false, name: '', clientUrls: [] };
  return [entries.joining(member), ...others];
}
