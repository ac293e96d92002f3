// Linearizability under kill -9: eight clients work on five keys while the server is killed and started three
// times, and porcupine says whether one copy of the data could have answered so. That it can say no is shown
// on servers that lose acknowledged writes and on answers that are stale.
import assert from 'node:assert/strict';
import { cpSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../support/scratch.ts';
import { OracleError, freeMemberPorts, runTool } from './etcd.ts';
import type { EtcdServer, StartOptions } from './etcd.ts';
import { endAfter, isSoak, startSubject, subjectSkip as skip } from './subject.ts';

const OPERATIONS = 2000;
const KILLS_AT = [400, 900, 1400];
const ROUNDS = Number(process.env['ETCDKIT_LINEAR_ROUNDS'] ?? (isSoak ? 100 : 10));
const ROUND_TIMEOUT_MS = 180_000;
const seedBase = Number(process.env['ETCDKIT_SEED'] ?? Math.floor(Math.random() * 1e9));

interface RunReport {
  operations: number;
  unknown: number;
  dropped: number;
  faults: number;
}

interface Verdict {
  verdict: 'Ok' | 'Illegal' | 'Unknown';
  longest: number;
  operations: number;
}

async function check(file: string, ...flags: string[]): Promise<Verdict> {
  const { stdout, stderr, code } = await runTool('3.6', 'linear', ['check', ...flags, file], {
    timeoutMs: 120_000,
  });
  assert.ok([0, 3, 4].includes(code), stderr);
  return JSON.parse(stdout) as Verdict;
}

interface Round {
  server: EtcdServer;
  seed: number;
  out: string;
  flags?: readonly string[];
  operations?: number;
  /** Called once when so many operations are over; the next is called when it is done. */
  steps?: readonly { at: number; run: () => Promise<void> }[];
}

/** Runs the clients to their end and the steps on their way. */
async function record(round: Round): Promise<RunReport> {
  const waiting = [...(round.steps ?? [])];
  let following = Promise.resolve();
  let failure: unknown;
  const { operations = OPERATIONS, flags = [] } = round;
  const args = [
    'run',
    `--endpoint=${round.server.endpoint}`,
    `--out=${round.out}`,
    `--seed=${round.seed}`,
    `--operations=${operations}`,
    ...flags,
  ];
  const result = await runTool('3.6', 'linear', args, {
    timeoutMs: ROUND_TIMEOUT_MS,
    onLine(line) {
      const { completed } = JSON.parse(line) as { completed?: number };
      while (completed !== undefined && waiting.length > 0 && completed >= waiting[0]!.at) {
        const { run } = waiting.shift()!;
        following = following.then(run).catch((error: unknown) => {
          failure ??= error;
        });
      }
    },
  });
  await following;
  if (failure !== undefined) throw failure as Error;
  if (result.code !== 0) throw new OracleError(`linear run: ${result.stderr}`);
  assert.equal(waiting.length, 0, 'the clients were through before every kill');
  return JSON.parse(result.stdout.trimEnd().split('\n').at(-1)!) as RunReport;
}

test(
  `${ROUNDS} rounds with three kills each are linearizable`,
  {
    skip,
    timeout: ROUNDS * ROUND_TIMEOUT_MS,
  },
  async (t) => {
    t.diagnostic(`ETCDKIT_SEED=${seedBase}`);
    const folder = scratch(t);
    const options: StartOptions = {
      dataDir: join(folder, 'data'),
      ports: await freeMemberPorts(),
      snapshotCount: 700,
    };
    let server = await startSubject(options);
    endAfter(t, () => server);
    let unknown = 0;
    for (let number = 0; number < ROUNDS; number++) {
      const seed = seedBase + number;
      const out = join(folder, 'history.json');
      const restart = async (): Promise<void> => {
        await server.kill();
        server = await startSubject(options);
      };
      const steps = KILLS_AT.map((at) => ({ at, run: restart }));
      const report = await record({ server, seed, out, steps });
      assert.equal(report.operations, OPERATIONS);
      unknown += report.unknown + report.dropped;
      const verdict = await check(out);
      if (verdict.verdict !== 'Ok') {
        const kept = join(tmpdir(), `etcdkit-history-${seed}.json`);
        cpSync(out, kept);
        assert.fail(`seed ${seed}: ${JSON.stringify(verdict)}; the history is kept as ${kept}`);
      }
    }
    assert.ok(unknown >= ROUNDS, `the kills met only ${unknown} calls under way`);
  },
);

for (const fault of ['drop-write', 'stale-read']) {
  test(`the checker rejects a server that would ${fault.replace('-', ' a ')}`, { skip }, async (t) => {
    const folder = scratch(t);
    const server = await startSubject({ dataDir: join(folder, 'data') });
    endAfter(t, () => server);
    const out = join(folder, 'history.json');
    const report = await record({ server, seed: 5, out, flags: [`--fault=${fault}`], operations: 800 });
    assert.ok(fault === 'drop-write' ? report.faults === 1 : report.faults > 0, JSON.stringify(report));
    assert.equal((await check(out)).verdict, 'Illegal');
    // The values alone give it away, not only the numbers of revisions.
    assert.equal((await check(out, '--values-only')).verdict, 'Illegal');
    const sound = join(folder, 'sound.json');
    await record({ server, seed: 6, out: sound, operations: 800 });
    assert.equal((await check(sound)).verdict, 'Ok');
  });
}

test('the checker rejects a server that comes back with an older disk', { skip }, async (t) => {
  const folder = scratch(t);
  const options = { dataDir: join(folder, 'data'), ports: await freeMemberPorts() };
  const older = join(folder, 'older');
  let server = await startSubject(options);
  endAfter(t, () => server);
  const keep = async (): Promise<void> => {
    await server.kill();
    cpSync(options.dataDir, older, { recursive: true });
    server = await startSubject(options);
  };
  const fallBack = async (): Promise<void> => {
    await server.kill();
    rmSync(options.dataDir, { recursive: true });
    renameSync(older, options.dataDir);
    server = await startSubject(options);
  };
  const steps = [
    { at: 300, run: keep },
    { at: 700, run: fallBack },
  ];
  const out = join(folder, 'history.json');
  await record({ server, seed: 7, out, steps, operations: 1200 });
  assert.equal((await check(out)).verdict, 'Illegal');
});
