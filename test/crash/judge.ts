/**
 * What an operation left of its world: the old state, the new one, or one of the few between that a kill may leave;
 * whether all databases in it are sound, and what lies about beside them.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { RefusedError } from '../../src/errors.ts';
import { verify } from '../../src/check/verify.ts';
import type { Disk } from '../../src/bytes/disk.ts';
import { plainContext } from '../../src/ops/context.ts';
import { type DiskCall, faultyDisk, hastyDisk } from '../support/faulty-disk.ts';
import type { Case } from './cases.ts';
import { differences, isSameTree, isWithin, plantTree, readTree, type Tree } from './tree.ts';

/**
 * Names that may be left behind by a kill: hidden and plainly ours, or such that a server removes them (`db.tmp.*`,
 * `tmp*` in snap/) or passes over them (`*.tmp` beside the log).
 */
const LEFTOVERS = [
  /(?:^|\/)\.[^/]+\.etcdkit-\d+-[0-9a-f]{8}$/,
  /\/snap\/db\.tmp\.[^/]+$/,
  /\/snap\/tmp\.etcdkit-[^/]+$/,
  /\/etcdkit-\d+(?:\.old)?\.tmp$/,
];

export interface Judgement {
  /** How many units are new: 0 is the old state. */
  stage: number;
  /** Paths beside the state, topmost only. */
  leftovers: string[];
}

/** One case, its old and new states, and how it gets from one to the other. */
export class World {
  readonly case: Case;
  readonly before: Tree;
  readonly after: Tree;
  /** What the operation does when nothing fails. */
  readonly calls: readonly DiskCall[];
  /** What takes its place by a rename or a link of its own, in that order; a kill between two of them leaves a state between. */
  readonly units: readonly string[];
  readonly #scratch: string;
  readonly #verdicts = new Map<string, string>();

  private constructor(
    scratch: string,
    of: Case,
    states: Pick<World, 'before' | 'after' | 'calls' | 'units'>,
  ) {
    this.#scratch = scratch;
    this.case = of;
    this.before = states.before;
    this.after = states.after;
    this.calls = states.calls;
    this.units = states.units;
  }

  /** Runs the operation once, untouched, to learn what it makes. */
  static async of(scratch: string, of: Case): Promise<World> {
    const before = await of.before();
    const root = plant(scratch, before);
    const calls: DiskCall[] = [];
    const disk = faultyDisk(undefined, { onCall: (call) => calls.push(call) });
    await of.run(root, plainContext({ disk }));
    const after = readTree(root);
    const isFinal = (to: string): boolean => after.has(relative(root, to)) && !before.has(relative(root, to));
    const placings = calls.filter(
      ({ operation, to }) => operation === 'rename' || (operation === 'link' && isFinal(to!)),
    );
    const units = placings.map(({ to }) => relative(root, to!));
    const world = new World(scratch, of, { before, after, calls, units });
    assert.ok(world.units.length > 0, 'the operation changes something');
    const judgement = await world.judge(root);
    assert.deepEqual(judgement, { stage: world.units.length, leftovers: [] });
    rmSync(root, { recursive: true });
    return world;
  }

