/** Whether a server of each version could start from a directory, and a finding when the one of the data cannot. */
import type { ErrorCode, Severity } from '../errors.ts';
import { compareVersions, knownVersion, type Version, VERSIONS } from '../store/schema/buckets.ts';
import { parseVersion } from '../store/schema/migrate.ts';
import { schemaVersionOf, type SchemaState } from '../store/schema/state.ts';
import { isNewer, type MemberState, obstaclesTo, startIndex } from '../store/upgrade.ts';
import type { StartReport } from './report.ts';
import type { LogSurvey } from './survey.ts';

type Found = (code: ErrorCode, severity: Severity, message: string, file?: string, hint?: string) => void;

/** Gives what each version would do; a finding when the one that wrote the data could not start. */
export function judgeStart(survey: LogSurvey, state: SchemaState, found: Found): StartReport[] {
  if (!survey.isWhole) {
    const obstacle = 'the log is damaged before its end';
    found('log.start', 'fatal', `no server can start: ${obstacle}`);
    return VERSIONS.map((version) => ({ version, obstacle }));
  }
  const member = memberOf(survey, state);
  const starts = VERSIONS.map((version): StartReport => {
    const start = startIndex(version, member);
    if (typeof start === 'string') return { version, obstacle: start };
    const obstacle = obstacleTo(version, start, member);
    if (obstacle !== undefined) return { version, obstacle };
    return { version, from: start === 0 ? 'the beginning of the log' : `the snapshot at ${start}` };
  });
  const writer = writerOf(member);
  const own = starts.find(({ version }) => version === writer) ?? starts.at(-1)!;
  if (own.obstacle === undefined) return starts;
  const able = starts.filter(({ obstacle }) => obstacle === undefined).map(({ version }) => version);
  if (able.length === 0) found('log.start', 'fatal', `no server can start: ${own.obstacle}`);
  else
    found(
      'log.start',
      'lossy',
      `etcd ${own.version} cannot start: ${own.obstacle} (${able.join(', ')} could)`,
    );
  return starts;
}

/** The newest version that left a mark: a new server writes the cluster version at once, the storage version later. */
function writerOf({ schema, log }: MemberState): Version | undefined {
  const inLog = log.events.findLast((event) => event.kind === 'version')?.version;
  const marks = [schemaVersionOf(schema), schema.clusterVersion, inLog];
  const versions = marks.map((mark) => (mark === undefined ? undefined : knownVersion(mark)));
  return versions
    .filter((version) => version !== undefined)
    .sort(compareVersions)
    .at(-1);
}

function memberOf(
  { segments, reader, snaps, snapNames, cluster }: LogSurvey,
  schema: SchemaState,
): MemberState {
  return {
    schema,
    log: cluster,
    segments,
    records: reader.snapshots.map(({ snapshot }) => snapshot),
    commit: reader.state?.commit ?? 0,
    lastIndex: reader.lastIndex ?? 0,
    snaps,
    snapNames,
  };
}

/** What stops a server that begins at the snapshot `start`. */
function obstacleTo(version: Version, start: number, member: MemberState): string | undefined {
  if (version === '3.4') return obstacleTo34(start, member);
  const { storageVersion, members, consistentIndex } = member.schema;
  const target = parseVersion(version)!;
  if (compareVersions(version, '3.6') >= 0) {
    if (storageVersion !== undefined && isNewer(storageVersion, target))
      return `the storage version is ${storageVersion}`;
    if (consistentIndex === undefined && members.length > 0) {
      return 'the database lists members without saying which entry of the log it applied last, so they would be added twice';
    }
  }
  return obstaclesTo(target, member)[0]?.message;
}

/** 3.4 goes by v2 requests alone, and can apply none of the requests that came after it. */
function obstacleTo34(start: number, { schema, log, snaps }: MemberState): string | undefined {
  const target = parseVersion('3.4')!;
  const snap = snaps.find(({ index }) => index === start);
  const stored = snap?.store?.clusterVersion;
  if (stored !== undefined && isNewer(stored, target))
    return `the cluster version is ${stored} in ${snap!.name}`;
  for (const event of log.events) {
    if (event.index <= start || event.kind === 'change') continue;
    const isV2 = log.v2Indexes.includes(event.index);
    if (isV2 && event.kind === 'version' && isNewer(event.version, target)) {
      return `the cluster version is ${event.version} in entry ${event.index} of the log`;
    }
    if (!isV2 && event.index > (schema.consistentIndex ?? 0))
      return `entry ${event.index} of the log is a request that it does not know`;
  }
  return undefined;
}
