/**
 * A directory in which a member was before: everything its log holds is applied, and a new term begins, as when a
 * one-voter etcd starts again. What this server cannot be is refused before anything is changed.
 * etcd v3.6 server/etcdserver/bootstrap.go, raft.go; which entries count: `store/replay.ts`.
 */
import type { Disk } from '../../bytes/disk.ts';
import { CorruptError, UnsupportedError, UsageError } from '../../errors.ts';
import { ClusterLog } from '../../store/cluster-log.ts';
import { Applier } from '../../store/apply/applier.ts';
import { Users } from '../../store/apply/users.ts';
import type { DurableBackend } from '../../store/backend/backend.ts';
import { KeyValues } from '../../store/mvcc/key-values.ts';
import { compareVersions, knownVersion, type Version, VERSIONS } from '../../store/schema/buckets.ts';
import { parseVersion } from '../../store/schema/migrate.ts';
import { schemaVersionOf } from '../../store/schema/state.ts';
import { isNewer } from '../../store/upgrade.ts';
import { assertEnforceable } from '../auth/enforceable.ts';
import { repairLog } from './log-repair.ts';
import type { MemberFiles } from './member-files.ts';
import type { OpenMemberOptions, StartedMember } from './member-options.ts';
import { changesToOneMember, sayWhatIsDropped } from './forced.ts';
import { confStateOf } from './membership.ts';
import { applyOwn, batchOf, NO_OP, type OwnBatch, OwnEntries } from './own-entries.ts';
import { RaftLog } from '../raft-log/raft-log.ts';
import { RequestIds } from './request-ids.ts';

const NEWEST = parseVersion(VERSIONS.at(-1)!)!;

/** Throws `log.start` or a version that is not known; the directory is as it was then. */
export function assertUsable({ schema, tail, paths }: MemberFiles): void {
  const applied = schema?.consistentIndex ?? 0;
  if (applied > tail.lastIndex) {
    throw new CorruptError(
      'log.tail',
      `the database has applied entry ${applied}, but the log ends with ${tail.lastIndex}: entries that were acknowledged are gone from it`,
      {
        where: { file: paths.walDir },
        hint: 'give --wal-dir if the log is elsewhere; otherwise restore the database into a new directory: etcdkit snapshot restore',
      },
    );
  }
  for (const text of [schema?.storageVersion, schema?.clusterVersion]) {
    // An older one is known well enough: a cluster of several is of 3.0 until its members have spoken.
    if (text === undefined || !isNewer(text, NEWEST)) continue;
    throw new UnsupportedError(
      'schema.version',
      `the directory is of version ${text}, which this build does not know`,
      {
        where: { file: paths.database },
      },
    );
  }
}

/** The newest version that left a mark. Undefined for a database to which nothing was applied yet, or none. */
function ownVersion({ schema }: MemberFiles): Version | undefined {
  if (!schema || (schema.consistentIndex === undefined && schema.storageVersion === undefined))
    return undefined;
  const cluster = schema.clusterVersion === undefined ? undefined : knownVersion(schema.clusterVersion);
  return [schemaVersionOf(schema), cluster]
    .filter((version) => version !== undefined)
    .sort(compareVersions)
    .at(-1);
}

/** Of a directory without a database the log says it, if anything does. */
async function versionInLog({ tail }: MemberFiles): Promise<Version | undefined> {
  const cluster = new ClusterLog();
  await tail.visit({ after: tail.from, upTo: tail.lastIndex }, (entry, at) =>
    cluster.add({ kind: 'entry', ...entry, isVerified: true, at }),
  );
  const event = cluster.events.findLast(({ kind }) => kind === 'version');
  return event?.kind === 'version' ? knownVersion(event.version) : undefined;
}

interface Versions {
  /** Of the data. */
  own: Version;
  /** Whose bytes to write. */
  written: Version;
}

/** Throws when the version asked for could not read what is there. */
async function chooseVersions(files: MemberFiles, emulate: Version | undefined): Promise<Versions> {
  const own = ownVersion(files) ?? (await versionInLog(files)) ?? emulate ?? '3.6';
  if (emulate === undefined || compareVersions(emulate, own) >= 0) return { own, written: emulate ?? own };
  throw new UsageError(
    'server.config',
    `the directory is of etcd ${own}: etcd ${emulate} could not start on it, so it is not emulated there`,
    { hint: `leave --emulate out, or migrate a copy first: etcdkit migrate --target-version ${emulate}` },
  );
}

