/**
 * The operations that change a disk, each with a small world it runs in. A world is one directory that holds all
 * the operation reads and writes, so that its old and its new state are two trees.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Context, plainContext } from '../../src/ops/context.ts';
import { TRAILER_SIZE } from '../../src/format/backup/trailer.ts';
import { fetchSnapshot } from '../../src/ops/snapshot/fetch.ts';
import { restoreSnapshot, type RestoreOptions } from '../../src/ops/snapshot/restore.ts';
import { saveSnapshot } from '../../src/ops/snapshot/save.ts';
import { defragment } from '../../src/ops/upkeep/defrag.ts';
import { migrate } from '../../src/ops/upkeep/migrate.ts';
import type { Version } from '../../src/store/schema/buckets.ts';
import { readFixture, unpacked } from '../support/fixtures.ts';
import { sendBackup, startSnapshotServer } from '../support/snapshot-server.ts';
import { contentOf, type Entry, plantTree, readTree, type Tree } from './tree.ts';

export interface Case {
  name: string;
  before(): Tree | Promise<Tree>;
  run(root: string, context: Context): Promise<unknown>;
  /** The same as a command line. */
  args?: (root: string) => string[];
  /** Databases and data directories, verified wherever they are. */
  checked: ReadonlyArray<{ path: string; walDir?: string }>;
  /** A database that must be there at every moment. */
  swapped?: string;
  /** Takes the same steps on the disk as another case, with other content. */
  isVariant?: boolean;
  /** Of a migration. */
  versions?: { from: Version; to: Version };
  /** A second run finds the result of the first, and refuses. */
  isRefusedOnceDone?: boolean;
  /** Where a kill between two units makes a second run refuse: what its message says to remove. */
  inTheWay?: readonly string[];
}

export const TIMEOUT_MS = 2000;
/** Who owns the files, where the tests may say so. */
const OWNER =
  process.getuid?.() === 0 ? { uid: 4242, gid: 4343 } : { uid: process.getuid!(), gid: process.getgid!() };
/** Instead of 64 MB of zeros. */
const SEGMENT_BYTES = 1 << 18;

const directory = (mode = 0o700): Entry => ({ mode, ...OWNER, content: undefined });
const file = (bytes: Uint8Array, mode = 0o600): Entry => ({ mode, ...OWNER, content: contentOf(bytes) });

/** A data directory that a server wrote, as `data`, its log less padded. */
function dataDirectory(archive: string, inner: string): () => Tree {
  return () => {
    const tree: Tree = new Map([['data', directory()]]);
    for (const [path, entry] of readTree(unpacked(archive, inner))) {
      const { content } = entry;
      const isLog = path.endsWith('.wal') || path.endsWith('.tmp');
      const sizeBytes = isLog ? Math.max(SEGMENT_BYTES, content!.bytes.length) : content?.sizeBytes;
      const trimmed = content && sizeBytes !== undefined ? { ...content, sizeBytes } : undefined;
      tree.set(`data/${path}`, { ...entry, ...OWNER, content: trimmed });
    }
    return tree;
  };
}

async function fetchFromServer(output: string, context: Context): Promise<void> {
  const backup = readFixture('snap/snap-3.6.db');
  const sent = { database: backup.subarray(0, -TRAILER_SIZE), digest: backup.subarray(-TRAILER_SIZE) };
  const { server, endpoint } = await startSnapshotServer((stream) => sendBackup(stream, sent));
  try {
    await fetchSnapshot({ endpoint, output }, context);
  } finally {
    await server.close({ graceMs: 0 });
  }
}

export const DATA_DATABASE = 'data/member/snap/db';

