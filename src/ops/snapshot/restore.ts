/**
 * `snapshot restore`: member directories of a new cluster from a snapshot. The source is read once and checked on
 * the way, everything is built under temporary names and read back, and only then given its own, the database
 * last. A run that fails or is interrupted leaves nothing.
 */
import { join } from 'node:path';
import type { Disk, Owner } from '../../bytes/disk.ts';
import { Pacer } from '../../bytes/pacer.ts';
import { CorruptError, ToolError, UsageError } from '../../errors.ts';
import { formatId } from '../../format/ids.ts';
import { DATABASE_NAME } from '../../format/datadir.ts';
import type { Member } from '../../format/proto/member-json.ts';
import { type Database, openDatabase } from '../../store/database.ts';
import type { Version } from '../../store/schema/buckets.ts';
import { advised, withVerify } from '../advice.ts';
import type { Context } from '../context.ts';
import { type Bump, planBump } from './restore/bump.ts';
import {
  DEFAULT_CLUSTER,
  DEFAULT_NAME,
  DEFAULT_PEER_URLS,
  DEFAULT_TOKEN,
  planCluster,
  type RestoredCluster,
} from '../../store/cluster-plan.ts';
import {
  copyDatabase,
  type DatabaseJob,
  type DatabaseResult,
  type Layout,
  rehearse,
  writeDatabase,
} from './restore/database.ts';
import { type EditPlan, planEdits } from './restore/edits.ts';
import { isDirectory, notesOf, withBackupOf } from './restore/directory.ts';
import { writeMemberFiles } from './restore/member.ts';
import { makeReport, type RestoreReport } from './restore/report.ts';
import { DigestCheck, readFacts, type SnapshotFacts } from './restore/source.ts';
import {
  assertFree,
  assertSpace,
  assertWritable,
  type MemberTarget,
  ownedDisk,
  ownerOf,
  snapDirOf,
  spaceNeeds,
  Staging,
  walDirOf,
} from './restore/target.ts';

export type { RestoreReport } from './restore/report.ts';
export { assertSpace } from './restore/target.ts';

/** Where the members come to be. */
export type RestoreTarget =
  | {
      /** This member; `default` if not given. */
      name?: string | undefined;
      /** `<name>.etcd` if not given. */
      dataDir?: string | undefined;
      /** Inside the data directory if not given. */
      walDir?: string | undefined;
      /** This member's peer URLs, separated by commas. */
      peerUrls?: string | undefined;
    }
  /** Every member, each in `<directory>/<name>.etcd`. */
  | { allMembers: string };

export interface RestoreOptions {
  target: RestoreTarget;
  /** `name=url,name=url,…` */
  initialCluster?: string | undefined;
  token?: string | undefined;
  /** Names of members that do not vote. */
  learners?: readonly string[];
  /** The etcd that will run on it; that of the snapshot if not given. */
  targetVersion?: Version | undefined;
  isHashSkipped?: boolean;
  layout?: Layout;
  /** How far to raise the revision; `auto` needs `oldDataDir`. */
  bump?: number | 'auto';
  /** A surviving data directory of the old cluster. */
  oldDataDir?: string | undefined;
  /** Whose the result is to be. */
  owner?: Owner | undefined;
  /** Without a meaning here, since nothing is mapped; only logged. */
  mapSizeBytes?: number | undefined;
  isDryRun?: boolean;
  /** Address of a host name in a peer URL; the system's answer if not given. */
  resolve?: (host: string) => Promise<string>;
}

/** What etcdutl maps, and logs, when it is not told otherwise. */
const UPSTREAM_MAP_SIZE = 10 * 2 ** 30;

/** One member that gets a directory. */
interface Local {
  member: Member;
  target: MemberTarget;
}

/** Everything that is decided before a byte is written. */
interface Plan {
  path: string;
  cluster: RestoredCluster;
  locals: Local[];
  facts: SnapshotFacts;
  targetVersion: Version;
  bump: Bump | undefined;
  edits: EditPlan;
  job: DatabaseJob;
  digest: DigestCheck;
  pacer: Pacer;
}

/**
 * Restores the snapshot in `path`, or what the stopped member in the directory `path` holds. Throws before anything
 * appeared, or returns after everything did.
 */
