/**
 * `npm run bench:server`: our server beside real etcd 3.6, through Go clients, on one disk, both with their
 * fsyncs. In every round both start on fresh directories and are loaded in turn, a load at a time, the first of
 * the pair changing; the ratio of a pair is what counts, and its median over the rounds what is printed.
 *
 *   npm run bench:server -- [--quick] [--rounds N] [--seconds S] [--only NAME] [--size MB] [--no-start] [--no-load] [--no-access]
 *
 * `ETCDKIT_SUBJECT=3.6` puts a real etcd in our place, which shows how much the ratios vary by themselves.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startEtcd } from '../oracle/etcd.ts';
import type { EtcdServer, StartOptions } from '../oracle/etcd.ts';
import { startSubject, subjectProgram } from '../oracle/subject.ts';
import { median } from './measure.ts';
import { ACCESS_LOADS, accessRound, type AccessResult, SETTINGS } from './server-access.ts';
import { LOADS, fill, runLoadOn } from './server-loads.ts';
import type { Load, LoadResult } from './server-loads.ts';
import { backupOf, measureStart, restored } from './server-start.ts';
import type { StartResult } from './server-start.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    only: { type: 'string', default: '' },
    size: { type: 'string' },
    'no-start': { type: 'boolean', default: false },
    'no-load': { type: 'boolean', default: false },
    'no-access': { type: 'boolean', default: false },
  },
});

const rounds = Number(values.rounds ?? (values.quick ? 2 : 5));
const seconds = Number(values.seconds ?? (values.quick ? 0.7 : 2));
const megabytes = Number(values.size ?? (values.quick ? 100 : 900));
/** Etcd's checks of itself, on in tests, cost it a stack trace here and there. */
const FAIR = { ETCD_VERIFY: '' };
const START_GOAL = 2;
const MEMORY_GOAL = 1.5;

const say = (text: string): boolean => process.stdout.write(`${text}\n`);
const row = (cells: readonly string[]): boolean => say(`| ${cells.join(' | ')} |`);

interface Pair<T> {
  ours: T;
  theirs: T;
}

/** Runs both, in an order that changes with the number. */
async function inTurn<T>(number: number, ours: () => Promise<T>, theirs: () => Promise<T>): Promise<Pair<T>> {
  if (number % 2 === 0) {
    const first = await ours();
    return { ours: first, theirs: await theirs() };
  }
  const first = await theirs();
  return { ours: await ours(), theirs: first };
}

const of = <T>(pairs: readonly Pair<T>[], pick: (pair: Pair<T>) => number): number => median(pairs.map(pick));

/** `0.85 [0.80–0.91] ≥ 0.8`, with a mark when the goal is missed. */
function ratio(values_: readonly number[], goal: number | undefined, isAtMost: boolean): string {
  const middle = median(values_);
  const range = `${middle.toFixed(2)} [${Math.min(...values_).toFixed(2)}–${Math.max(...values_).toFixed(2)}]`;
  if (goal === undefined) return range;
  const isMet = isAtMost ? middle <= goal : middle >= goal;
  return `${range} ${isAtMost ? '≤' : '≥'} ${goal}${isMet ? '' : ' MISSED'}`;
}

function printLoads(results: ReadonlyMap<Load, readonly Pair<LoadResult>[]>): void {
  row([
    'load',
    'ours /s',
    'theirs /s',
    'throughput',
    'our p50, ms',
    'their p50',
    'our p99',
    'their p99',
    'p99',
    'our CPU, µs',
    'their CPU',
    'our RSS, MB',
    'their RSS',
  ]);
  row(Array.from({ length: 13 }, () => '---'));
  for (const [load, pairs] of results) {
    row([
      load.name,
      of(pairs, ({ ours }) => ours.perSecond).toFixed(0),
      of(pairs, ({ theirs }) => theirs.perSecond).toFixed(0),
      ratio(
        pairs.map(({ ours, theirs }) => ours.perSecond / theirs.perSecond),
        load.goal,
        false,
      ),
      of(pairs, ({ ours }) => ours.p50Ms).toFixed(2),
      of(pairs, ({ theirs }) => theirs.p50Ms).toFixed(2),
      of(pairs, ({ ours }) => ours.p99Ms).toFixed(2),
      of(pairs, ({ theirs }) => theirs.p99Ms).toFixed(2),
      ratio(
        pairs.map(({ ours, theirs }) => ours.p99Ms / theirs.p99Ms),
        load.p99Goal,
        true,
      ),
      of(pairs, ({ ours }) => ours.cpuMicroseconds).toFixed(1),
      of(pairs, ({ theirs }) => theirs.cpuMicroseconds).toFixed(1),
      (of(pairs, ({ ours }) => ours.residentBytes) / 1e6).toFixed(0),
      (of(pairs, ({ theirs }) => theirs.residentBytes) / 1e6).toFixed(0),
    ]);
  }
}

