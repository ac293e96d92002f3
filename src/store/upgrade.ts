/**
 * What stands in the way of a server of another version that is to start from a member's files, and what the
 * files would have to say for it to start. Pure: it judges a {@link MemberState} and gives another one.
 *
 * Three things tell a server which version the cluster has, and it ends at once when that is newer than itself:
 * bucket `cluster` (read since 3.6), the v2 store of the .snap file it starts from (read up to 3.5), and the
 * requests in the log after that, which are played back whatever the database has applied already. 3.7 also
 * cannot read v2 requests, which 3.4 and 3.5 wrote. A snapshot at the entry that the database applied last puts
 * all of that behind the point where servers begin to read.
 * etcd v3.5 server/etcdserver/server.go, v3.6 and v3.7 bootstrap.go, api/membership/cluster.go.
 */
import { formatId } from '../format/ids.ts';
import type { Member } from '../format/proto/member-json.ts';
import type { DecodedV2Store, V2Store } from '../format/snap/v2store.ts';
import type { SegmentName } from '../format/wal/name.ts';
import type { ClusterEvent, ClusterLog } from './cluster-log.ts';
import type { Version } from './schema/buckets.ts';
import {
  compareMinor,
  formatFull,
  formatMinor,
  isBeforeStorageVersion,
  type MinorVersion,
  parseVersion,
} from './schema/migrate.ts';
import type { SchemaState } from './schema/state.ts';
import { type SnapPoint, startOf } from './start.ts';
import { replayMembership } from './v2-membership.ts';

/** A .snap file whose envelope decodes. */
export interface Snap extends SnapPoint {
  name: string;
  /** undefined when the v2 store in it does not decode. */
  store: DecodedV2Store | undefined;
}

/** All that decides whether and how a server starts from a member's files. */
export interface MemberState {
  schema: SchemaState;
  log: ClusterLog;
  segments: readonly SegmentName[];
  /** Snapshot records, in the order of the log. */
  records: readonly SnapPoint[];
  /** Last HardState's. */
  commit: number;
  /** Of the last entry in the log. */
  lastIndex: number;
  /** Newest name first, as servers try them. */
  snaps: readonly Snap[];
  /** All names in snap/. */
  snapNames: readonly string[];
}

export type ObstacleKind =
  | 'start'
  | 'cluster-version'
  | 'downgrade'
  /** A request that only newer versions know. */
  | 'newer-entry'
  | 'v2-request'
  /** Data of the v2 API, which would be out of reach. */
  | 'v2-content'
  | 'membership';

export interface Obstacle {
  kind: ObstacleKind;
  message: string;
  /** The entry of the log that is meant, if one is. */
  index?: number;
}

const V3_7: MinorVersion = { major: 3, minor: 7 };
/** The request that etcd's own tests write is known since then. */
const VERSION_TEST_SINCE: MinorVersion = { major: 3, minor: 6 };

/** Everything that keeps a server of version `target` from starting, or makes it start on a wrong membership. */
export function obstaclesTo(target: MinorVersion, member: MemberState): Obstacle[] {
  const start = startIndex(ruleOf(target), member);
  if (typeof start === 'string') return [{ kind: 'start', message: start }];
  const obstacles = isBeforeStorageVersion(target)
    ? obstaclesToV2Store(target, start, member)
    : obstaclesToBuckets(target, start, member);
  return [...obstacles, newerEntry(target, start, member)].filter((obstacle) => obstacle !== undefined);
}

/** Whose way to choose a start an unknown, newer version shares. */
function ruleOf(target: MinorVersion): Version {
  if (isBeforeStorageVersion(target)) return '3.5';
  return compareMinor(target, V3_7) < 0 ? '3.6' : '3.7';
}

/** The snapshot a server would start from, or why it cannot. Versions are judged here, not there. */
export function startIndex(version: Version, { schema, ...member }: MemberState): number | string {
  const start = startOf(version, {
    ...member,
    consistentIndex: schema.consistentIndex,
  });
  return start.obstacle ?? start.index;
}

