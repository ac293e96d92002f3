/**
 * `npm run bench`: us beside the real tools, through the command line, interleaved in one run; medians and ratios.
 *
 *   npm run bench -- [--size MB] [--runs N] [--warm | --cold] [--file BACKUP] [--only NAME]
 *
 * The database is made by a real etcd and kept in the oracle's cache for the next run.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { makeBenchDatabase } from '../oracle/bench-database.ts';
import { cacheFolder } from '../oracle/cache.ts';
import { projectRoot } from '../support/project.ts';
import { type Job, jobs } from './jobs.ts';
import { makeCold, makeWarm, measure, type Measurement, median } from './measure.ts';

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '900' },
    runs: { type: 'string', default: '5' },
    file: { type: 'string' },
    only: { type: 'string' },
    cold: { type: 'boolean', default: false },
    warm: { type: 'boolean', default: false },
  },
});

const say = (text: string): boolean => process.stdout.write(`${text}\n`);

async function databaseFile(): Promise<string> {
  if (values.file !== undefined) return resolve(values.file);
  const path = join(cacheFolder(), `bench-${values.size}.db`);
  if (!existsSync(path)) {
    say(`making a database of about ${values.size} MB with etcd 3.6`);
    await makeBenchDatabase(path, { sizeBytes: Number(values.size) * 1_000_000 });
  }
  return path;
}

interface Result {
  ours: Measurement;
  theirs: Measurement;
}

type Cache = 'warm' | 'cold';

function runJob(job: Job, cache: Cache, runs: number): Result[] {
  const results: Result[] = [];
  for (let run = 0; run < runs; run++) {
    const once = (command: Job['ours']): Measurement =>
      measure({
        ...command,
        prepare() {
          command.prepare?.();
          if (command.reads !== undefined) (cache === 'cold' ? makeCold : makeWarm)(command.reads);
        },
      });
    const [ours, theirs] =
      run % 2 === 0 ? [once(job.ours), once(job.theirs)] : [once(job.theirs), once(job.ours)].reverse();
    results.push({ ours: ours!, theirs: theirs! });
  }
  return results;
}

function rowOf(job: Job, results: readonly Result[]): string {
  const of = (pick: (result: Result) => number): number => median(results.map(pick));
  const ratio = of(({ ours, theirs }) => ours.wallSeconds / theirs.wallSeconds);
  const peaks = (side: 'ours' | 'theirs'): number =>
    Math.max(...results.map((result) => result[side].peakBytes ?? 0));
  const cells = [
    job.name,
    of(({ ours }) => ours.wallSeconds).toFixed(2),
    of(({ theirs }) => theirs.wallSeconds).toFixed(2),
    ratio.toFixed(2),
    `≤ ${job.target}`,
    of(({ ours }) => ours.cpuSeconds).toFixed(2),
    of(({ theirs }) => theirs.cpuSeconds).toFixed(2),
    (peaks('ours') / 1e6).toFixed(0),
    job.targetBytes === undefined ? '' : `≤ ${job.targetBytes / 1e6}`,
    (peaks('theirs') / 1e6).toFixed(0),
  ];
  return `| ${cells.join(' | ')} |`;
}

const backup = await databaseFile();
const scratch = mkdtempSync(join(tmpdir(), 'etcdkit-bench-'));
const caches: Cache[] = values.cold ? ['cold'] : values.warm ? ['warm'] : ['warm', 'cold'];
const machine = `${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}`;
try {
  for (const cache of caches) {
    say(`\n${backup}, ${cache} page cache, ${values.runs} runs each, ${machine}\n`);
    say(
      '| job | ours, s | theirs, s | ratio | target | our CPU, s | their CPU, s | our peak, MB | target | their peak, MB |',
    );
    say('|---|---|---|---|---|---|---|---|---|---|');
    for (const job of jobs({ root: projectRoot(), backup, scratch: join(scratch, 'run') })) {
      if (values.only !== undefined && !job.name.includes(values.only)) continue;
      say(rowOf(job, runJob(job, cache, Number(values.runs))));
    }
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
