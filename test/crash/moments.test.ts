/**
 * Kills at random moments, from outside: of a process in the middle of its work on a large database, while another
 * one keeps looking whether the database is there.
 */
import assert from 'node:assert/strict';
import { closeSync, openSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { randomFor, seedOfRun } from '../support/mutate.ts';
import { scratch } from '../support/scratch.ts';
import { startVictim } from './child.ts';
import { kindOf, World } from './judge.ts';
import { LARGE_CASES } from './large.ts';
import { Tally } from './tally.ts';

const SEED = seedOfRun();
const KILL_COUNT = 102;
const TRIAL_COUNT = 3;
/** After this many kills the operation is run once more to its end. */
const REPEAT_EVERY = 3;
const DURATIONS_KEPT = 5;
/** Some kills come too late on purpose: the very end is a moment too. */
const OVERRUN = 1.02;

const META_MAGIC = 0xed0cdaed;
const MAGIC_AT = 16;

const phases = new Tally('kills at random moments, by what had begun', ['old', 'between', 'new']);

/** Fails when the database is absent, or does not begin as one. */
function look(path: string): void {
  const start = Buffer.alloc(MAGIC_AT + 4);
  const fd = openSync(path, 'r');
  try {
    readSync(fd, start, 0, start.length, 0);
  } finally {
    closeSync(fd);
  }
  assert.equal(start.readUInt32LE(MAGIC_AT), META_MAGIC, `${path} is not a database`);
}

/** Looks as often as it can until `ending` is there. Gives how often. */
async function watch(path: string, ending: Promise<unknown>): Promise<number> {
  const state = { hasEnded: false };
  void ending.then(() => (state.hasEnded = true));
  let looks = 0;
  for (; !state.hasEnded; looks++) {
    look(path);
    await nextTurn();
  }
  return looks;
}

/** How long a process takes that nobody kills; a busy machine makes it vary, so it is learnt again and again. */
class Durations {
  readonly #latestMs: number[] = [];

  add(ms: number | undefined): void {
    if (ms !== undefined) this.#latestMs.push(ms);
    if (this.#latestMs.length > DURATIONS_KEPT) this.#latestMs.shift();
  }

  get shortestMs(): number {
    return Math.min(...this.#latestMs);
  }
}

async function measure(world: World, durations: Durations): Promise<void> {
  for (let i = 0; i < TRIAL_COUNT; i++) {
    const root = world.plant();
    const { code, stderr, tookMs } = await startVictim({ case: world.case.name, root }).ending;
    durations.add(tookMs);
    assert.equal(code, 0, stderr);
    rmSync(root, { recursive: true });
  }
}

/** `write db.tmp.#`, or what comes before the first. */
function phaseOf(trace: readonly string[]): string {
  const last = trace.at(-1)!;
  if (last === 'go') return 'reading, before any change';
  if (last.startsWith('done')) return 'done';
  const [operation = '', name = ''] = last.split(' ');
  return `${operation} ${kindOf(name)}`;
}

/** Gives how often the database was looked for. */
async function kill(world: World, share: number, durations: Durations, isRepeated: boolean): Promise<number> {
  const root = world.plant();
  const { child, hasBegun, ending } = startVictim({ case: world.case.name, root });
  const { swapped } = world.case;
  const looking = swapped === undefined ? undefined : watch(join(root, swapped), ending);
  await hasBegun;
  await Promise.race([ending, sleep(share * durations.shortestMs * OVERRUN)]);
  child.kill('SIGKILL');
  const { trace, stderr, tookMs } = await ending;
  durations.add(tookMs);
  assert.equal(stderr, '');
  const looks = (await looking) ?? 0;

  const judgement = await world.judge(root);
  const { stage } = judgement;
  if (isRepeated) await world.runAgain(root, judgement);
  phases.add(
    `${world.case.name}: ${phaseOf(trace)}`,
    stage === 0 ? 'old' : stage === world.units.length ? 'new' : 'between',
  );
  rmSync(root, { recursive: true });
  return looks;
}

describe('a process is killed at a random moment', () => {
  process.stdout.write(`ETCDKIT_SEED=${SEED}\n`);
  after(() => phases.print());
  for (const [number, of] of LARGE_CASES.entries()) {
    test(of.name, async (t) => {
      const world = await World.of(scratch(t), of);
      const durations = new Durations();
      await measure(world, durations);
      const moments = Array.from({ length: Math.ceil(KILL_COUNT / LARGE_CASES.length) }, (_, i) => i);
      const problems: string[] = [];
      let looks = 0;
      // One at a time: whoever judges the last one would be late for the next.
      for (const i of moments) {
        const share = randomFor(SEED, number, i).below(1e6) / 1e6;
        try {
          looks += await kill(world, share, durations, i % REPEAT_EVERY === 0);
        } catch (error) {
          problems.push(`ETCDKIT_SEED=${SEED} #${i} after ${share} of the time: ${(error as Error).message}`);
        }
      }
      t.diagnostic(
        `takes ${durations.shortestMs.toFixed(0)} ms; looked ${looks} times whether the database is there`,
      );
      assert.equal(problems.join('\n'), '');
    });
  }
});
