/**
 * The power is cut while the database of a server is written: after each file operation of a run of puts, deletes,
 * commits, views and rewrites, with any subset of sectors lost or torn that no sync had made durable. Each image
 * must open, be sound in all its pages, and hold what a commit had promised, all of it or one commit more.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type Finding } from '../../src/errors.ts';
import { BoltBackend } from '../../src/store/backend/bolt.ts';
import { type Content, contentOfFile } from '../support/database-content.ts';
import { type DiskCall, hastyDisk, recordingDisk } from '../support/faulty-disk.ts';
import { type Random, randomFor, seedOfRun } from '../support/mutate.ts';
import { scratch } from '../support/scratch.ts';
import { type Acknowledged, drive, sameContent } from './backend-run.ts';
import { describeCall, failureText, type Luck, stateAfterCut } from './power-cut.ts';
import { randomSectorLuck } from './sector-cut.ts';
import { Tally } from './tally.ts';
import { plantTree, type Tree } from './tree.ts';

const SEED = seedOfRun();
const ROUNDS = 36;
const RUNS = 4;
/** After each operation. */
const CUTS = 3;
const NO_TREE: Tree = new Map();
const tally = new Tally('power cuts of a backend, by the last operation and what was left', [
  'none',
  'acknowledged',
  'newer',
]);

interface Run {
  root: string;
  calls: DiskCall[];
  acknowledged: Acknowledged[];
}

const encode = (text: string): Uint8Array => Buffer.from(text, 'latin1');

async function record(root: string, random: Random): Promise<Run> {
  const { disk, calls } = recordingDisk(hastyDisk());
  plantTree(root, NO_TREE);
  const acknowledged: Acknowledged[] = [];
  await drive(root, disk, random, { rounds: ROUNDS, callCount: () => calls.length, acknowledged });
  return { root, calls, acknowledged };
}

/** Judges what a cut left. Gives which state it is. */
async function judge(root: string, tree: Tree, run: Run, callCount: number, random: Random): Promise<string> {
  plantTree(root, tree);
  const path = join(root, 'db');
  const last = run.acknowledged.findLastIndex((state) => state.callCount <= callCount);
  if (last < 0 && !existsSync(path)) return 'none';
  const backend = await BoltBackend.open(hastyDisk(), path);
  try {
    const found = contentOfFile(path, isTornMeta);
    const allowed = run.acknowledged.slice(Math.max(0, last), last + 2);
    const index = allowed.findIndex(({ content }) => sameContent(content, found));
    assert.ok(index >= 0, `what commit ${last} had promised is not there`);
    if (random.chance(0.1)) await goOn(backend, path, found);
    return index === 0 ? 'acknowledged' : 'newer';
  } finally {
    await backend.close();
  }
}

/** A meta that was being written is what a cut may leave; the next commit writes it again. */
const isTornMeta = ({ code }: Finding): boolean => code.startsWith('bolt.meta.');

/** The image is not only to be read: a server goes on from it. */
async function goOn(backend: BoltBackend, path: string, content: Content): Promise<void> {
  for (let i = 0; i < 3; i++) {
    backend.put('key', encode(`9999999${i}`), encode('after the cut'));
    await backend.commit();
    content.set('key', new Map([...(content.get('key') ?? []), [`9999999${i}`, 'after the cut']]));
    assert.ok(sameContent(contentOfFile(path), content), 'it does not take a commit');
  }
}

/** What is wrong with cuts in a run, `perCall` after each operation. */
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
        const tree = stateAfterCut(NO_TREE, run.calls.slice(0, count), run.root, luck);
        const state = await judge(join(stage, `${count}-${i}`), tree, run, count, random);
        tally.add(last?.operation ?? 'none', state);
      } catch (error) {
        problems.push(`after ${last ? describeCall(last) : 'nothing'}, luck ${i}: ${failureText(error)}`);
      }
    }
  }
  return problems;
}

describe('the power is cut while a backend writes', () => {
  process.stdout.write(`ETCDKIT_SEED=${SEED}\n`);
  after(() => tally.print());
  for (let number = 0; number < RUNS; number++) {
    test(`run ${number}`, async (t) => {
      const run = await record(join(scratch(t), 'run'), randomFor(SEED, number));
      const before = tally.total();
      const problems = await problemsOf(t, run, number, CUTS);
      assert.deepEqual(problems.slice(0, 5), [], `${problems.length} problems`);
      assert.ok(tally.total() - before >= 300, `${tally.total() - before} images`);
    });
  }

  test('2,000 images and more were judged', () => {
    assert.ok(tally.total() >= 2000, `${tally.total()}`);
  });
});

/** Whether it makes pages durable before a meta names them: the next write goes to one of the two first pages. */
function isPageSync({ operation, path }: DiskCall, next: DiskCall | undefined): boolean {
  return (
    operation === 'sync' &&
    next?.operation === 'write' &&
    next.path === path &&
    next.position! <= next.bytes!.length &&
    next.bytes!.length === 4096
  );
}

test('a backend that names pages before they are durable is noticed', async (t) => {
  const run = await record(join(scratch(t), 'run'), randomFor(SEED, 100));
  const kept = run.calls.filter((call, i) => !isPageSync(call, run.calls[i + 1]));
  assert.ok(kept.length < run.calls.length - ROUNDS / 2, 'there is such a sync in each commit');
  const isFirst = (count: number): number =>
    run.calls.slice(0, count).filter((call, i) => isPageSync(call, run.calls[i + 1])).length;
  const acknowledged = run.acknowledged.map(({ callCount, content }) => ({
    callCount: callCount - isFirst(callCount),
    content,
  }));
  const problems = await problemsOf(t, { ...run, calls: kept, acknowledged }, 100, 1);
  assert.ok(problems.length > 0);
});

test('a backend that says a commit has ended before its meta is durable is noticed', async (t) => {
  const run = await record(join(scratch(t), 'run'), randomFor(SEED, 101));
  const early = run.acknowledged.map(({ callCount, content }) => ({ callCount: callCount - 1, content }));
  const problems = await problemsOf(t, { ...run, acknowledged: early }, 101, 3);
  assert.ok(problems.length > 0);
});
