/** Who takes part, as raft and its snapshots have it. */
import { ascending } from '../../bytes/order.ts';
import { formatId, parseId } from '../../format/ids.ts';
import type { V2Store } from '../../format/snap/v2store.ts';
import type { Applier } from '../../store/apply/applier.ts';
import type { BackendView } from '../../store/backend/backend.ts';
import type { Version } from '../../store/schema/buckets.ts';
import { type RaftSnapshot, v2StoreBytes } from '../../store/snap-file.ts';

/** Ids by what they may do, ascending. */
export function confStateOf({ cluster }: Pick<Applier, 'cluster'>): { voters: bigint[]; learners: bigint[] } {
  const idsOf = (isLearner: boolean): bigint[] =>
    cluster
      .members()
      .filter((member) => member.isLearner === isLearner)
      .map(({ id }) => id)
      .sort(ascending);
  return { voters: idsOf(false), learners: idsOf(true) };
}

/** Ids of members that have left. */
export function removedIds(backend: BackendView): bigint[] {
  return [...backend.scan('members_removed')]
    .map(({ key }) => parseId(Buffer.from(key).toString('latin1')))
    .filter((id) => id !== undefined);
}

/** The raft snapshot of what is applied now, at `place`. */
export function raftSnapshotOf(
  { applier, backend, version }: { applier: Applier; backend: BackendView; version: Version },
  place: { term: number; index: number },
): RaftSnapshot {
  const { cluster } = applier;
  const store: V2Store = {
    members: cluster.members(),
    removedMembers: removedIds(backend),
    ...(cluster.version === undefined ? {} : { clusterVersion: cluster.version }),
  };
  return { ...place, confState: confStateOf(applier), data: v2StoreBytes(store, version) };
}

/** As messages name members. */
export function namesOf(ids: readonly bigint[]): string {
  return ids.map(formatId).join(', ');
}
