/**
 * Every operation that writes, with each file it opens and each piece it reads failing in turn, for good: with EIO,
 * or with fewer bytes than there should be. Reading does not go through `Disk`, so the file system functions themselves are
 * replaced while the operation runs. What a worker thread reads, and directories, is not reached.
 */
import assert from 'node:assert/strict';
import fs, { rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { after, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { ToolError } from '../../src/errors.ts';
import { hastyDisk } from '../support/faulty-disk.ts';
import { scratch } from '../support/scratch.ts';
import { CASES } from './cases.ts';
import { openDescriptors, World } from './judge.ts';
import { Tally } from './tally.ts';

const KINDS = ['open', 'read', 'read nothing'] as const;
type Kind = (typeof KINDS)[number];

interface Fault {
  kind: Kind;
  /** From 1; never when 0. */
  at: number;
}

/** Of each way to read one; the other cases read in the same ways. */
const TRIED = [
  'defrag of a data directory',
  'defrag of a backup in place',
  'restore',
  'restore with pages where they were',
  'restore with the digest alone',
  'restore of all members into a directory that is there',
  'migrate from 3.5 to 3.6',
  'migrate from 3.7 to 3.6, fixing, with a log elsewhere',
  'migrate from 3.6 to 3.5, fixing a .snap that is there',
];
/** Of one kind; where there are more, they are tried in equal steps. */
const TRIES_MAX = 40;

const tally = new Tally('failed reads, by what was left', ['old', 'new']);

const WRITING = fs.constants.O_WRONLY | fs.constants.O_RDWR;

function isReading(flags: fs.OpenMode | undefined): boolean {
  return typeof flags === 'number' ? (flags & WRITING) === 0 : flags === undefined || flags === 'r';
}

interface Reads {
  counts: Record<Kind, number>;
  /** What the fault hit. */
  hitPath: string | undefined;
  error: unknown;
}

async function withReads(fault: Fault, root: string, run: () => Promise<unknown>): Promise<Reads> {
  const { openSync, readSync } = fs;
  const counts = { open: 0, read: 0, 'read nothing': 0 };
  const paths = new Map<number, string>();
  let hitPath: string | undefined;
  const isHit = (kind: Kind, path: string): boolean => {
    const isIt = ++counts[kind] === fault.at && fault.kind === kind;
    if (isIt) hitPath = path;
    return isIt;
  };
  const failure = (): Error => Object.assign(new Error('EIO: injected'), { code: 'EIO' });
  fs.openSync = (path, flags, mode) => {
    const isOurs = String(path).startsWith(root) && isReading(flags);
    if (isOurs && isHit('open', String(path))) throw failure();
    const fd = openSync(path, flags, mode);
    if (isOurs) paths.set(fd, String(path));
    else paths.delete(fd);
    return fd;
  };
  // A sector that cannot be read stays so: a page that is read once more, alone, fails once more.
  let bad: { path: string; position: number; kind: Kind } | undefined;
  fs.readSync = ((fd: number, ...rest: [Buffer, number, number, number]) => {
    const path = paths.get(fd);
    if (path !== undefined) {
      const [, , length, position] = rest;
      for (const kind of ['read', 'read nothing'] as const)
        if (isHit(kind, path)) bad = { path, position, kind };
      if (bad?.path === path && position <= bad.position && bad.position < position + length) {
        if (bad.kind === 'read') throw failure();
        return 0;
      }
    }
    return readSync(fd, ...rest);
  }) as typeof readSync;
  syncBuiltinESMExports();
  try {
    const error = await run().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    return { counts, hitPath, error };
  } finally {
    Object.assign(fs, { openSync, readSync });
    syncBuiltinESMExports();
  }
}

async function tryFault(world: World, fault: Fault): Promise<void> {
  const root = world.plant();
  const descriptors = openDescriptors();
  const { error, hitPath } = await withReads(fault, root, () => world.run(root, hastyDisk()));
  assert.equal(openDescriptors(), descriptors, 'descriptors were left open');
  // Servers pass over a .snap that does not decode, and so do we.
  const isPassedOver = error === undefined && fault.kind === 'read nothing' && hitPath!.endsWith('.snap');
  if (!isPassedOver) {
    assert.ok(error instanceof ToolError, `threw ${inspect(error)}`);
    assert.notEqual(error.code, 'unexpected', error.message);
    if (fault.kind !== 'read nothing') assert.match(error.message, /input\/output error/);
  }
  const { stage, leftovers } = await world.judge(root);
  assert.deepEqual(leftovers, []);
  assert.ok(
    stage === 0 || stage === world.units.length,
    `was left half-way, ${stage} of ${world.units.length}`,
  );
  tally.add(fault.kind, stage === 0 ? 'old' : 'new');
  rmSync(root, { recursive: true });
}

describe('reading fails', () => {
  after(() => tally.print());
  for (const of of CASES.filter(({ name }) => TRIED.includes(name))) {
    test(of.name, async (t) => {
      const world = await World.of(scratch(t), of);
      const root = world.plant();
      const { counts, error } = await withReads({ kind: 'open', at: 0 }, root, () =>
        world.run(root, hastyDisk()),
      );
      assert.equal(error, undefined);
      assert.ok(counts.open > 0 && counts.read > 0, 'reads are seen');
      const problems: string[] = [];
      for (const kind of KINDS) {
        for (let at = 1; at <= counts[kind]; at += Math.ceil(counts[kind] / TRIES_MAX)) {
          try {
            await tryFault(world, { kind, at });
          } catch (error) {
            problems.push(`${kind} ${at} of ${counts[kind]}: ${(error as Error).message}`);
          }
        }
      }
      assert.equal(problems.join('\n'), '');
    });
  }
});
