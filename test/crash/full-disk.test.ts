/** A disk that is really full half-way: a small tmpfs, where this user may mount one. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { scratch } from '../support/scratch.ts';
import { startProgram } from './child.ts';
import { LARGE_CASES } from './large.ts';
import { differences, plantTree, readTree, type Tree } from './tree.ts';

const MB = 1 << 20;
const FAILED = 1;

interface FullCase {
  name: string;
  /** Planted on the small disk or beside it. */
  world: 'defrag' | 'restore' | 'migrate';
  isInside: boolean;
  sizeBytes: number;
  args: (paths: { world: string; disk: string }) => string[];
  message: RegExp;
}

const NO_SPACE = /^Error: (?:write|open|mkdir|link|truncate) \S+: no space left on device$/m;
const CLUSTER = 'm1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380';

const FULL_CASES: FullCase[] = [
  {
    name: 'restore onto a mount point',
    world: 'restore',
    isInside: false,
    sizeBytes: 16 * MB,
    args: ({ world, disk }) => ['snapshot', 'restore', join(world, 'backup.db'), '--data-dir', disk],
    message: NO_SPACE,
  },
  {
    name: 'restore into a new directory',
    world: 'restore',
    isInside: false,
    sizeBytes: 16 * MB,
    args: ({ world, disk }) => [
      'snapshot',
      'restore',
      join(world, 'backup.db'),
      '--data-dir',
      join(disk, 'a/data'),
      '--preserve-layout',
    ],
    message: NO_SPACE,
  },
  {
    name: 'restore of all members, with room for one',
    world: 'restore',
    isInside: false,
    sizeBytes: 48 * MB,
    args: ({ world, disk }) => [
      'snapshot',
      'restore',
      join(world, 'backup.db'),
      '--all-members',
      join(disk, 'out'),
      '--initial-cluster',
      CLUSTER,
    ],
    message: /^Error: \d+ bytes are needed in \S+, but only \d+ are free$/m,
  },
  {
    name: 'defrag to a new file',
    world: 'restore',
    isInside: false,
    sizeBytes: 16 * MB,
    args: ({ world, disk }) => ['defrag', join(world, 'backup.db'), '-o', join(disk, 'out.db')],
    message: NO_SPACE,
  },
  {
    name: 'defrag of a data directory',
    world: 'defrag',
    isInside: true,
    sizeBytes: 48 * MB,
    args: ({ world }) => ['defrag', '--data-dir', join(world, 'data')],
    message: NO_SPACE,
  },
  {
    name: 'migrate',
    world: 'migrate',
    isInside: true,
    sizeBytes: 48 * MB,
    args: ({ world }) => [
      'migrate',
      '--data-dir',
      join(world, 'data'),
      '--target-version',
      '3.6',
      '--fix-cluster-version',
    ],
    message: NO_SPACE,
  },
];

/** Runs `run` with a small disk; skips aloud where none can be mounted. */
async function withSmallDisk(
  t: TestContext,
  sizeBytes: number,
  run: (path: string) => Promise<void>,
): Promise<void> {
  const path = join(scratch(t), 'disk');
  mkdirSync(path);
  const mounted = spawnSync('mount', [
    '-t',
    'tmpfs',
    '-o',
    `size=${sizeBytes},mode=0700`,
    'etcdkit-crash',
    path,
  ]);
  if (mounted.status !== 0) {
    t.skip(`no small disk can be mounted here: ${String(mounted.stderr ?? mounted.error).trim()}`);
    return;
  }
  try {
    await run(path);
  } finally {
    spawnSync('umount', [path]);
  }
}

function treeOf(world: FullCase['world']): Promise<Tree> | Tree {
  return LARGE_CASES.find(({ name }) => name.startsWith(world))!.before();
}

describe('the disk is full half-way', () => {
  for (const { name, world: kind, isInside, sizeBytes, args, message } of FULL_CASES) {
    test(name, (t) =>
      withSmallDisk(t, sizeBytes, async (disk) => {
        const world = isInside ? join(disk, 'world') : join(scratch(t), 'world');
        plantTree(world, await treeOf(kind));
        const before = [readTree(world), readTree(disk)] as const;
        const { code, stderr } = await startProgram(args({ world, disk })).ending;
        assert.equal(code, FAILED, stderr);
        assert.match(stderr, message);
        assert.deepEqual(differences(readTree(world), before[0]), []);
        assert.deepEqual(differences(readTree(disk), before[1]), []);
      }),
    );
  }
});