/** 3.5 knows versions and members from .snap and log alone; of the database it reads only the downgrade. */
function obstaclesToV2Store(
  target: MinorVersion,
  start: number,
  { schema, log, ...member }: MemberState,
): (Obstacle | undefined)[] {
  const snap = snapAt(start, member);
  if (snap && !snap.store) return [unreadable(snap)];
  const version = snap?.store?.clusterVersion;
  let { downgrade } = schema;
  const refusal = (cluster: string | undefined): Omit<Obstacle, 'index'> | undefined => {
    if (downgrade?.isEnabled && downgrade.targetVersion !== '') {
      const downgradeTo = parseVersion(downgrade.targetVersion);
      if (downgradeTo && compareMinor(downgradeTo, target) === 0) return undefined;
      return { kind: 'downgrade', message: `a downgrade to ${downgrade.targetVersion} is enabled` };
    }
    if (cluster === undefined || !isNewer(cluster, target)) return undefined;
    return { kind: 'cluster-version', message: `the cluster version is ${cluster}` };
  };

  const atStart = refusal(version);
  if (atStart) {
    const source = atStart.kind === 'downgrade' ? 'bucket cluster' : snap!.name;
    return [{ ...atStart, message: `${atStart.message} in ${source}` }];
  }
  for (const event of log.events) {
    if (event.index <= start) continue;
    if (event.kind === 'downgrade') downgrade = event;
    if (event.kind !== 'version') continue;
    const found = refusal(event.version);
    if (found) return [{ ...found, index: event.index, message: played(found.message, event.index, target) }];
  }
  return [];
}

function played(message: string, index: number, target: MinorVersion): string {
  return `${message} in entry ${index} of the log, which etcd ${formatMinor(target)} plays back`;
}

function unreadable(snap: Snap): Obstacle {
  return { kind: 'start', message: `the v2 store in ${snap.name} does not decode` };
}

/** Upstream's text. 3.5 ends on such an entry; 3.6 and later would not, but no migration is made for them either. */
function newerEntry(target: MinorVersion, start: number, { schema, log }: MemberState): Obstacle | undefined {
  const current =
    (schema.storageVersion === undefined ? undefined : parseVersion(schema.storageVersion)) ?? target;
  if (compareMinor(target, current) >= 0 && !isBeforeStorageVersion(target)) return undefined;
  let newest = target;
  let index = 0;
  for (const event of log.events) {
    if (event.kind !== 'version-test' || event.index <= start) continue;
    for (const version of [VERSION_TEST_SINCE, parseVersion(event.version) ?? VERSION_TEST_SINCE]) {
      if (compareMinor(version, newest) <= 0) continue;
      newest = version;
      index = event.index;
    }
  }
  if (index === 0) return undefined;
  const versions = `the target version (${formatFull(target)}) is lower than the version (${formatFull(newest)}) detected from WAL logs`;
  return {
    kind: 'newer-entry',
    index,
    message: `cannot downgrade storage, WAL contains newer entries, as ${versions}`,
  };
}

/** 3.6 and later know versions and members from the database; 3.6 also reads .snap, 3.7 does not. */
function obstaclesToBuckets(
  target: MinorVersion,
  start: number,
  member: MemberState,
): (Obstacle | undefined)[] {
  const { schema, log } = member;
  const readsSnap = compareMinor(target, V3_7) < 0;
  const snap = snapAt(start, member);
  if (readsSnap && snap && !snap.store) return [unreadable(snap)];
  const { clusterVersion } = schema;
  const isBucketNewer = clusterVersion !== undefined && isNewer(clusterVersion, target);
  return [
    isBucketNewer
      ? { kind: 'cluster-version', message: `the cluster version is ${clusterVersion} in bucket cluster` }
      : undefined,
    newerInLog(target, start, log.events),
    v2Content(snap),
    customRequests(start, log),
    readsSnap ? undefined : v2Requests(target, start, log),
    wrongMembership(member),
  ];
}

function newerInLog(
  target: MinorVersion,
  start: number,
  events: readonly ClusterEvent[],
): Obstacle | undefined {
  const event = events.find(
    ({ index, ...one }) => index > start && one.kind === 'version' && isNewer(one.version, target),
  );
  if (event?.kind !== 'version') return undefined;
  const message = played(`the cluster version is ${event.version}`, event.index, target);
  return { kind: 'cluster-version', index: event.index, message };
}

