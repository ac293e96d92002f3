// No false alarm: whatever a healthy etcd of any version leaves on disk, verify finds nothing above a note in it,
// accounts for every byte, and leaves it as it was. And what it says about which server could start is what
// the real servers then do.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { verify } from '../../src/check/verify.ts';
import type { StartReport } from '../../src/check/report.ts';
import { scratch } from '../support/scratch.ts';
import { OracleError, VERSIONS, ask, runLoad, skipReason } from './etcd.ts';
import type { EtcdServer, Version } from './etcd.ts';
import { SINGLE_RECIPES, databaseIn, serve, startQuick } from './healthy.ts';
import type { Sample } from './healthy.ts';
import { CHANGE_RECIPES } from './healthy-changes.ts';

const SAMPLES_MIN = 60;
const PAIRS_MIN = 12;
/** A server that cannot go on ends at once; one that waits for members that are not there does so for ever. */
const START_TIMEOUT_MS = 8000;

const counts = { samples: 0, notes: 0, pairs: 0, starting: 0 };
const isComplete = VERSIONS.every((version) => skipReason(version) === false);

interface FileState {
  size: number;
  modifiedNs: bigint;
  digest: string;
}

const ZEROS = Buffer.alloc(65_536);

/** A file without the zeros at its end, of which a preallocated one has millions. */
function readTrimmed(path: string): Buffer {
  const bytes = readFileSync(path);
  let end = bytes.length;
  while (end >= ZEROS.length && bytes.compare(ZEROS, 0, ZEROS.length, end - ZEROS.length, end) === 0)
    end -= ZEROS.length;
  return bytes.subarray(0, end);
}

/** Every file below a path by its path, with its bytes hashed. */
function stateOf(...paths: readonly string[]): Map<string, FileState> {
  const files = new Map<string, FileState>();
  for (const path of paths) {
    const names = statSync(path).isDirectory()
      ? readdirSync(path, { recursive: true, encoding: 'utf8' })
      : [''];
    for (const file of names.map((name) => join(path, name))) {
      const stat = statSync(file, { bigint: true });
      if (!stat.isFile()) continue;
      const digest = createHash('sha256').update(readTrimmed(file)).digest('hex');
      files.set(file, { size: Number(stat.size), modifiedNs: stat.mtimeNs, digest });
    }
  }
  return files;
}

/** A copy whose preallocated files have holes. */
function copyTree(from: string, to: string): void {
  mkdirSync(to, { recursive: true, mode: 0o700 });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) copyTree(source, target);
    else {
      writeFileSync(target, readTrimmed(source), { mode: 0o600 });
      truncateSync(target, statSync(source).size);
    }
  }
}

