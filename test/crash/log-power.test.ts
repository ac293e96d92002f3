/**
 * The power is cut while a member is written to: after each file operation of a run of batches, snapshots, purges,
 * restarts and commits of the database, with any subset of sectors lost or torn that no sync had made durable. Each image
 * must open as a server opens it, hold every write that was acknowledged, and be sound then.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { verify } from '../../src/check/verify.ts';
import type { OpenedMember } from '../../src/server/start/member-options.ts';
import { type DiskCall, hastyDisk, recordingDisk } from '../support/faulty-disk.ts';
import { type Random, randomFor, seedOfRun } from '../support/mutate.ts';
import { beginAll, openAt, takeSnapshot } from '../support/opened-member.ts';
import { scratch } from '../support/scratch.ts';
import { describeCall, failureText, type Luck, stateAfterCut } from './power-cut.ts';
import { randomSectorLuck } from './sector-cut.ts';
import { Tally } from './tally.ts';
import { plantTree, type Tree } from './tree.ts';

const SEED = seedOfRun();
const ROUNDS = 24;
const RUNS = 4;
/** After each operation. */
const CUTS = 2;
const NO_TREE: Tree = new Map();
const LIMITS = { segmentBytes: 8192, snapshotsMax: 2, walsMax: 2 };
const tally = new Tally('power cuts of a member, by the last operation and what was repaired', [
  'new',
  'whole',
  'repaired',
]);

/** One put that was acknowledged after so many file operations. */
interface Acknowledged {
  callCount: number;
  key: string;
  value: string;
}

interface Run {
  root: string;
  calls: DiskCall[];
  acknowledged: Acknowledged[];
}

async function record(root: string, random: Random): Promise<Run> {
  const { disk, calls } = recordingDisk(hastyDisk());
  plantTree(root, NO_TREE);
  const acknowledged: Acknowledged[] = [];
  const open = (): Promise<OpenedMember> => openAt(join(root, 'data'), { disk, ...LIMITS });
  let member = await open();
  for (let round = 0; round < ROUNDS; round++) {
    // Batches that are appended while the one before is synced.
    const batches = Array.from({ length: 1 + random.below(3) }, (_, i) => putsOf(random, `${round}.${i}`));
    const ends = batches.map((puts) =>
      beginAll(
        member,
        puts.map(({ key, value }) => ({ put: { key: Buffer.from(key), value: Buffer.from(value) } })),
      ),
    );
    for (const [i, end] of ends.entries()) {
      await end();
      for (const put of batches[i]!) acknowledged.push({ ...put, callCount: calls.length });
    }
    if (random.chance(0.3)) await member.backend.commit();
    if (random.chance(0.15)) {
      await takeSnapshot(member);
      member.log.purge();
    }
    if (random.chance(0.1)) {
      await member.release();
      member = await open();
    }
  }
  await member.release();
  return { root, calls, acknowledged };
}

function putsOf(random: Random, name: string): Array<{ key: string; value: string }> {
  return Array.from({ length: 1 + random.below(5) }, (_, i) => ({
    key: `${name}.${i}`,
    value: Buffer.from(random.bytes(random.below(random.chance(0.2) ? 2500 : 200))).toString('hex'),
  }));
}

/** Judges what a cut left. Gives how it was opened. */
async function judge(dataDir: string, run: Run, callCount: number, random: Random): Promise<string> {
  const disk = hastyDisk();
  const member = await openAt(dataDir, { disk, ...LIMITS });
  assertHeld(member, run, callCount);
  const isRepaired = member.isRepaired;
  if (random.chance(0.2)) {
    const puts = putsOf(random, 'later').map(({ key, value }) => ({
      put: { key: Buffer.from(key), value: Buffer.from(value) },
    }));
    await beginAll(member, puts)();
  }
  await member.release();
  const { verdict, findings } = await verify(dataDir);
  const damage = findings.find(({ severity }) => severity !== 'note');
  assert.equal(damage, undefined, `${verdict}: ${damage?.message}`);
  if (random.chance(0.2)) {
    const again = await openAt(dataDir, { disk, ...LIMITS });
    assertHeld(again, run, callCount);
    await again.release();
  }
  return member.isNew ? 'new' : isRepaired ? 'repaired' : 'whole';
}

function assertHeld({ applier }: OpenedMember, run: Run, callCount: number): void {
  for (const { key, value, callCount: at } of run.acknowledged) {
    if (at > callCount) return;
    const [found] = applier.keys.range({ key: Buffer.from(key), end: undefined });
    assert.ok(found, `${key} was acknowledged, and is gone`);
    assert.ok(Buffer.from(found.bytes).includes(value), `${key} has another value`);
  }
}

async function problemsOf(
  t: Parameters<typeof scratch>[0],
  run: Run,
  number: number,
  perCall: number,
): Promise<string[]> {
  const problems: string[] = [];
  const stage = scratch(t);
  for (let count = 0; count <= run.calls.length; count++) {
    for (let i = 0; i < perCall; i++) {
      const random = randomFor(SEED, number, count, i);
      const luck: Luck = randomSectorLuck(random);
      const last = run.calls[count - 1];
      try {
        const root = join(stage, `${count}-${i}`);
        plantTree(root, stateAfterCut(NO_TREE, run.calls.slice(0, count), run.root, luck));
        tally.add(last?.operation ?? 'none', await judge(join(root, 'data'), run, count, random));
      } catch (error) {
        problems.push(
          `after ${last ? describeCall(last) : 'nothing'}, ${count} luck ${i}: ${failureText(error)}`,
        );
      }
    }
  }
  return problems;
}

describe('the power is cut while a member is written to', () => {
  process.stdout.write(`ETCDKIT_SEED=${SEED}\n`);
  after(() => tally.print());
  for (let number = 0; number < RUNS; number++) {
    test(`run ${number}`, async (t) => {
      const run = await record(join(scratch(t), 'run'), randomFor(SEED, number));
      const problems = await problemsOf(t, run, number, CUTS);
      assert.deepEqual(problems.slice(0, 5), [], `${problems.length} problems`);
    });
  }

  test('2,000 images and more were judged', () => {
    assert.ok(tally.total() >= 2000, `${tally.total()}`);
  });
});

test('a member that acknowledges before its log is durable is noticed', async (t) => {
  const run = await record(join(scratch(t), 'run'), randomFor(SEED, 101));
  // A segment's descriptor is known by the name that it was made with, before its turn came.
  const isLogSync = ({ operation, path }: DiskCall): boolean =>
    operation === 'sync' && /\/wal(\.tmp)?\//.test(path);
  const kept = run.calls.filter((call) => !isLogSync(call));
  assert.ok(kept.length < run.calls.length - ROUNDS / 2, 'there is such a sync for each batch');
  const before = (count: number): number => run.calls.slice(0, count).filter(isLogSync).length;
  const acknowledged = run.acknowledged.map((one) => ({
    ...one,
    callCount: one.callCount - before(one.callCount),
  }));
  const problems = await problemsOf(t, { ...run, calls: kept, acknowledged }, 101, 1);
  assert.ok(problems.length > 0);
});
