/**
 * Whether a server is well: what `/health`, `/livez` and `/readyz` ask, and how they put it. etcd v3.6
 * server/etcdserver/api/etcdhttp/health.go.
 */
import type { ActiveAlarm, ServerView } from './server-view.ts';
import type { HealthStats } from './stats.ts';

/** Gives what is wrong, if anything. */
export type HealthCheck = () => string | undefined | Promise<string | undefined>;

/** Why the server is not well, for `/health`; undefined when it is. */
export async function readHealth(
  view: ServerView,
  { excluded, isSerializable }: { excluded: ReadonlySet<string>; isSerializable: boolean },
): Promise<string | undefined> {
  const alarm = view.alarms.find(({ type }) => !excluded.has(type));
  if (alarm !== undefined) return `ALARM ${alarm.type}`;
  if (!isSerializable && !view.hasLeader) return 'RAFT NO LEADER';
  const problem = await readProblem(view, isSerializable);
  return problem === undefined ? undefined : `RANGE ERROR:${problem}`;
}

/** The checks behind one of the endpoints, in the order they are reported. */
export function checksOf(type: 'livez' | 'readyz', view: ServerView): Map<string, HealthCheck> {
  const serializable: HealthCheck = () => readProblem(view, true);
  if (type === 'livez') return new Map([['serializable_read', serializable]]);
  return new Map<string, HealthCheck>([
    ['data_corruption', () => alarmProblem(view.alarms, 'CORRUPT')],
    ['serializable_read', serializable],
    ['linearizable_read', () => readProblem(view, false)],
    ['non_learner', () => (view.isLearner ? 'not supported for learner' : undefined)],
  ]);
}

/** Runs them one after the other, counts how they went, and reports each on a line. */
export async function runChecks(
  type: string,
  checks: ReadonlyMap<string, HealthCheck>,
  stats: HealthStats,
): Promise<{ isGood: boolean; report: string }> {
  let isGood = true;
  let report = '';
  for (const [name, check] of checks) {
    const problem = await check();
    report += problem === undefined ? `[+]${name} ok\n` : `[-]${name} failed: ${problem}\n`;
    if (problem !== undefined) isGood = false;
    count(stats, `${type}/${name}`, problem === undefined);
  }
  return { isGood, report };
}

function count(stats: HealthStats, key: string, isGood: boolean): void {
  const counts = stats.checks.get(key) ?? { isGood, success: 0, error: 0 };
  counts.isGood = isGood;
  counts[isGood ? 'success' : 'error']++;
  stats.checks.set(key, counts);
}

function alarmProblem(alarms: readonly ActiveAlarm[], type: ActiveAlarm['type']): string | undefined {
  return alarms.some((alarm) => alarm.type === type) ? `alarm activated: ${type}` : undefined;
}

async function readProblem(view: ServerView, isSerializable: boolean): Promise<string | undefined> {
  try {
    await view.read({ isSerializable });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