/**
 * Applies the rest of the log, and begins a term. The log is durable when it returns; what is applied becomes so with
 * the backend's next commit, which may come at any time after an error too.
 */
export async function startExistingMember(
  backend: DurableBackend,
  files: MemberFiles,
  options: OpenMemberOptions,
): Promise<StartedMember> {
  const { paths, tail, last: segment, snap } = files;
  const { disk, pacer, log: messages, name, isForcedNew = false, nowMs = Date.now } = options;
  const { own, written: version } = await chooseVersions(files, options.emulate);
  const hasTerm = compareVersions(own, '3.5') >= 0;
  await syncFile(segment.path, disk);
  const applier = new Applier(backend, await KeyValues.open(backend, pacer), {
    ...options.applying?.(backend),
    hasTerm,
  });
  const last = isForcedNew ? tail.committed : tail.lastIndex;
  await tail.visit({ after: tail.from, upTo: last }, (entry, at) => void applier.apply(entry, at));
  assertEnforceable(new Users(backend), paths.dataDir);

  if (files.cut) await repairLog(files.cut, { disk, pacer, log: messages });
  const log = openLog(files, version, options);
  try {
    const { nodeId: memberId, clusterId } = tail.metadata!;
    const requestIds = new RequestIds(memberId, nowMs());
    if (isForcedNew) sayWhatIsDropped(files, messages);
    const term = Math.max(log.state.term, tail.lastTerm) + 1;
    const entries = new OwnEntries(version, requestIds);
    const batches = nextBatches({ files, applier, entries, term, after: last }, options);
    // A state says what is committed, so it comes after what it speaks of is durable.
    for (const batch of batches) {
      log.append(batch.entries, batch.state);
      await log.sync();
    }
    applyOwn(applier, batches);
    log.release(snap?.index ?? 0);
    return {
      backend,
      applier,
      log,
      identity: { memberId, clusterId, name },
      term,
      lastIndex: log.lastIndex,
      snapshotIndex: snap?.index ?? 0,
      confState: confStateOf(applier),
      version,
      clusterVersion: applier.cluster.version,
      isNew: false,
      isRepaired: files.cut !== undefined,
      requestIds,
    };
  } catch (error) {
    await log.close().catch(() => {});
    throw error;
  }
}

/** What was read of a log may not be on the disk yet; the database must never know more than the log. */
async function syncFile(path: string, disk: Disk): Promise<void> {
  const fd = disk.openForUpdate(path);
  try {
    await disk.startSync(fd);
  } finally {
    disk.close(fd);
  }
}

interface Beginning {
  files: MemberFiles;
  applier: Applier;
  entries: OwnEntries;
  term: number;
  after: number;
}

/** The others leave, should that be forced; the member wins an election, and publishes itself where it has changed. */
function nextBatches(
  { files, applier, entries, term, after }: Beginning,
  { name, advertiseClientUrls, isForcedNew = false }: OpenMemberOptions,
): OwnBatch[] {
  const { tail } = files;
  const id = tail.metadata!.nodeId;
  const oldTerm = tail.state?.term ?? 1;
  const forced = isForcedNew
    ? batchOf(changesToOneMember(files, applier, entries), { term: oldTerm, after })
    : { entries: [] };
  const joined = after + forced.entries.length;
  const clientUrls = [...advertiseClientUrls];
  const stored = applier.cluster.members().find((member) => member.id === id);
  const isPublished = stored?.name === name && stored.clientUrls.join() === clientUrls.join();
  const bodies = isPublished ? [NO_OP] : [NO_OP, entries.attributes({ id, name, clientUrls })];
  return [
    forced,
    { entries: [], state: { term, vote: id, commit: joined } },
    batchOf(bodies, { term, after: joined }),
  ];
}

function openLog(files: MemberFiles, version: Version, options: OpenMemberOptions): RaftLog {
  const { paths, tail, last } = files;
  const { disk, log, segmentBytes, snapshotsMax, walsMax, stats } = options;
  const { offset, crc } = tail.end!;
  const { metadata, state, lastIndex } = tail;
  const place = { path: last.path, sequence: last.sequence, offset, crc };
  return RaftLog.open({
    disk,
    ...paths,
    version,
    log,
    segmentBytes,
    snapshotsMax,
    walsMax,
    stats,
    tail: { metadata: metadata!, state, lastIndex, ...place },
  });
}