  /** A fresh old state; gives its root. */
  plant(): string {
    return plant(this.#scratch, this.before);
  }

  run(root: string, disk: Disk): Promise<unknown> {
    return this.case.run(root, plainContext({ disk }));
  }

  /** The same operation once more after a kill: it has to get to the new state. */
  async runAgain(root: string, { stage }: Judgement): Promise<void> {
    const run = (): Promise<unknown> => this.run(root, hastyDisk());
    const { isRefusedOnceDone, inTheWay } = this.case;
    if (stage === this.units.length && isRefusedOnceDone) await assert.rejects(run, RefusedError);
    else if (stage > 0 && inTheWay) {
      await assert.rejects(run, RefusedError);
      for (const path of inTheWay) rmSync(join(root, path), { recursive: true, force: true });
      await run();
    } else await run();
    assert.equal((await this.judge(root)).stage, this.units.length, 'after a second run');
  }

  /** What every moment must hold to. */
  assertPresent(root: string): void {
    const { swapped } = this.case;
    if (swapped !== undefined) assert.ok(existsSync(join(root, swapped)), `${swapped} is absent`);
  }

  /** Fails unless the world is in one of its states, and all in it is sound. */
  async judge(root: string): Promise<Judgement> {
    this.assertPresent(root);
    return this.judgeTree(readTree(root), root);
  }

  /** The same of a tree that need not be on a disk yet. */
  async judgeTree(full: Tree, root?: string): Promise<Judgement> {
    const { state, leftovers } = withoutLeftovers(full, this.after);
    const stage = this.#stageOf(state);
    const key = [stage, ...leftovers.map(kindOf)].join('\n');
    let verdict = this.#verdicts.get(key);
    if (verdict === undefined) {
      const planted = root ?? plant(this.#scratch, full);
      verdict = await this.#verifyAll(planted, stage);
      if (root === undefined) rmSync(planted, { recursive: true });
      this.#verdicts.set(key, verdict);
    }
    assert.equal(verdict, '', `stage ${stage}, ${leftovers.join(', ')}`);
    return { stage, leftovers };
  }

  #stageOf(state: Tree): number {
    for (let stage = 0; stage <= this.units.length; stage++) {
      if (isSameTree(state, this.#expectedAt(stage))) return stage;
    }
    const fromOld = differences(state, this.before);
    const fromNew = differences(state, this.after);
    const message = `neither old nor new:\n  to the old state ${fromOld.join('\n    ')}\n  to the new ${fromNew.join('\n    ')}`;
    throw new assert.AssertionError({ message });
  }

  /** The new state where a unit is new already, the old one elsewhere. */
  #expectedAt(stage: number): Tree {
    const isNew = (path: string): boolean => this.units.slice(0, stage).some((unit) => isWithin(path, unit));
    const old = [...this.before].filter(([path]) => !isNew(path));
    return new Map([...old, ...[...this.after].filter(([path]) => isNew(path))]);
  }

  /** Empty when all is well. */
  async #verifyAll(root: string, stage: number): Promise<string> {
    const problems: string[] = [];
    for (const { path, walDir } of this.case.checked) {
      const isThere =
        existsSync(join(root, path, 'member')) ||
        statSync(join(root, path), { throwIfNoEntry: false })?.isFile();
      if (!isThere) continue;
      const report = await verify(
        join(root, path),
        walDir === undefined ? {} : { walDir: join(root, walDir) },
      );
      if (!report.verdict.startsWith('GOOD'))
        problems.push(`${path} is ${report.verdict}: ${report.findings[0]?.message}`);
      const version = stage < this.units.length ? this.case.versions?.from : this.case.versions?.to;
      const start = report.starts.find((one) => one.version === version);
      if (version !== undefined && (!start || start.obstacle))
        problems.push(`etcd ${version} does not start: ${start?.obstacle}`);
    }
    return problems.join('\n');
  }
}

function plant(scratch: string, tree: Tree): string {
  mkdirSync(scratch, { recursive: true });
  const root = mkdtempSync(join(scratch, 'world-'));
  plantTree(root, tree);
  return root;
}

/** What is not part of any state; fails for names that nobody would clean up. */
function withoutLeftovers(full: Tree, after: Tree): { state: Tree; leftovers: string[] } {
  const leftovers: string[] = [];
  const state: Tree = new Map();
  for (const [path, entry] of full) {
    if (leftovers.some((leftover) => isWithin(path, leftover))) continue;
    if (!after.has(path) && LEFTOVERS.some((pattern) => pattern.test(path))) leftovers.push(path);
    else state.set(path, entry);
  }
  return { state, leftovers };
}

/** How many files this process has open; 0 where the system does not say. */
export function openDescriptors(): number {
  return existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0;
}

/** A leftover's name without what differs from run to run. */
export function kindOf(leftover: string): string {
  return basename(leftover)
    .replace(/-\d+-[0-9a-f]{8}$/, '')
    .replace(/\d{2,}/, '#');
}
