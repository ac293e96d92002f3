/** Ctrl-C at random moments, through the program: all or nothing, and nothing left about. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomFor, seedOfRun } from '../support/mutate.ts';
import { scratch } from '../support/scratch.ts';
import { CASES } from './cases.ts';
import { startProgram } from './child.ts';
import { World } from './judge.ts';
import { LARGE_CASES } from './large.ts';
import { Tally } from './tally.ts';

const SEED = seedOfRun();
const INTERRUPT_COUNT = 21;
const INTERRUPTED = 130;
/** Shares of the time it takes; before, the program is not even loaded. */
const EARLIEST = 0.25;
const LATEST = 1.02;

const endings = new Tally('Ctrl-C, by how the program ended', ['old', 'new']);

interface Interrupted {
  ending: 'exit 130' | 'exit 0' | 'before it listened';
  tookMs: number;
}

/** How long the program takes when nobody interrupts it, in ms. */
async function measure(world: World): Promise<number> {
  const root = world.plant();
  const { code, stderr, tookMs } = await startProgram(world.case.args!(root)).ending;
  assert.equal(code, 0, stderr);
  assert.equal((await world.judge(root)).stage, world.units.length);
  rmSync(root, { recursive: true });
  return tookMs;
}

async function interrupt(world: World, delayMs: number): Promise<Interrupted> {
  const root = world.plant();
  const { child, ending } = startProgram(world.case.args!(root));
  await Promise.race([ending, sleep(delayMs)]);
  try {
    process.kill(-child.pid!, 'SIGINT');
  } catch (error) {
    assert.equal(
      (error as NodeJS.ErrnoException).code,
      'ESRCH',
      'only a process that is gone cannot be interrupted',
    );
  }
  const { code, signal, stderr, tookMs } = await ending;
  const { stage, leftovers } = await world.judge(root);
  const state = stage === 0 ? 'old' : 'new';
  assert.deepEqual(leftovers, []);
  rmSync(root, { recursive: true });

  if (signal === 'SIGINT') {
    // Node listens no more once it is on its way out.
    assert.ok(
      stage === 0 || stage === world.units.length,
      `was left half-way, ${stage} of ${world.units.length}`,
    );
    const ending = stage === 0 ? 'before it listened' : 'exit 0';
    endings.add(`${world.case.name}: ${stage === 0 ? ending : 'at its exit'}`, state);
    return { ending, tookMs };
  }
  assert.ok(code === 0 || code === INTERRUPTED, `exit code ${code}: ${stderr}`);
  assert.equal(stage, code === 0 ? world.units.length : 0, `exit code ${code}`);
  if (code === INTERRUPTED) assert.match(stderr, /^Error: .*interrupted/m);
  endings.add(`${world.case.name}: exit ${code}`, state);
  return { ending: code === 0 ? 'exit 0' : 'exit 130', tookMs };
}

/** Passes a Ctrl-C to its process group the first time, as a terminal does, then is the real one. */
const INTERRUPTED_FLOCK = `#!/bin/sh
PATH=\${PATH#*:}
if mkdir "$0.was-here" 2>/dev/null; then kill -INT 0; sleep 10; fi
exec flock "$@"
`;

test('Ctrl-C that reaches flock(1) as well', async (t) => {
  const folder = scratch(t);
  writeFileSync(join(folder, 'flock'), INTERRUPTED_FLOCK, { mode: 0o755 });
  const of = CASES.find(({ args }) => args)!;
  const world = await World.of(join(folder, 'worlds'), of);
  const root = world.plant();
  const { code, stderr } = await startProgram(of.args!(root), { PATH: `${folder}:${process.env['PATH']}` })
    .ending;
  assert.equal(code, INTERRUPTED, stderr);
  assert.deepEqual(await world.judge(root), { stage: 0, leftovers: [] });
});

describe('Ctrl-C', () => {
  process.stdout.write(`ETCDKIT_SEED=${SEED}\n`);
  after(() => endings.print());
  for (const [number, of] of LARGE_CASES.entries()) {
    test(of.name, async (t) => {
      const world = await World.of(scratch(t), of);
      let shortestMs = Math.min(await measure(world), await measure(world));
      const counts = { 'exit 130': 0, 'exit 0': 0, 'before it listened': 0 };
      for (let i = 0; i < INTERRUPT_COUNT / LARGE_CASES.length; i++) {
        const share = EARLIEST + ((LATEST - EARLIEST) * randomFor(SEED, number, i).below(1e6)) / 1e6;
        const { ending, tookMs } = await interrupt(world, share * shortestMs);
        counts[ending]++;
        if (ending === 'exit 0') shortestMs = Math.min(shortestMs, tookMs);
      }
      t.diagnostic(`takes ${shortestMs.toFixed(0)} ms; ${JSON.stringify(counts)}`);
    });
  }
});