const DEFRAGS: Case[] = [
  {
    name: 'defrag of a data directory',
    args: (root) => ['defrag', '--data-dir', join(root, 'data')],
    before: dataDirectory('datadir/datadir-3.6.tar.gz', 'd3.6'),
    run: (root, context) => defragment({ dataDir: join(root, 'data') }, { timeoutMs: TIMEOUT_MS }, context),
    checked: [{ path: 'data' }],
    swapped: DATA_DATABASE,
  },
  {
    name: 'defrag of a file to a new one',
    before: () =>
      new Map([
        ['in', directory()],
        ['in/backup.db', file(readFixture('snap/snap-3.5.db'))],
      ]),
    run: (root, context) =>
      defragment(
        { file: join(root, 'in/backup.db'), output: join(root, 'in/out.db') },
        { timeoutMs: TIMEOUT_MS },
        context,
      ),
    checked: [{ path: 'in/backup.db' }, { path: 'in/out.db' }],
    isRefusedOnceDone: true,
  },
  {
    name: 'defrag of a backup in place',
    before: () => new Map([['backup.db', file(readFixture('snap/snap-3.7.db'), 0o640)]]),
    run: (root, context) =>
      defragment({ file: join(root, 'backup.db'), inPlace: true }, { timeoutMs: TIMEOUT_MS }, context),
    checked: [{ path: 'backup.db' }],
    swapped: 'backup.db',
  },
];

const CLUSTER = {
  initialCluster: 'm1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380',
  token: 'crash-test',
  learners: ['m3'],
};

/** A backup in a directory that the result comes into, and what is there already. */
export function backup(version: Version, present: ReadonlyArray<[string, Entry]> = []): () => Tree {
  return () =>
    new Map([
      ['backup.db', file(readFixture(`snap/snap-${version}.db`))],
      ['here', directory(0o755)],
      ...present,
    ]);
}

type RestoreCase = Omit<Case, 'run' | 'isRefusedOnceDone'>;

function restoreCase(options: (root: string) => RestoreOptions, more: RestoreCase): Case {
  return {
    ...more,
    run: (root, context) => restoreSnapshot(join(root, 'backup.db'), options(root), context),
    isRefusedOnceDone: true,
  };
}

/** One member in `here/data`. */
const single = (
  name: string,
  version: Version,
  options: Partial<RestoreOptions> = {},
  isVariant = false,
): Case =>
  restoreCase((root) => ({ ...options, target: { dataDir: join(root, 'here/data') } }), {
    name,
    isVariant,
    before: backup(version),
    checked: [{ path: 'backup.db' }, { path: 'here/data' }],
  });

const MEMBERS = ['m1', 'm2', 'm3'].map((name) => `here/out/${name}.etcd`);
const EMPTY_TARGET: ReadonlyArray<[string, Entry]> = [
  ['here/data', directory()],
  ['here/data/lost+found', directory()],
];

const RESTORES: Case[] = [
  single('restore', '3.6'),
  single('restore with pages where they were', '3.6', { layout: 'preserved' }),
  single('restore with the digest alone', '3.7', { layout: 'quick' }, true),
  single('restore with a bumped revision', '3.5', { bump: 1000 }, true),
  single('restore for a newer version', '3.5', { targetVersion: '3.7' }, true),
  single('restore for an older version', '3.7', { targetVersion: '3.4', layout: 'preserved' }, true),
  restoreCase((root) => ({ target: { dataDir: join(root, 'here/a/b/data') } }), {
    name: 'restore into directories that are not there',
    before: backup('3.4'),
    checked: [{ path: 'here/a/b/data' }],
  }),
  restoreCase((root) => ({ target: { dataDir: join(root, 'here/data') } }), {
    name: 'restore onto a mount point',
    before: backup('3.6', EMPTY_TARGET),
    checked: [{ path: 'here/data' }],
  }),
  restoreCase((root) => ({ target: { dataDir: join(root, 'here/data'), walDir: join(root, 'here/log') } }), {
    name: 'restore with a log elsewhere',
    before: backup('3.6'),
    checked: [{ path: 'here/data', walDir: 'here/log' }],
    inTheWay: ['here/log'],
  }),
  restoreCase((root) => ({ ...CLUSTER, target: { allMembers: join(root, 'here/out') } }), {
    name: 'restore of all members',
    before: backup('3.6'),
    checked: MEMBERS.map((path) => ({ path })),
  }),
  restoreCase(
    (root) => ({ ...CLUSTER, layout: 'preserved', target: { allMembers: join(root, 'here/out') } }),
    {
      name: 'restore of all members into a directory that is there',
      before: backup('3.5', [['here/out', directory()]]),
      checked: MEMBERS.map((path) => ({ path })),
      inTheWay: MEMBERS,
    },
  ),
];

