/** Decides what a migration has to change, or why there is none. Pure. */
import { CorruptError, RefusedError, ToolError, UnsupportedError, UsageError } from '../../errors.ts';
import type { Edits } from '../../store/rewrite.ts';
import {
  compareMinor,
  editsOf,
  formatFull,
  formatMinor,
  isBeforeStorageVersion,
  mergeEdits,
  type MinorVersion,
  parseVersion,
  planMigration,
  storageVersionEdits,
} from '../../store/schema/migrate.ts';
import { clusterVersionFor, type MemberState, type Obstacle, obstaclesTo } from '../../store/upgrade.ts';
import { afterFix, type Fix, planFix } from '../../store/upgrade-fix.ts';
import type { MemberLog } from './migrate-member.ts';

/** What is to be done, before anything is. */
export interface MigrationPlan {
  /** Each storage version on the way, `3.5.0`. */
  steps: string[];
  /** Why upstream's own migration fails, where force made up for that. */
  failure: ToolError | undefined;
  edits: Edits;
  /** What stands in the target server's way. */
  found: Obstacle[];
  fix: Fix | undefined;
  /** What of it, or of what the fix would cost, is left; only under force. */
  remaining: Obstacle[];
  notes: string[];
}

export interface PlanOptions {
  from: MinorVersion;
  target: MinorVersion;
  isFixing: boolean;
  isForced: boolean;
  /** For messages. */
  dataDir: string;
}

const FIX_FLAG = '--fix-cluster-version';
const OLDEST: MinorVersion = { major: 3, minor: 5 };

/** A target as the command line has it, `3.6`. Throws `usage.arguments`. */
export function parseTarget(text: string): MinorVersion {
  const bad = (message: string): UsageError => new UsageError('usage.arguments', message);
  const parts = text.split('.');
  if (parts.length !== 2)
    throw bad(`wrong target version format, expected "X.Y", got ${JSON.stringify(text)}`);
  const wrong = parts.find((part) => !/^\d{1,9}$/.test(part));
  if (wrong !== undefined) {
    throw bad(
      `failed to parse target version: strconv.ParseInt: parsing ${JSON.stringify(wrong)}: invalid syntax`,
    );
  }
  const target = parseVersion(text)!;
  if (compareMinor(target, OLDEST) < 0)
    throw bad(`target version "${formatMinor(target)}" not supported. Minimal "3.5"`);
  return target;
}

/** Throws `migrate.unsupported` or `migrate.blocked` where there is nothing sound to do and nothing is forced. */
export function planAll(state: MemberState, log: MemberLog, options: PlanOptions): MigrationPlan {
  const { target, isFixing, isForced } = options;
  const found = obstaclesTo(target, state);
  // A fix that was killed before it reached the database leaves no obstacle, but a newer version in the bucket.
  const { clusterVersion } = state.schema;
  const isBucketNewer = clusterVersionFor(target, clusterVersion) !== clusterVersion;
  const fix = isFixing && (found.length > 0 || isBucketNewer) ? fixFor(target, state, log) : undefined;
  const remaining = fix ? leftBy(fix, found, state, options) : found;
  const steps = stepsOf(options, remaining);
  const failure = steps instanceof ToolError ? steps : undefined;
  if (failure && !isForced) throw explained(failure, found, fix, { state, log, options });
  if (remaining.length > 0 && !isForced)
    throw explained(blockedBy(remaining, options), found, fix, { state, log, options });
  return {
    steps: steps instanceof ToolError ? [formatFull(target)] : steps.map(({ to }) => formatFull(to)),
    failure,
    edits: mergeEdits(
      steps instanceof ToolError ? storageVersionEdits(target) : editsOf(steps),
      fix?.edits ?? new Map(),
    ),
    found,
    fix,
    remaining,
    notes: notesOn(state, fix, target),
  };
}