/** 3.7 does not even look, but the data would be out of reach all the same. */
function v2Content(snap: Snap | undefined): Obstacle | undefined {
  const [path] = snap?.store?.customPaths ?? [];
  if (path === undefined) return undefined;
  return {
    kind: 'v2-content',
    message: `${snap!.name} holds data of the v2 API (${path}), which no etcd since 3.6 serves`,
  };
}

function customRequests(start: number, { customIndexes, firstCustom }: ClusterLog): Obstacle | undefined {
  const index = customIndexes.findLast((one) => one > start);
  if (index === undefined) return undefined;
  const message = `the log holds requests of the v2 API (${firstCustom}) up to entry ${index}, which no etcd since 3.6 serves`;
  return { kind: 'v2-content', index, message };
}

function v2Requests(target: MinorVersion, start: number, { v2Indexes }: ClusterLog): Obstacle | undefined {
  const index = v2Indexes.findLast((one) => one > start);
  if (index === undefined) return undefined;
  const message = `the log holds v2 requests up to entry ${index}, and etcd ${formatMinor(target)}, which cannot read them, begins to read behind entry ${start}`;
  return { kind: 'v2-request', index, message };
}

function wrongMembership(member: MemberState): Obstacle | undefined {
  const differences = membershipDifferences(member);
  if (differences.length === 0) return undefined;
  return {
    kind: 'membership',
    message: `the database does not know the members right: ${differences.join(', ')}`,
  };
}

/** Of data that 3.5 wrote: how the buckets differ from what 3.5 itself goes by. */
export function membershipDifferences(member: MemberState): string[] {
  const store = v2StoreOf(member);
  if (!store) return [];
  const differences: string[] = [];
  const stored = new Map(member.schema.members.map((one) => [one.id, one]));
  for (const { id, isLearner } of store.members) {
    const row = stored.get(id);
    if (!row) differences.push(`${formatId(id)} is missing`);
    else if (row.isLearner !== isLearner)
      differences.push(`${formatId(id)} is ${isLearner ? 'a learner' : 'a voter'}`);
    stored.delete(id);
  }
  for (const id of stored.keys()) differences.push(`${formatId(id)} is no member any more`);
  return differences;
}

/** The membership that 3.5 goes by, as of the last applied entry; undefined where the buckets are the truth. */
export function v2StoreOf(member: MemberState): V2Store | undefined {
  const { schema, log } = member;
  if (schema.storageVersion !== undefined) return undefined;
  const start = startIndex('3.5', member);
  if (typeof start === 'string') return undefined;
  const snap = snapAt(start, member);
  if (snap && !snap.store) return undefined;
  const store = snap?.store ?? { members: [], removedMembers: [] };
  const replayed = replayMembership(store, log.events, { after: start, upTo: schema.consistentIndex ?? 0 });
  return replayed.members.length > 0 ? replayed : undefined;
}

/** Members, removed ones and cluster version, by whatever the version that wrote the data goes by. */
export function clusterOf(member: MemberState): V2Store {
  const { members, removedMembers, clusterVersion } = member.schema;
  const stored = {
    members: members satisfies Member[],
    removedMembers,
    ...(clusterVersion === undefined ? {} : { clusterVersion }),
  };
  return { ...stored, ...v2StoreOf(member) };
}

function snapAt(index: number, { snaps, records }: Pick<MemberState, 'snaps' | 'records'>): Snap | undefined {
  if (index === 0) return undefined;
  return snaps.find(
    (snap) => snap.index === index && records.some((one) => one.index === index && one.term === snap.term),
  );
}

/** Whether a version as text is newer than a minor version; what is no version counts as newer. */
export function isNewer(text: string, than: MinorVersion): boolean {
  const version = parseVersion(text);
  return !version || compareMinor(version, than) > 0;
}

/** The version a cluster is to have for `target` to start: its own, or `target` when that is older. */
export function clusterVersionFor(target: MinorVersion, version: string | undefined): string | undefined {
  return version !== undefined && isNewer(version, target) ? formatFull(target) : version;
}