/** Killed behind its log: the database ends at entry 18, the log at 61. */
const behind = dataDirectory('tail/tail-before-3.6.tar.gz', 'tail-3.6');

const SAVES: Case[] = [
  {
    name: 'save of a stopped member',
    before: behind,
    run: (root, context) =>
      saveSnapshot({ dataDir: join(root, 'data'), output: join(root, 'backup.db') }, context),
    args: (root) => ['snapshot', 'save', '--data-dir', join(root, 'data'), '-o', join(root, 'backup.db')],
    checked: [{ path: 'data' }, { path: 'backup.db' }],
    isRefusedOnceDone: true,
  },
  {
    name: 'save from a running server',
    before: () => new Map([['here', directory(0o755)]]),
    run: (root, context) => fetchFromServer(join(root, 'here/backup.db'), context),
    checked: [{ path: 'here/backup.db' }],
    isRefusedOnceDone: true,
  },
  {
    name: 'restore from a stopped member',
    before: () => new Map([...behind(), ['here', directory(0o755)]]),
    run: (root, context) =>
      restoreSnapshot(join(root, 'data'), { target: { dataDir: join(root, 'here/data') } }, context),
    checked: [{ path: 'data' }, { path: 'here/data' }],
    isRefusedOnceDone: true,
  },
];

interface MigrateCase {
  name: string;
  before: () => Tree | Promise<Tree>;
  from: Version;
  to: Version;
  isFixing?: boolean;
  /** Where the log is, if not in the data directory. */
  walDir?: string;
}

const migrateCase = ({ name, before, from, to, isFixing = false, walDir }: MigrateCase): Case => ({
  name,
  before,
  run: (root, context) => {
    const [major, minor] = to.split('.').map(Number) as [number, number];
    const options = {
      dataDir: join(root, 'data'),
      walDir: walDir === undefined ? undefined : join(root, walDir),
      target: { major, minor },
      fixClusterVersion: isFixing,
      timeoutMs: TIMEOUT_MS,
    };
    return migrate(options, context);
  },
  checked: [{ path: 'data', ...(walDir === undefined ? {} : { walDir }) }],
  swapped: DATA_DATABASE,
  versions: { from, to },
});

export const written = (version: Version): (() => Tree) =>
  dataDirectory(`datadir/datadir-${version}.tar.gz`, `d${version}`);

/** The log out of the data directory. */
function withLogElsewhere(tree: Tree): Tree {
  const place = (path: string): string => path.replace(/^data\/member\/wal/, 'log');
  return new Map([...tree].map(([path, entry]) => [place(path), entry]));
}

/** What another case leaves. */
async function after(other: Case): Promise<Tree> {
  const root = mkdtempSync(join(tmpdir(), 'etcdkit-crash-'));
  try {
    plantTree(root, await other.before());
    await other.run(root, plainContext());
    return readTree(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

export const DOWN_TO_36 = migrateCase({
  name: 'migrate from 3.7 to 3.6, fixing',
  before: written('3.7'),
  from: '3.7',
  to: '3.6',
  isFixing: true,
});

const MIGRATIONS: Case[] = [
  migrateCase({ name: 'migrate from 3.5 to 3.6', before: written('3.5'), from: '3.5', to: '3.6' }),
  migrateCase({ name: 'migrate from 3.6 to 3.7', before: written('3.6'), from: '3.6', to: '3.7' }),
  migrateCase({
    name: 'migrate from 3.6 to 3.5, fixing',
    before: written('3.6'),
    from: '3.6',
    to: '3.5',
    isFixing: true,
  }),
  DOWN_TO_36,
  migrateCase({
    name: 'migrate from 3.7 to 3.6, fixing, with a log elsewhere',
    before: () => withLogElsewhere(written('3.7')()),
    from: '3.7',
    to: '3.6',
    isFixing: true,
    walDir: 'log',
  }),
  migrateCase({
    name: 'migrate from 3.6 to 3.5, fixing a .snap that is there',
    before: () => after(DOWN_TO_36),
    from: '3.6',
    to: '3.5',
    isFixing: true,
  }),
];

export const CASES: readonly Case[] = [...DEFRAGS, ...RESTORES, ...SAVES, ...MIGRATIONS];
