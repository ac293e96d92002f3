/**
 * What a snapshot's database has to be told to become that of a new cluster: its members, where its log starts,
 * the schema of the server that will open it, and a raised revision. Everything else stays as it is.
 */
import { formatId } from '../../../format/ids.ts';
import { encodeConfState, encodeMember } from '../../../format/proto/member-json.ts';
import { encodeMark, SCHEDULED_KEY } from '../../../store/mvcc/marks.ts';
import { encodeRevision } from '../../../store/mvcc/record.ts';
import type { Edits } from '../../../store/rewrite.ts';
import { CLUSTER_VERSION, compareVersions, DOWNGRADE, type Version } from '../../../store/schema/buckets.ts';
import {
  compareMinor,
  editsOf,
  mergeEdits,
  type MinorVersion,
  parseVersion,
  planMigration,
  setRow,
} from '../../../store/schema/migrate.ts';
import { encodeIndex } from '../../../store/schema/rows.ts';
import type { Bump } from './bump.ts';
import { confStateOf, type RestoredCluster } from '../../../store/cluster-plan.ts';
import type { SnapshotFacts } from './source.ts';

/** The term in which a restored cluster's members joined. */
export const RESTORE_TERM = 1;

export interface EditPlan {
  edits: Edits;
  /** Cluster version afterwards, when it is set. */
  clusterVersion: string | undefined;
}

export function planEdits(
  cluster: RestoredCluster,
  facts: SnapshotFacts,
  options: { target: Version; bump: Bump | undefined },
): EditPlan {
  const { target, bump } = options;
  const clusterVersion = clusterVersionFor(facts, target);
  const edits = mergeEdits(schemaEdits(facts.version, target), membershipEdits(cluster, target));
  if (bump) {
    const key = Buffer.from(encodeRevision(bump.newRevision, 0)).toString('latin1');
    setRow(edits, 'key', key, new Uint8Array());
    setRow(edits, 'meta', SCHEDULED_KEY, encodeMark(bump.newRevision));
  }
  if (clusterVersion !== undefined) {
    setRow(edits, 'cluster', CLUSTER_VERSION, Buffer.from(clusterVersion));
    setRow(edits, 'cluster', DOWNGRADE, undefined);
  }
  return { edits, clusterVersion };
}

/** What 3.4 lacks of 3.5's schema says where the log starts; those rows are among the membership's. */
function schemaEdits(from: Version, to: Version): Edits {
  const [first, last] = [atLeast35(from), atLeast35(to)];
  return editsOf(planMigration(first, last));
}

function atLeast35(version: Version): MinorVersion {
  return parseVersion(compareVersions(version, '3.5') < 0 ? '3.5' : version)!;
}

function membershipEdits({ members }: RestoredCluster, target: Version): Edits {
  const edits: Edits = new Map([
    [
      'members',
      { clear: true, rows: new Map(members.map((member) => [formatId(member.id), encodeMember(member)])) },
    ],
    ['members_removed', { clear: true }],
  ]);
  setRow(edits, 'meta', 'consistent_index', encodeIndex(members.length));
  const isKnown = target !== '3.4';
  setRow(edits, 'meta', 'term', isKnown ? encodeIndex(RESTORE_TERM) : undefined);
  // Differs from etcdutl, which leaves the voters of the old cluster there.
  setRow(edits, 'meta', 'confState', isKnown ? encodeConfState(confStateOf(members)) : undefined);
  return edits;
}

/** A server refuses to start in a cluster of a higher version than its own. */
function clusterVersionFor({ state, version }: SnapshotFacts, target: Version): string | undefined {
  const stored = state.clusterVersion === undefined ? undefined : parseVersion(state.clusterVersion);
  const isHigher = stored !== undefined && compareMinor(stored, parseVersion(target)!) > 0;
  return isHigher || version !== target ? `${target}.0` : undefined;
}