export async function restoreSnapshot(
  path: string,
  options: RestoreOptions,
  context: Context,
): Promise<RestoreReport> {
  if (!isDirectory(path)) return restoreBackup(path, options, context);
  const { target, isDryRun = false } = options;
  const folder =
    'allMembers' in target
      ? join(target.allMembers, DEFAULT_NAME)
      : target.dataDir || `${target.name ?? DEFAULT_NAME}.etcd`;
  const source = { path, target: folder, isDryRun };
  return withBackupOf(source, context, async (backup, saved) => {
    const report = await restoreBackup(backup, options, context);
    return { ...report, path, notes: [...notesOf(saved), ...report.notes] };
  });
}

async function restoreBackup(
  path: string,
  options: RestoreOptions,
  context: Context,
): Promise<RestoreReport> {
  const began = performance.now();
  const cluster = await planTargetCluster(options);
  const locals = localsOf(cluster, options.target);
  for (const { target } of locals) {
    for (const leftover of assertFree(target)) {
      context.log.warn({ path: leftover }, 'left behind by an interrupted restore, and may be removed');
    }
  }
  logPaths('restoring snapshot', path, locals, options, context);
  const digest = new DigestCheck(path, { isSkipped: options.isHashSkipped ?? false });
  try {
    const database = openDatabase(path);
    try {
      const plan = await makePlan({ path, cluster, locals, database, digest }, options, context);
      const result = options.isDryRun
        ? await rehearsePlan(plan, context)
        : await build(plan, options, context);
      if (!options.isDryRun) logPaths('restored snapshot', path, locals, options, context);
      return reportOf(plan, result, options, began);
    } finally {
      database.close();
    }
  } catch (error) {
    throw await explain(error, { path, digest, signal: context.signal });
  } finally {
    digest.close();
  }
}

function planTargetCluster(options: RestoreOptions): Promise<RestoredCluster> {
  const { target } = options;
  const local =
    'allMembers' in target
      ? undefined
      : { name: target.name ?? DEFAULT_NAME, peerUrls: target.peerUrls ?? DEFAULT_PEER_URLS };
  return planCluster({
    initialCluster: options.initialCluster ?? DEFAULT_CLUSTER,
    token: options.token ?? DEFAULT_TOKEN,
    local,
    learners: options.learners ?? [],
    resolve: options.resolve,
  });
}

function localsOf({ locals }: RestoredCluster, target: RestoreTarget): Local[] {
  if (!('allMembers' in target)) {
    const member = locals[0]!;
    return [
      {
        member,
        target: { dataDir: target.dataDir || `${member.name}.etcd`, walDir: target.walDir || undefined },
      },
    ];
  }
  return locals.map((member) => {
    if (/[/\\]/.test(member.name) || member.name.startsWith('.')) {
      throw new UsageError(
        'usage',
        `member ${JSON.stringify(member.name)} cannot give its name to a directory: restore each member on its own`,
      );
    }
    return { member, target: { dataDir: join(target.allMembers, `${member.name}.etcd`), walDir: undefined } };
  });
}

/** The messages, with the fields, that etcdutl begins and ends with. */
function logPaths(
  message: string,
  path: string,
  locals: Local[],
  { mapSizeBytes }: RestoreOptions,
  { log }: Context,
): void {
  for (const { target } of locals) {
    const fields = {
      path,
      'wal-dir': walDirOf(target),
      'data-dir': target.dataDir,
      'snap-dir': snapDirOf(target),
      'initial-memory-map-size': mapSizeBytes ?? UPSTREAM_MAP_SIZE,
    };
    log.info(fields, message);
  }
  if (mapSizeBytes !== undefined && message.startsWith('restoring')) {
    log.info(
      { 'initial-memory-map-size': mapSizeBytes },
      'nothing is mapped into memory, so this size has no meaning here',
    );
  }
}

interface Start {
  path: string;
  cluster: RestoredCluster;
  locals: Local[];
  database: Database;
  digest: DigestCheck;
}

async function makePlan(start: Start, options: RestoreOptions, context: Context): Promise<Plan> {
  const { database, cluster } = start;
  const layout = options.layout ?? 'packed';
  const facts = readFacts(database, { isQuick: layout === 'quick' });
  const targetVersion = options.targetVersion ?? facts.version;
  const bump = await planBump(
    options.bump ?? 0,
    { revision: facts.revision, oldDataDir: options.oldDataDir },
    context,
  );
  const edits = planEdits(cluster, facts, { target: targetVersion, bump });
  const pacer = new Pacer({ signal: context.signal, progress: context.progress?.('restoring') });
  const job: DatabaseJob = { database, facts, edits: edits.edits, layout, pacer };
  return { ...start, facts, targetVersion, bump, edits, job, pacer };
}

