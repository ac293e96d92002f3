/** What a restore did, or would do. */
import type { AlarmMember } from '../../../format/proto/rpcpb.ts';
import { compareVersions, type Version } from '../../../store/schema/buckets.ts';
import { compareMinor, parseVersion } from '../../../store/schema/migrate.ts';
import type { SchemaState } from '../../../store/schema/state.ts';
import type { Bump } from './bump.ts';
import type { DatabaseResult, Layout } from './database.ts';
import type { SpaceNeed } from './target.ts';

export interface RestoredMember {
  id: bigint;
  name: string;
  peerUrls: string[];
  isLearner: boolean;
  /** Absent of members that this run does not write. */
  dataDir?: string;
  walDir?: string;
}

export interface RestoreReport {
  path: string;
  isDryRun: boolean;
  clusterId: bigint;
  /** By ascending id. */
  members: RestoredMember[];
  /** Members of the old cluster, whose rows are not in the result. */
  trimmedMembers: { id: bigint; name: string }[];
  /** Ids that the old cluster had removed, also not in the result. */
  trimmedRemovedCount: number;
  /** Of the snapshot's schema. */
  snapshotVersion: Version;
  targetVersion: Version;
  /** Cluster version as it was, and as it is; undefined when none is stored. */
  clusterVersionBefore: string | undefined;
  clusterVersion: string | undefined;
  /** Of the snapshot. */
  revision: number;
  bump: Bump | undefined;
  sourceBytes: number;
  /** Of one member's database. */
  databaseBytes: number;
  /** Of the result, as `snapshot status` counts them; undefined when nobody looked. */
  recordCount: number | undefined;
  hash: number | undefined;
  /** Whether the SHA-256 was right, not looked at, or not there. */
  digest: 'good' | 'skipped' | 'absent';
  layout: Layout;
  /** Active in the new cluster too. */
  alarms: AlarmMember[];
  /** Of a dry run, by file system. */
  space: SpaceNeed[];
  /** What the operator should know. */
  notes: string[];
  tookMs: number;
}

type Facts = Omit<
  RestoreReport,
  | 'trimmedMembers'
  | 'trimmedRemovedCount'
  | 'snapshotVersion'
  | 'clusterVersionBefore'
  | 'revision'
  | 'databaseBytes'
  | 'recordCount'
  | 'hash'
  | 'alarms'
  | 'notes'
> & { snapshot: { state: SchemaState; version: Version; revision: number }; result: DatabaseResult };

export function makeReport({ snapshot, result, ...given }: Facts): RestoreReport {
  const { state, version, revision } = snapshot;
  const report: RestoreReport = {
    ...given,
    trimmedMembers: state.members.map(({ id, name }) => ({ id, name })),
    trimmedRemovedCount: state.removedMembers.length,
    snapshotVersion: version,
    clusterVersionBefore: state.clusterVersion,
    clusterVersion: given.clusterVersion ?? state.clusterVersion,
    revision,
    databaseBytes: result.sizeBytes,
    recordCount: result.recordCount,
    hash: result.hash,
    alarms: state.alarms,
    notes: [],
  };
  report.notes = notesOn(report, isDowngrading(state, report));
  return report;
}

/** Whether a downgrade was left to go on; one that reached its target is over once the servers have met. */
function isDowngrading(
  { downgrade }: SchemaState,
  { clusterVersion, clusterVersionBefore, targetVersion }: RestoreReport,
): boolean {
  const goal = downgrade?.isEnabled ? parseVersion(downgrade.targetVersion) : undefined;
  const isKept = clusterVersion === clusterVersionBefore;
  return isKept && goal !== undefined && compareMinor(goal, parseVersion(targetVersion)!) < 0;
}

const ALARM_NAMES = ['NONE', 'NOSPACE', 'CORRUPT'];

function notesOn(report: RestoreReport, hasDowngrade: boolean): string[] {
  const notes: string[] = [];
  for (const { memberId, alarm } of report.alarms) {
    notes.push(
      `alarm ${ALARM_NAMES[alarm]} of old member ${memberId.toString(16)} stays active: etcdctl alarm disarm, once its cause is gone`,
    );
  }
  if (hasDowngrade)
    notes.push(
      'the downgrade that was enabled in the old cluster goes on: etcdctl downgrade cancel stops it',
    );
  const learners = report.members.filter((member) => member.isLearner);
  if (learners.length > 1 && compareVersions(report.targetVersion, '3.6') >= 0) {
    notes.push(
      `etcd starts with ${learners.length} learners only when told so: --max-learners ${learners.length}`,
    );
  }
  if (report.digest === 'absent')
    notes.push('the snapshot has no SHA-256: what it holds could not be held against it');
  if (report.digest === 'skipped') notes.push('the SHA-256 of the snapshot was not looked at');
  if (report.layout === 'quick') notes.push('pages and records were not looked at');
  const { bump } = report;
  if (bump?.old) {
    const { path, revision, lastIndex, consistentIndex } = bump.old;
    notes.push(
      `the revision is raised by ${bump.amount}, from ${bump.revision} to ${bump.newRevision}: ${path} reached revision ${revision}, and its log goes ${Math.max(0, lastIndex - consistentIndex)} entries further (${consistentIndex} to ${lastIndex}); the rest is a margin`,
    );
  }
  return notes;
}