async function benchLoads(scratch: string): Promise<void> {
  const chosen = LOADS.filter(({ name }) => name.includes(values.only));
  const results = new Map<Load, Pair<LoadResult>[]>(chosen.map((load) => [load, []]));
  for (let round = 0; round < rounds; round++) {
    const servers: EtcdServer[] = [];
    try {
      const options = (who: string): StartOptions => ({
        dataDir: join(scratch, `${who}-${round}`),
        env: FAIR,
      });
      servers.push(await startSubject(options('ours')), await startEtcd('3.6', options('theirs')));
      const [ours, theirs] = servers as [EtcdServer, EtcdServer];
      for (const server of servers) await fill(server);
      for (const [at, load] of chosen.entries()) {
        const run = (server: EtcdServer) => (): Promise<LoadResult> =>
          runLoadOn(server, load, { seconds, seed: round + 1 });
        results.get(load)!.push(await inTurn(round + at, run(ours), run(theirs)));
      }
    } finally {
      await Promise.all(servers.map((server) => server.stop()));
      for (const server of servers) rmSync(server.dataDir, { recursive: true, force: true });
    }
  }
  say(`\n${rounds} rounds of ${seconds} s for each load\n`);
  printLoads(results);
}

/** Each setting beside etcd's, and beside neither users nor TLS on the same server in the same round. */
async function benchAccess(scratch: string): Promise<void> {
  const results: AccessResult[][] = [];
  for (let round = 0; round < rounds; round++)
    results.push(await accessRound({ folder: scratch, round, seconds, env: FAIR }));
  say(`\n${rounds} rounds of ${seconds} s for each load under each setting\n`);
  row([
    'load',
    'with',
    'ours /s',
    'theirs /s',
    'ours ÷ theirs',
    'ours ÷ ours without',
    'theirs ÷ theirs without',
  ]);
  row(Array.from({ length: 7 }, () => '---'));
  const cells = (name: string, setting: string): AccessResult[] =>
    results.flatMap((round) => round.filter((one) => one.load.name === name && one.setting === setting));
  for (const { name } of ACCESS_LOADS) {
    const bare = cells(name, 'neither');
    for (const setting of SETTINGS) {
      const pairs = cells(name, setting);
      const goal = setting === 'users' && name.startsWith('put') ? 0.85 : undefined;
      const beside = (who: 'ours' | 'theirs'): number[] =>
        pairs.map((pair, i) => pair[who].perSecond / bare[i]![who].perSecond);
      row([
        name,
        setting,
        of(pairs, ({ ours }) => ours.perSecond).toFixed(0),
        of(pairs, ({ theirs }) => theirs.perSecond).toFixed(0),
        ratio(
          pairs.map(({ ours, theirs }) => ours.perSecond / theirs.perSecond),
          undefined,
          false,
        ),
        ratio(beside('ours'), goal, false),
        ratio(beside('theirs'), undefined, false),
      ]);
    }
  }
}

async function benchStart(scratch: string): Promise<void> {
  const backup = await backupOf(megabytes);
  const ours = await restored(backup, join(scratch, 'start-ours'));
  const theirs = await restored(backup, join(scratch, 'start-theirs'));
  const pairs: Pair<StartResult>[] = [];
  // The first pair warms the page cache and is not counted.
  for (let round = -1; round < rounds; round++) {
    const pair = await inTurn(
      round + 2,
      () => measureStart(() => startSubject({ ...ours, timeoutMs: 120_000, env: FAIR })),
      () => measureStart(() => startEtcd('3.6', { ...theirs, timeoutMs: 120_000, env: FAIR })),
    );
    if (round >= 0) pairs.push(pair);
  }
  say(`\n${rounds} starts each on a directory of ${megabytes} MB, warm page cache\n`);
  row(['start', 'ours', 'theirs', 'ratio']);
  row(['---', '---', '---', '---']);
  const line = (
    name: string,
    pick: (result: StartResult) => number,
    digits: number,
    goal?: number,
  ): boolean =>
    row([
      name,
      of(pairs, (pair) => pick(pair.ours)).toFixed(digits),
      of(pairs, (pair) => pick(pair.theirs)).toFixed(digits),
      ratio(
        pairs.map((pair) => pick(pair.ours) / pick(pair.theirs)),
        goal,
        true,
      ),
    ]);
  line('ready, s', ({ readySeconds }) => readySeconds, 2, START_GOAL);
  line('CPU, s', (result) => result.cpuSeconds, 2);
  line('resident, MB', ({ residentBytes }) => residentBytes / 1e6, 0, MEMORY_GOAL);
  line('peak, MB', ({ peakBytes }) => peakBytes / 1e6, 0);
}

const scratch = mkdtempSync(join(tmpdir(), 'etcdkit-server-bench-'));
try {
  say(
    `${subjectProgram().label} beside etcd 3.6: ${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}, in ${scratch}`,
  );
  if (!values['no-load']) await benchLoads(scratch);
  if (!values['no-access']) await benchAccess(scratch);
  if (!values['no-start']) await benchStart(scratch);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
