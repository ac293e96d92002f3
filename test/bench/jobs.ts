/** The jobs of the bench: what we run, what the real tools run for it, and the ratio we aim at. */
import { copyFileSync, existsSync, mkdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { program, type Tool, type Version } from '../oracle/cache.ts';
import type { BenchCommand } from './measure.ts';

export interface Job {
  name: string;
  ours: BenchCommand;
  theirs: BenchCommand;
  /** Wall time, ours ÷ theirs, at most. */
  target: number;
  /** Our peak memory at most. */
  targetBytes: number | undefined;
}

export interface Places {
  /** The checkout. */
  root: string;
  /** A backup with its trailer. */
  backup: string;
  /** Where commands may write; emptied between runs. */
  scratch: string;
}

const MB = 1_000_000;
const TRAILER_SIZE = 32;

export function jobs({ root, backup, scratch }: Places): Job[] {
  const ours = (label: string, ...args: string[]): BenchCommand => ({
    label,
    file: process.execPath,
    args: [join(root, 'bin', 'etcdkit.js'), ...args],
  });
  const theirs = (version: Version, tool: Tool, ...args: string[]): BenchCommand => {
    const { file, args: first } = program(version, tool);
    return { label: `${tool} ${version} ${args[0]}`, file, args: [...first, ...args] };
  };
  const fresh = (command: BenchCommand, prepare: () => void, reads = backup): BenchCommand => ({
    ...command,
    prepare,
    reads,
  });
  const reading = (command: BenchCommand): BenchCommand => ({ ...command, reads: backup });

  const dataDir = join(scratch, 'data');
  const database = join(dataDir, 'member', 'snap', 'db');
  const empty = (): void => rmSync(scratch, { recursive: true, force: true });
  const withDataDir = (): void => {
    empty();
    mkdirSync(dirname(database), { recursive: true });
    copyFileSync(backup, database);
    truncateSync(database, statSync(backup).size - TRAILER_SIZE);
  };
  const withScratch = (): void => {
    empty();
    mkdirSync(scratch, { recursive: true });
  };
  const copy = join(scratch, 'copy.db');
  const withCopy = (): void => {
    if (existsSync(copy)) return;
    withScratch();
    copyFileSync(backup, copy);
  };
  const target = join(scratch, 'restored');
  const status = reading(theirs('3.6', 'etcdutl', 'snapshot', 'status', backup));
  const defrag = ours('defrag', 'defrag', '--data-dir', dataDir);
  const restore = theirs('3.6', 'etcdutl', 'snapshot', 'restore', backup, '--data-dir', target);

  return [
    {
      name: 'snapshot status',
      ours: reading(ours('status', 'snapshot', 'status', backup)),
      theirs: status,
      target: 0.7,
      targetBytes: 200 * MB,
    },
    {
      name: 'snapshot verify (theirs: status)',
      ours: reading(ours('verify', 'snapshot', 'verify', backup)),
      theirs: status,
      target: 1.3,
      targetBytes: 300 * MB,
    },
    {
      name: 'defrag',
      ours: fresh(defrag, withDataDir, database),
      theirs: fresh(theirs('3.6', 'etcdutl', 'defrag', '--data-dir', dataDir), withDataDir, database),
      target: 0.5,
      targetBytes: 200 * MB,
    },
    {
      name: 'defrag to a new file (theirs: bbolt compact)',
      ours: fresh(
        ours('defrag -o', 'defrag', database, '-o', join(scratch, 'compact.db')),
        withDataDir,
        database,
      ),
      theirs: fresh(
        theirs('3.7', 'bbolt', 'compact', '-o', join(scratch, 'compact.db'), database),
        withDataDir,
        database,
      ),
      target: 0.2,
      targetBytes: 200 * MB,
    },
    {
      name: 'snapshot restore',
      ours: fresh(ours('restore', 'snapshot', 'restore', backup, '--data-dir', target), withScratch),
      theirs: fresh(restore, withScratch),
      target: 0.9,
      targetBytes: 250 * MB,
    },
    {
      name: 'snapshot restore --quick --preserve-layout',
      ours: fresh(
        ours(
          'restore quick',
          'snapshot',
          'restore',
          backup,
          '--quick',
          '--preserve-layout',
          '--data-dir',
          target,
        ),
        withScratch,
      ),
      theirs: fresh(restore, withScratch),
      target: 0.5,
      targetBytes: 250 * MB,
    },
    {
      name: 'hashkv',
      ours: reading(ours('hashkv', 'hashkv', backup)),
      // It rewrites the file it looks at, so it gets a copy, and the same one each time.
      theirs: fresh(theirs('3.7', 'etcdutl', 'hashkv', copy), withCopy, copy),
      target: 0.5,
      targetBytes: 300 * MB,
    },
    {
      name: 'version (theirs: node -e 0)',
      ours: ours('version', 'version'),
      theirs: { label: 'node -e 0', file: process.execPath, args: ['-e', '0'] },
      target: 1.6,
      targetBytes: undefined,
    },
  ];
}
