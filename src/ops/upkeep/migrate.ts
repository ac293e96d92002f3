/**
 * `migrate`: makes a stopped member's files fit another version of etcd. What upstream does changes one field of
 * the database and often leaves files the target server dies of; here the server is known to start, or nothing
 * was changed and the reason is told. How the files take their places is `swap.ts`'s business.
 */
import { existsSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { ioError } from '../../bytes/io-error.ts';
import { identityOf } from '../../bytes/openers.ts';
import { isLockedByOther, type Lock, lockExclusive } from '../../bytes/lock.ts';
import { Pacer } from '../../bytes/pacer.ts';
import { CorruptError, RefusedError, ToolError, UsageError } from '../../errors.ts';
import { DATABASE_NAME, MEMBER_DIRECTORY, SNAP_DIRECTORY, WAL_DIRECTORY } from '../../format/datadir.ts';
import { listSegments } from '../../format/wal/log.ts';
import {
  compareMinor,
  detectSchema,
  formatMinor,
  isBeforeStorageVersion,
  type MinorVersion,
} from '../../store/schema/migrate.ts';
import { obstaclesTo } from '../../store/upgrade.ts';
import { type Context, plainContext } from '../context.ts';
import { assertNoWriter, lockDatabase } from './exclusive.ts';
import { stageDatabase, stageSegment, stageSnap } from './migrate-files.ts';
import { type MemberLog, type MemberPaths, readMember, readSchema } from './migrate-member.ts';
import { type MigrationPlan, planAll } from './migrate-plan.ts';
import { removeLeftovers, Swap, TEMPORARY_NAMES } from './swap.ts';

export interface MigrateOptions {
  dataDir: string;
  /** Where `--wal-dir` put the log. */
  walDir?: string | undefined;
  /** See `parseTarget`. */
  target: MinorVersion;
  /** Go on where a plan, or the target server, would not have it. */
  force?: boolean;
  /** Only say what would be done. */
  isDryRun?: boolean;
  /** Change cluster version, downgrade, members and log as far as the target server needs it. */
  fixClusterVersion?: boolean;
  /** How long to wait for the lock of the database; 0 waits for ever. */
  timeoutMs: number;
  /** Go on where this host cannot lock. */
  allowUnlocked?: boolean;
}

export interface MigrateReport {
  path: string;
  /** `3.6` */
  from: string;
  to: string;
  /** Each storage version on the way, `3.5.0`; none when it was right before. */
  steps: string[];
  /** What stood in the target server's way. */
  found: string[];
  /** What was done about it. */
  fixes: string[];
  /** What still stands there, under force. */
  remaining: string[];
  /** Worth knowing. */
  notes: string[];
  isForced: boolean;
  isDryRun: boolean;
  tookMs: number;
}

/** Throws before anything took an old file's place, or with the old files back in theirs. */
export async function migrate(options: MigrateOptions, context: Context): Promise<MigrateReport> {
  const began = performance.now();
  const memberDir = join(options.dataDir, MEMBER_DIRECTORY);
  const snapDir = join(memberDir, SNAP_DIRECTORY);
  const paths = {
    database: join(snapDir, DATABASE_NAME),
    snapDir,
    walDir: options.walDir ?? join(memberDir, WAL_DIRECTORY),
  };
  const pacer = new Pacer({ signal: context.signal, progress: context.progress?.('migrating') });
  assertFile(paths.database);
  const lock = await lockMember(paths, options, context);
  try {
    const schema = readSchema(paths.database);
    const from = detectSchema(schema, paths.database);
    const isUpToDate = compareMinor(from, options.target) === 0;
    if (isUpToDate) context.log.info({ 'storage-version': formatMinor(from) }, 'storage version up-to-date');
    const report: MigrateReport = {
      path: paths.database,
      from: formatMinor(from),
      to: formatMinor(options.target),
      steps: [],
      found: [],
      fixes: [],
      remaining: [],
      notes: [],
      isForced: false,
      isDryRun: options.isDryRun ?? false,
      tookMs: 0,
    };
    if (isUpToDate && !existsSync(paths.walDir))
      report.notes.push(`there is no log at ${paths.walDir}: only the database was looked at`);
    else await migrateMember({ paths, from, report, pacer }, options, context);
    return { ...report, tookMs: performance.now() - began };
  } finally {
    lock?.release();
  }
}

interface Job {
  paths: MemberPaths;
  from: MinorVersion;
  report: MigrateReport;
  pacer: Pacer;
}

async function migrateMember(job: Job, options: MigrateOptions, context: Context): Promise<void> {
  const { paths, report, pacer, from } = job;
  const { target, fixClusterVersion: isFixing = false, force: isForced = false, dataDir } = options;
  const { state, log } = await readMember(paths, context.log, pacer);
  const plan = planAll(state, log, { from, target, isFixing, isForced, dataDir });
  report.steps = plan.steps;
  report.found = plan.found.map(({ message }) => message);
  report.fixes = plan.fix?.changes ?? [];
  report.remaining = plan.remaining.map(({ message }) => message);
  report.notes.push(...plan.notes);
  report.isForced = plan.failure !== undefined || plan.remaining.length > 0;
  if (plan.failure)
    context.log.info({ error: plan.failure.message }, 'normal migrate failed, trying with force');
  for (const obstacle of report.remaining)
    context.log.warn({ obstacle }, `etcd ${formatMinor(target)} will not start from the result`);
  if (options.isDryRun) return;
  pacer.check();
  removeLeftovers(context.disk, paths);
  if (plan.edits.size === 0 && !plan.fix) return;
  await write(plan, job, log, options, context);
  logDone(plan, options.target, context);
}

function assertFile(path: string): void {
  try {
    if (!lstatSync(path).isFile()) throw new UsageError('io.not-a-file', `${path} is not a regular file`);
  } catch (error) {
    throw error instanceof ToolError ? error : ioError(error, { operation: 'stat', path });
  }
}

/** A dry run only looks whether others hold a lock: it must do on read-only storage too. */
async function lockMember(
  paths: MemberPaths,
  options: MigrateOptions,
  context: Context,
): Promise<Lock | undefined> {
  const { timeoutMs, allowUnlocked, isDryRun } = options;
  if (isDryRun) {
    assertUnlocked(paths.database);
    assertNoWriter(paths.database, identityOf(paths.database));
  }
  const lock = isDryRun
    ? undefined
    : await lockDatabase(paths.database, { timeoutMs, allowUnlocked }, context);
  try {
    if (existsSync(paths.walDir))
      for (const { path } of listSegments(paths.walDir).segments) assertUnlocked(path);
    return lock;
  } catch (error) {
    lock?.release();
    throw error;
  }
}

function assertUnlocked(path: string): void {
  if (!isLockedByOther(path)) return;
  throw new RefusedError('lock.held', `${path} is locked by another process: a running etcd?`, {
    where: { file: path },
    hint: 'stop that etcd first',
  });
}

/** Builds the new files, lets them take their places, and keeps the old ones until the new ones are proven. */
async function write(
  plan: MigrationPlan,
  job: Job,
  log: MemberLog,
  options: MigrateOptions,
  context: Context,
): Promise<void> {
  const { disk } = context;
  const { paths, pacer } = job;
  const { fix, edits } = plan;
  const { target, allowUnlocked, timeoutMs } = options;
  const swap = new Swap(disk);
  const old = identityOf(paths.database);
  let newLock: Lock | undefined;
  try {
    if (fix) swap.add(stageSnap(disk, paths, fix, target), TEMPORARY_NAMES.snap.backup);
    if (fix && (fix.needsRecord || fix.commit !== undefined)) {
      swap.add(await stageSegment(disk, log, fix, target, pacer), TEMPORARY_NAMES.segment.backup);
    }
    if (edits.size > 0) {
      const staged = await stageDatabase(disk, paths.database, edits, pacer);
      swap.add(staged, TEMPORARY_NAMES.database.backup);
      // The lock goes with the file: no server may touch the new one before it is proven.
      newLock = await lockExclusive(staged.temporary, { timeoutMs, signal: context.signal, allowUnlocked });
    }
    pacer.check();
    swap.run();
    assertNoWriter(paths.database, edits.size > 0 ? old : undefined);
    await prove(plan, job, options);
  } catch (error) {
    swap.undo();
    throw error;
  } finally {
    newLock?.release();
  }
  const left = swap.finish();
  if (left.length > 0)
    context.log.warn({ files: left }, 'old files could not be removed; nothing needs them');
}

/** Looks at the member as the target server will. */
async function prove(plan: MigrationPlan, job: Job, { target }: MigrateOptions): Promise<void> {
  const { state } = await readMember(job.paths, plainContext().log, new Pacer());
  const remaining = obstaclesTo(target, state).filter(({ kind }) =>
    plan.remaining.every((known) => known.kind !== kind),
  );
  const version =
    plan.edits.size === 0 || compareMinor(detectSchema(state.schema, job.paths.database), target) === 0;
  if (remaining.length === 0 && version) return;
  throw new CorruptError(
    'migrate.failed',
    `the migrated files do not read back as planned: ${remaining.map(({ message }) => message).join('; ')}`,
    {
      where: { file: job.paths.database },
    },
  );
}

function logDone({ steps, failure, fix }: MigrationPlan, target: MinorVersion, { log }: Context): void {
  if (!failure)
    for (const step of steps) log.info({ 'new-storage-version': step }, 'updated storage version');
  else if (isBeforeStorageVersion(target)) log.warn({}, 'forcefully cleared storage version');
  else log.warn({ 'storage-version': formatMinor(target) }, 'forcefully set storage version');
  for (const change of fix?.changes ?? []) log.info({ change }, 'fixed what stood in the way');
}