/** What keeps a real server from starting on a copy of the directory; undefined when it does start. */
async function tryStart(version: Version, { path }: Sample, copy: string): Promise<string | undefined> {
  copyTree(path, copy);
  try {
    const server = await startQuick(version, { dataDir: copy, timeoutMs: START_TIMEOUT_MS });
    await server.kill();
    return undefined;
  } catch (error) {
    if (!(error instanceof OracleError)) throw error;
    const [line] = /(panic: |"level":"(?:fatal|panic)").*/.exec(error.message) ?? [error.message];
    return line.slice(0, 300);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** Holds what verify said of every version against what the servers do. */
async function compareStarts(
  sample: Sample,
  starts: readonly StartReport[],
  folder: string,
): Promise<string[]> {
  const problems: string[] = [];
  for (const { version, from, obstacle } of starts) {
    if (skipReason(version) !== false) continue;
    const reality = await tryStart(version, sample, join(folder, 'copy'));
    counts.pairs++;
    if (reality === undefined) counts.starting++;
    if ((reality === undefined) === (obstacle === undefined)) continue;
    const said = obstacle === undefined ? `could start from ${from}` : `could not: ${obstacle}`;
    problems.push(
      `${sample.name}: etcd ${version} ${said}; but it ${reality === undefined ? 'starts' : `ends: ${reality}`}`,
    );
  }
  return problems;
}

/** Verifies one healthy thing; gives everything about the answer that is not as it should be. */
async function judge(sample: Sample, folder: string): Promise<string[]> {
  const { name, path, walDir } = sample;
  const given = walDir === undefined ? [path] : [path, walDir];
  const before = stateOf(...given);
  const report = await verify(path, { walDir });
  assert.deepEqual(stateOf(...given), before, `${name}: verify changed what it looked at`);

  counts.samples++;
  if (report.verdict === 'GOOD with notes') counts.notes++;
  const problems = report.findings
    .filter(({ severity }) => severity !== 'note')
    .map(({ code, message }) => `${name}: ${code}: ${message}`);
  if (!report.verdict.startsWith('GOOD')) problems.push(`${name}: ${report.verdict}`);
  const sizeBytes = [...before.values()].reduce((sum, { size }) => sum + size, 0);
  if (report.totalBytes !== sizeBytes)
    problems.push(`${name}: ${report.totalBytes} bytes accounted for, of ${sizeBytes}`);
  if (sample.isSingle) problems.push(...(await compareStarts(sample, report.starts, folder)));
  return problems;
}

for (const { name, versions, make } of [...SINGLE_RECIPES, ...CHANGE_RECIPES]) {
  const skip = versions.map((version) => skipReason(version)).find((reason) => reason !== false) ?? false;
  test(`healthy: ${name}`, { skip }, async (t) => {
    const folder = scratch(t);
    const problems: string[] = [];
    const sample = async (one: Sample): Promise<void> => {
      problems.push(...(await judge(one, folder)));
    };
    await make({ folder, sample });
    assert.deepEqual(problems, []);
  });
}

test('there were enough of them', { skip: !isComplete && 'NOT COMPARED with every version' }, (t) => {
  t.diagnostic(`${counts.samples} healthy samples, ${counts.notes} of them with notes`);
  t.diagnostic(`${counts.pairs} directories and servers tried together, of which ${counts.starting} started`);
  assert.ok(counts.samples >= SAMPLES_MIN, `only ${counts.samples} samples`);
  assert.ok(counts.starting >= PAIRS_MIN / 2 && counts.pairs - counts.starting >= PAIRS_MIN / 2);
});

const QUIET = ['GOOD', 'GOOD with notes'];

/** Verifies again and again until `writing` is over, counts the verdicts, and fails when one was of damage. */
async function verifyWhile(
  writing: Promise<unknown>,
  path: string,
  verdicts: Map<string, number>,
): Promise<void> {
  const problems: string[] = [];
  const state = { isOver: false };
  const over = writing.finally(() => {
    state.isOver = true;
  });
  // An error is kept for later: a load whose server has gone would try for minutes.
  while (!state.isOver) {
    const { verdict, findings } = await verify(path);
    if (!QUIET.includes(verdict) && verdict !== 'CHANGED WHILE READ')
      problems.push(`${verdict}: ${JSON.stringify(findings)}`);
    verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
    await delay(5);
  }
  await over;
  assert.deepEqual(problems, []);
}

/** One write every now and then. */
async function writeSlowly(server: EtcdServer): Promise<void> {
  for (let number = 0; number < 12; number++) {
    await ask(server, ['put', `slow-${number % 3}`, String(number)]);
    await delay(40);
  }
}

for (const version of VERSIONS) {
  test(
    `a database that etcd ${version} writes to is never called damaged`,
    { skip: skipReason(version) },
    async (t) => {
      const dataDir = join(scratch(t), 'data');
      const verdicts = new Map<string, number>();
      const args = ['--backend-batch-interval=20ms']; // a commit every so often: more than one while a large file is read
      await serve(version, { dataDir, snapshotCount: 300, args }, async (server) => {
        for (const path of [databaseIn(dataDir), dataDir]) {
          const load = { kind: 'bench', revisions: 12_000, keys: 900, seed: path.length } as const;
          await verifyWhile(runLoad(server, load), path, verdicts);
          await verifyWhile(writeSlowly(server), path, verdicts);
        }
        await delay(300); // the backend commits what is left within 100 ms
        for (const path of [databaseIn(dataDir), dataDir])
          assert.ok(QUIET.includes((await verify(path)).verdict));
      });
      t.diagnostic(JSON.stringify(Object.fromEntries(verdicts)));
      assert.ok((verdicts.get('CHANGED WHILE READ') ?? 0) > 0, 'no walk met a change');
    },
  );
}