/** Goes through all checks, and writes nothing. */
async function rehearsePlan({ job, digest, locals }: Plan, { signal }: Context): Promise<DatabaseResult> {
  for (const { target } of locals) assertWritable(target.dataDir);
  const result = await rehearse(job);
  await digest.assertGood(signal);
  digest.assertUnmoved();
  return result;
}

interface Place extends Local {
  /** What is made on it is the target's owner's. */
  disk: Disk;
  snapDir: string;
  walDir: string;
  database: string;
}

async function build(plan: Plan, options: RestoreOptions, context: Context): Promise<DatabaseResult> {
  const { locals, job, digest, pacer } = plan;
  const staging = new Staging(context.disk);
  try {
    const places = locals.map((local) =>
      placeOf(local, staging, { disk: context.disk, owner: options.owner }),
    );
    const [first, ...others] = places as [Place, ...Place[]];
    const result = await writeDatabase(first.disk, first.database, job);
    await digest.assertGood(context.signal);
    logChanges(plan, context);
    const otherTargets = others.map(({ target }) => target);
    assertSpace(spaceNeeds(otherTargets, result.sizeBytes));
    for (const { disk, database } of others) await copyDatabase(disk, first.database, database, pacer);
    for (const { disk, member, snapDir, walDir } of places) {
      writeMemberFiles(disk, { cluster: plan.cluster, member, target: plan.targetVersion, snapDir, walDir });
    }
    digest.assertUnmoved();
    pacer.check();
    staging.commit();
    return result;
  } finally {
    staging.discard();
  }
}

/** The log first: it is the database that makes a directory look whole. */
function placeOf(local: Local, staging: Staging, given: { disk: Disk; owner: Owner | undefined }): Place {
  const { target } = local;
  const owner = given.owner ?? ownerOf(target.dataDir);
  const walDir = staging.place(walDirOf(target), owner);
  const snapDir = staging.place(snapDirOf(target), owner);
  const database = join(snapDir, DATABASE_NAME);
  return { ...local, disk: ownedDisk(given.disk, owner), walDir, snapDir, database };
}

/** What etcdutl says of its steps; operators compare these lines between members. */
function logChanges({ cluster, bump, targetVersion, facts }: Plan, { log }: Context): void {
  log.info({}, 'Trimming membership information from the backend...');
  if (bump) {
    const { revision, amount, newRevision } = bump;
    const fields = { 'latest-revision': revision, 'bump-amount': amount, 'new-latest-revision': newRevision };
    log.info(fields, 'bumping latest revision');
    log.info({ revision: newRevision }, 'marking revision compacted');
  }
  if (targetVersion !== facts.version)
    log.info({ 'new-storage-version': `${targetVersion}.0` }, 'updated storage version');
  for (const member of cluster.members) {
    const fields = {
      'cluster-id': formatId(cluster.id),
      'local-member-id': '0',
      'added-peer-id': formatId(member.id),
      'added-peer-peer-urls': member.peerUrls,
      'added-peer-is-learner': member.isLearner,
    };
    log.info(fields, 'added member');
  }
}

function reportOf(plan: Plan, result: DatabaseResult, options: RestoreOptions, began: number): RestoreReport {
  const { path, locals, facts, cluster, job, digest, targetVersion, bump } = plan;
  return makeReport({
    path,
    isDryRun: options.isDryRun ?? false,
    clusterId: cluster.id,
    members: cluster.members.map(({ id, name, peerUrls, isLearner }) => {
      const target = locals.find((local) => local.member.id === id)?.target;
      const paths = target ? { dataDir: target.dataDir, walDir: walDirOf(target) } : {};
      return { id, name, peerUrls, isLearner, ...paths };
    }),
    snapshot: facts,
    targetVersion,
    clusterVersion: plan.edits.clusterVersion,
    bump,
    sourceBytes: job.database.source.size,
    result,
    digest: digest.kind,
    layout: job.layout,
    space: options.isDryRun
      ? spaceNeeds(
          locals.map(({ target }) => target),
          result.sizeBytes,
        )
      : [],
    tookMs: performance.now() - began,
  });
}

interface Explained {
  path: string;
  digest: DigestCheck;
  signal: AbortSignal | undefined;
}

/** A file that changed explains damage best, then a digest that does not match; otherwise verify tells more. */
async function explain(error: unknown, { path, digest, signal }: Explained): Promise<unknown> {
  if (!(error instanceof CorruptError)) return error;
  try {
    digest.assertUnmoved();
    await digest.assertGood(signal);
  } catch (better) {
    if (!(better instanceof ToolError)) return error;
    return better instanceof CorruptError ? withVerify(better, path, error) : better;
  }
  return advised(error, path);
}
