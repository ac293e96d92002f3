/**
 * Every operation that writes, with the power cut after each of its file operations. Nothing is killed: a run is
 * recorded, and what a disk may hold after the cut is made of the record. See `power-cut.ts` for the model.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { plainContext } from '../../src/ops/context.ts';
import { type DiskCall, recordingDisk } from '../support/faulty-disk.ts';
import { randomFor, seedOfRun } from '../support/mutate.ts';
import { scratch } from '../support/scratch.ts';
import { CASES } from './cases.ts';
import { World } from './judge.ts';
import { describeCall, EXTREMES, type Luck, randomLuck, stateAfterCut } from './power-cut.ts';
import { Tally } from './tally.ts';

const SEED = seedOfRun();
const RANDOM_CUTS = 4;
const tally = new Tally('power cuts, by the last operation and what was left', ['old', 'between', 'new']);

/** A run's operations, with what they wrote. */
interface Recorded {
  root: string;
  calls: DiskCall[];
}

async function record(world: World): Promise<Recorded> {
  const root = world.plant();
  const { disk, calls } = recordingDisk();
  await world.case.run(root, plainContext({ disk }));
  return { root, calls };
}

function* lucks(caseNumber: number, callNumber: number): Generator<[string, Luck]> {
  yield* EXTREMES;
  for (let i = 0; i < RANDOM_CUTS; i++) {
    yield [`ETCDKIT_SEED=${SEED} #${i}`, randomLuck(randomFor(SEED, caseNumber, callNumber, i))];
  }
}

/** What is wrong with the states that cuts in these calls leave. */
async function problemsOf(
  world: World,
  { root, calls }: Recorded,
  caseNumber: number,
  isCounted: boolean,
): Promise<string[]> {
  const problems: string[] = [];
  for (let count = 0; count <= calls.length; count++) {
    const last = calls[count - 1];
    for (const [luckName, luck] of lucks(caseNumber, count)) {
      try {
        const { stage } = await world.judgeTree(
          stateAfterCut(world.before, calls.slice(0, count), root, luck),
        );
        const state = stage === 0 ? 'old' : stage === world.units.length ? 'new' : 'between';
        if (count === calls.length) assert.equal(state, 'new', 'success was reported, but it is not durable');
        if (isCounted) tally.add(last?.operation ?? 'none', state);
      } catch (error) {
        problems.push(
          `after ${last ? describeCall(last) : 'nothing'}, ${luckName}: ${(error as Error).message}`,
        );
      }
    }
  }
  return problems;
}

describe('the power is cut', () => {
  process.stdout.write(`ETCDKIT_SEED=${SEED}\n`);
  after(() => tally.print());
  for (const [number, of] of CASES.entries()) {
    test(of.name, async (t) => {
      const world = await World.of(scratch(t), of);
      const problems = await problemsOf(world, await record(world), number, true);
      assert.equal(problems.join('\n'), '');
    });
  }
});

test('a sync that is missing is noticed', async (t) => {
  for (const of of [CASES.find(({ swapped }) => swapped)!, CASES.find(({ inTheWay }) => inTheWay)!]) {
    const world = await World.of(scratch(t), of);
    const { root, calls } = await record(world);
    for (const missing of ['sync', 'syncDirectory']) {
      const others = calls.filter(({ operation }) => operation !== missing);
      const problems = await problemsOf(world, { root, calls: others }, 0, false);
      assert.ok(problems.length > 0, `${of.name} without ${missing}`);
    }
  }
});
