/**
 * Names inside a data directory, and what each entry is. Only looks; never opens a file.
 * etcd v3.6 server/config, server/storage, server/etcdserver/api/snap.
 */
import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ToolError } from '../errors.ts';
import { ioError } from '../bytes/io-error.ts';
import { parseSnapName } from './snap/file.ts';
import { parseSegmentName } from './wal/name.ts';

export const MEMBER_DIRECTORY = 'member';
export const SNAP_DIRECTORY = 'snap';
export const WAL_DIRECTORY = 'wal';
export const DATABASE_NAME = 'db';

/** What an entry is. The last eight are left behind by something that did not finish, or are not etcd's. */
export type EntryKind =
  | 'member'
  | 'snap'
  | 'wal'
  | 'database'
  /** `<term>-<index>.snap` */
  | 'snapshot'
  /** `<sequence>-<index>.wal` */
  | 'segment'
  /** `<index>.snap.db`: a database received from a leader, not yet in place. */
  | 'received-database'
  /** `*.snap.broken`, which a server could not read. */
  | 'broken-snapshot'
  /** `*.wal.broken`, a copy made by a repair. */
  | 'broken-segment'
  /** `0.tmp`, `1.tmp`: the next segment. */
  | 'next-segment'
  /** `db.tmp.*` */
  | 'defrag-rest'
  /** `tmp*` in snap: a receive that did not finish. */
  | 'receive-rest'
  /** `wal.tmp`, `wal.broken.*`: a log that did not come to be. */
  | 'wal-rest'
  /** `.touch`: a probe whether the directory can be written. */
  | 'probe'
  | 'foreign';

/** One entry of the data, member, snap or wal directory. */
export interface DataDirEntry {
  path: string;
  name: string;
  kind: EntryKind;
  isDirectory: boolean;
  /** 0 for directories. */
  sizeBytes: number;
}

export interface DataDir {
  /** Which of the two was named. */
  shape: 'data' | 'member';
  /** Where `member` stands in, whichever was named. */
  memberPath: string;
  snapPath: string;
  walPath: string;
  databasePath: string;
  /** Every entry of the directories that exist, sorted by path. */
  entries: DataDirEntry[];
}

interface Pattern {
  kind: EntryKind;
  test: (name: string) => boolean;
  isDirectory?: boolean;
}

const HEX_16 = '[0-9a-f]{16}';
const like = (kind: EntryKind, source: string, isDirectory = false): Pattern => {
  const pattern = new RegExp(`^(?:${source})$`);
  return { kind, test: (name) => pattern.test(name), isDirectory };
};

/** By directory; the first that fits counts. */
const PATTERNS: Record<'data' | 'member' | 'snap' | 'wal', Pattern[]> = {
  data: [like('member', MEMBER_DIRECTORY, true), like('probe', String.raw`\.touch`)],
  member: [
    like('snap', SNAP_DIRECTORY, true),
    like('wal', WAL_DIRECTORY, true),
    like('wal-rest', String.raw`wal\.tmp|wal\.broken\..+`, true),
    like('probe', String.raw`\.touch`),
  ],
  snap: [
    like('database', DATABASE_NAME),
    { kind: 'snapshot', test: (name) => parseSnapName(name) !== undefined },
    like('received-database', String.raw`${HEX_16}\.snap\.db`),
    like('broken-snapshot', String.raw`.+\.snap\.broken`),
    like('defrag-rest', String.raw`db\.tmp.*`),
    like('receive-rest', 'tmp.*'),
    like('probe', String.raw`\.touch`),
  ],
  wal: [
    { kind: 'segment', test: (name) => parseSegmentName(name) !== undefined },
    like('broken-segment', String.raw`.+\.wal\.broken`),
    like('next-segment', String.raw`[0-9]+\.tmp`),
    like('probe', String.raw`\.touch`),
  ],
};

/**
 * Classifies everything in a data directory or a member directory. `walDir` is where `--wal-dir` put the
 * segments. Throws `io.` errors, and `kind.unknown` for a directory that is neither.
 */
export function listDataDir(directory: string, options: { walDir?: string } = {}): DataDir {
  const top = readEntries(directory);
  const isHere = (name: string): boolean => top.some((entry) => entry.name === name && entry.isDirectory);
  const shape = isHere(MEMBER_DIRECTORY) ? 'data' : 'member';
  if (shape === 'member' && !isHere(SNAP_DIRECTORY) && !isHere(WAL_DIRECTORY)) {
    throw new ToolError('kind.unknown', `${directory} holds neither member/ nor snap/ and wal/`, {
      where: { file: directory },
      hint: 'name the directory that etcd was given with --data-dir',
    });
  }
  const memberPath = shape === 'data' ? join(directory, MEMBER_DIRECTORY) : directory;
  const snapPath = join(memberPath, SNAP_DIRECTORY);
  const walPath = options.walDir ?? join(memberPath, WAL_DIRECTORY);
  const entries = shape === 'data' ? classify(directory, 'data') : [];
  const inMember = classify(memberPath, 'member');
  entries.push(...inMember);
  if (inMember.some(({ kind }) => kind === 'snap')) entries.push(...classify(snapPath, 'snap'));
  if (options.walDir !== undefined || inMember.some(({ kind }) => kind === 'wal')) {
    entries.push(...classify(walPath, 'wal'));
  }
  const databasePath = join(snapPath, DATABASE_NAME);
  return { shape, memberPath, snapPath, walPath, databasePath, entries: entries.sort(byPath) };
}

/** What one file is, judged by its name and the directory it lies in; `foreign` when nothing etcd writes. */
export function kindOfPath(path: string): EntryKind {
  const name = basename(path);
  const parent = basename(dirname(path));
  const place = parent === SNAP_DIRECTORY || parent === WAL_DIRECTORY ? parent : undefined;
  const patterns = place ? PATTERNS[place] : [...PATTERNS.snap, ...PATTERNS.wal];
  return patterns.find((pattern) => pattern.test(name))?.kind ?? 'foreign';
}

function classify(directory: string, place: keyof typeof PATTERNS): DataDirEntry[] {
  return readEntries(directory).map((entry) => {
    const fits = ({ isDirectory = false, test }: Pattern): boolean =>
      isDirectory === entry.isDirectory && test(entry.name);
    return { ...entry, kind: PATTERNS[place].find(fits)?.kind ?? 'foreign' };
  });
}

/** Follows symbolic links, as etcd does: `member` on another disk is ordinary. */
function readEntries(directory: string): Omit<DataDirEntry, 'kind'>[] {
  try {
    return readdirSync(directory).map((name) => {
      const path = join(directory, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      const isDirectory = stat?.isDirectory() ?? false;
      return { path, name, isDirectory, sizeBytes: isDirectory ? 0 : (stat?.size ?? 0) };
    });
  } catch (error) {
    throw ioError(error, { operation: 'open', path: directory });
  }
}

function byPath(a: DataDirEntry, b: DataDirEntry): number {
  return a.path < b.path ? -1 : 1;
}
