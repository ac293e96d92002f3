/**
 * A raft snapshot at the entry that the database applied last, with the membership and a cluster version that the
 * target server accepts: what lies before it in the log is then read by no server. Pure: it says what to write.
 * The same as a server does when the cluster version is lowered (etcd v3.6 server/etcdserver/server.go), offline.
 */
import { ascending } from '../bytes/order.ts';
import { CorruptError, RefusedError } from '../errors.ts';
import { formatId } from '../format/ids.ts';
import { encodeMember, type Member } from '../format/proto/member-json.ts';
import { formatSnapName } from '../format/snap/file.ts';
import type { V2Store } from '../format/snap/v2store.ts';
import type { Edits } from './rewrite.ts';
import { CLUSTER_VERSION, DOWNGRADE } from './schema/buckets.ts';
import { type MinorVersion, setRow } from './schema/migrate.ts';
import type { SnapPoint } from './start.ts';
import {
  clusterOf,
  clusterVersionFor,
  type MemberState,
  membershipDifferences,
  type Snap,
} from './upgrade.ts';

export interface Fix {
  /** Where the snapshot stands: the last applied entry. */
  point: SnapPoint;
  /** What its .snap file carries. */
  store: V2Store;
  voters: bigint[];
  learners: bigint[];
  /** The commit index to write first; without it the record would not count. */
  commit: number | undefined;
  /** Whether the log's last valid record is another one. */
  needsRecord: boolean;
  edits: Edits;
  /** Each thing done, readable. */
  changes: string[];
}

/** Throws `migrate.blocked` or `CorruptError` when no such snapshot can be taken. `nodeId` is the log's owner. */
export function planFix(target: MinorVersion, member: MemberState, nodeId: bigint): Fix {
  const point = appliedPoint(member);
  const cluster = clusterOf(member);
  if (!cluster.members.some(({ id }) => id === nodeId)) {
    throw new RefusedError(
      'migrate.blocked',
      `the log is that of member ${formatId(nodeId)}, which the cluster does not list`,
    );
  }
  const version = clusterVersionFor(target, cluster.clusterVersion);
  const { clusterVersion: _, ...rest } = cluster;
  const store = version === undefined ? rest : { ...rest, clusterVersion: version };
  const lastRecord = validRecords(member).at(-1);
  const needsRecord = lastRecord?.index !== point.index || lastRecord.term !== point.term;
  const commit = member.commit < point.index ? point.index : undefined;
  const edits: Edits = new Map();
  const changes = [
    ...lowerVersion(target, member, edits),
    ...cancelDowngrade(member, edits),
    ...correctMembers(member, cluster, edits),
    ...(commit === undefined ? [] : [`commit index ${member.commit} → ${commit} in the log`]),
    `snapshot of the membership at entry ${point.index} of term ${point.term}${version === undefined ? '' : `, with cluster version ${version}`}`,
  ];
  const idsOf = (isLearner: boolean): bigint[] =>
    cluster.members
      .filter((one) => one.isLearner === isLearner)
      .map(({ id }) => id)
      .sort(ascending);
  return { point, store, voters: idsOf(false), learners: idsOf(true), commit, needsRecord, edits, changes };
}

function validRecords({ records, commit }: MemberState): readonly SnapPoint[] {
  return records.filter(({ index }) => index <= commit);
}

function appliedPoint(member: MemberState): SnapPoint {
  const { consistentIndex: index, term } = member.schema;
  if (!index || !term) {
    throw new RefusedError(
      'migrate.blocked',
      'the database does not say which entry of the log it applied last',
    );
  }
  const inLog = member.log.termAtIndex ?? member.records.findLast((record) => record.index === index)?.term;
  if (inLog === undefined) {
    throw new RefusedError(
      'migrate.blocked',
      `the log does not hold entry ${index}, which the database applied last`,
      {
        hint: 'log and database do not belong together: restore from a snapshot instead',
      },
    );
  }
  if (inLog !== term) {
    const message = `the database applied entry ${index} of term ${term} last, but in the log it is of term ${inLog}`;
    throw new CorruptError('log.tail', message, {
      hint: 'log and database do not belong together: restore from a snapshot instead',
    });
  }
  return { index, term };
}

function lowerVersion(target: MinorVersion, { schema }: MemberState, edits: Edits): string[] {
  const { clusterVersion } = schema;
  const version = clusterVersionFor(target, clusterVersion);
  if (version === undefined || version === clusterVersion) return [];
  setRow(edits, 'cluster', CLUSTER_VERSION, Buffer.from(version));
  return [`cluster version ${clusterVersion} → ${version} in bucket cluster`];
}

/** As a server leaves it behind when a downgrade is cancelled. */
function cancelDowngrade({ schema }: MemberState, edits: Edits): string[] {
  if (!schema.downgrade?.isEnabled) return [];
  setRow(edits, 'cluster', DOWNGRADE, Buffer.from('{"target-version":"","enabled":false}'));
  return [`downgrade to ${schema.downgrade.targetVersion} cancelled`];
}

function correctMembers(member: MemberState, { members, removedMembers }: V2Store, edits: Edits): string[] {
  const differences = membershipDifferences(member);
  if (differences.length === 0) return [];
  const stored = new Map(member.schema.members.map((one) => [one.id, one]));
  for (const one of members) {
    const row = stored.get(one.id);
    stored.delete(one.id);
    if (row?.isLearner === one.isLearner) continue;
    const right: Member = row ? { ...row, isLearner: one.isLearner } : one;
    setRow(edits, 'members', formatId(one.id), encodeMember(right));
  }
  for (const id of stored.keys()) setRow(edits, 'members', formatId(id), undefined);
  for (const id of removedMembers) {
    if (!member.schema.removedMembers.includes(id))
      setRow(edits, 'members_removed', formatId(id), Buffer.from('removed'));
  }
  return [`members corrected: ${differences.join(', ')}`];
}

/** The member's state once the fix is written. */
export function afterFix(target: MinorVersion, member: MemberState, fix: Fix): MemberState {
  const { point, store, commit, needsRecord } = fix;
  const { schema } = member;
  const name = formatSnapName(point);
  const snap: Snap = { ...point, name, store: { ...store, customPaths: [], currentIndex: 0 } };
  const others = member.snaps.filter((one) => one.name !== name);
  return {
    ...member,
    schema: {
      ...schema,
      members: store.members,
      removedMembers: store.removedMembers,
      clusterVersion: clusterVersionFor(target, schema.clusterVersion),
      downgrade: schema.downgrade && { targetVersion: '', isEnabled: false },
    },
    commit: commit ?? member.commit,
    records: needsRecord ? [...member.records, point] : member.records,
    snaps: [snap, ...others].sort((a, b) => (a.name < b.name ? 1 : -1)),
  };
}