/** A torn end is repaired by any server; what a writer would cut off with it must not be more. */
function fixFor(target: MinorVersion, state: MemberState, { nodeId, end }: MemberLog): Fix {
  if (end.intactAfter > 0) {
    throw new CorruptError(
      'wal.torn',
      `the log's last write is torn, and ${end.intactAfter} intact records follow`,
      {
        where: { file: end.file, offset: end.offset },
        hint: 'etcdkit snapshot verify on the data directory shows what is wrong with the log',
      },
    );
  }
  return planFix(target, state, nodeId);
}

/** A fix puts data of the v2 API out of reach for good, which takes more than a fix to ask for. */
function leftBy(
  fix: Fix,
  found: readonly Obstacle[],
  state: MemberState,
  { target, isForced }: PlanOptions,
): Obstacle[] {
  const lost = isForced ? [] : found.filter(({ kind }) => kind === 'v2-content');
  const after = obstaclesTo(target, afterFix(target, state, fix));
  return [...after.filter(({ kind }) => lost.every((one) => one.kind !== kind)), ...lost];
}

/** The steps, or what upstream's own migration fails on. */
function stepsOf(
  { from, target }: PlanOptions,
  remaining: readonly Obstacle[],
): ReturnType<typeof planMigration> | ToolError {
  try {
    const steps = planMigration(from, target);
    const newer = remaining.find(({ kind }) => kind === 'newer-entry');
    return newer && compareMinor(target, from) < 0
      ? new RefusedError('migrate.blocked', newer.message)
      : steps;
  } catch (error) {
    if (error instanceof UnsupportedError) return error;
    throw error;
  }
}

function blockedBy(remaining: readonly Obstacle[], { target }: PlanOptions): RefusedError {
  const reasons = remaining.map(({ message }) => message).join('; ');
  return new RefusedError(
    'migrate.blocked',
    `etcd ${formatMinor(target)} would not start from the result: ${reasons}`,
  );
}

interface Situation {
  state: MemberState;
  log: MemberLog;
  options: PlanOptions;
}

/** The same error with what can be done about it. */
function explained(
  error: ToolError,
  found: readonly Obstacle[],
  fix: Fix | undefined,
  { state, log, options }: Situation,
): ToolError {
  if (error instanceof UnsupportedError) return error;
  const hints: string[] = [];
  let left = fix ? leftBy(fix, found, state, options) : found;
  if (!fix) {
    try {
      left = leftBy(fixFor(options.target, state, log), found, state, options);
      if (left.length < found.length)
        hints.push(
          `add ${FIX_FLAG}: it takes a snapshot behind what is in the way, with a cluster version that fits`,
        );
    } catch (cause) {
      if (!(cause instanceof ToolError)) throw cause;
      hints.push(`${FIX_FLAG} cannot help: ${cause.message}`);
    }
  }
  const { consistentIndex = 0 } = state.schema;
  const unapplied = left.find(({ index = 0, kind }) => index > consistentIndex && kind !== 'v2-content');
  if (unapplied) {
    hints.push(
      `entry ${unapplied.index} has not reached the database, which stands at ${consistentIndex}: start the etcd that wrote it once, stop it with SIGTERM, then migrate`,
    );
  }
  if (left.some(({ kind }) => kind === 'v2-content')) {
    hints.push(
      `save the v2 data with an etcdctl of 3.5 first; ${FIX_FLAG} together with --force leaves it behind`,
    );
  }
  if (hints.length === 0) hints.push(`etcdkit snapshot verify ${options.dataDir}`);
  return new RefusedError(error.code, error.message, {
    where: { file: options.dataDir },
    hint: hints.join('\n'),
  });
}

function notesOn({ schema }: MemberState, fix: Fix | undefined, target: MinorVersion): string[] {
  const notes: string[] = [];
  const { downgrade } = schema;
  if (downgrade?.isEnabled && !fix) notes.push(`a downgrade to ${downgrade.targetVersion} is enabled`);
  const members = fix?.store.members ?? schema.members;
  const learnerCount = members.filter(({ isLearner }) => isLearner).length;
  if (learnerCount > 1 && !isBeforeStorageVersion(target)) {
    notes.push(
      `there are ${learnerCount} learners: etcd ${formatMinor(target)} needs --max-learners=${learnerCount}`,
    );
  }
  return notes;
}
