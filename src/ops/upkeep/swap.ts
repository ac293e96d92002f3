/**
 * Puts up to three new files in the places of old ones, so that a server finds the old state or the new one
 * whenever it looks, also after a crash between any two operations:
 *
 * 1. `.snap`: without a record in the log no server reads it. Where a file of that name exists already, its record
 *    does too; the new one differs in the cluster version only, which the version that wrote the data either does
 *    not read there (3.6, 3.7) or finds unchanged (3.5: only a lower version than its own would be changed).
 * 2. Log segment: the record makes servers start from that `.snap`, at the entry which the old database has applied
 *    last. To the old version that is its own data, one raft snapshot later; the entries are all still there.
 * 3. `db`: from here on it is the new state. Nothing else changed that the new database does not fit.
 *
 * The log goes before the database because the new database with the old log is what the target server may die
 * of. Each rename is durable before the next. Undoing goes the other way round, through the same states.
 *
 * The old files stay beside as hard links until the caller has proven the new ones. All names that can be left
 * behind are such that servers remove them (`tmp*`, `db.tmp*` in snap/) or pass over them (`*.tmp` in wal/).
 */
import { lstatSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Disk } from '../../bytes/disk.ts';
import type { StagedFile } from '../../bytes/replace.ts';

const MARK = `etcdkit-${process.pid}`;
const LEFTOVER_IN_SNAP = /^(?:db\.tmp|tmp)\.etcdkit-\d+(?:\.old)?$/;
const LEFTOVER_IN_WAL = /^etcdkit-\d+(?:\.old)?\.tmp$/;

/** Where files are built, and where old ones are kept, by what they are. */
export const TEMPORARY_NAMES = {
  database: { staged: `db.tmp.${MARK}`, backup: `db.tmp.${MARK}.old` },
  snap: { staged: `tmp.${MARK}`, backup: `tmp.${MARK}.old` },
  segment: { staged: `${MARK}.tmp`, backup: `${MARK}.old.tmp` },
} as const;

/** Removes what a killed run left. The caller holds the database's lock and found the member whole. */
export function removeLeftovers(disk: Disk, { snapDir, walDir }: { snapDir: string; walDir: string }): void {
  for (const name of readdirSync(snapDir)) if (LEFTOVER_IN_SNAP.test(name)) disk.remove(join(snapDir, name));
  for (const name of readdirSync(walDir)) if (LEFTOVER_IN_WAL.test(name)) disk.remove(join(walDir, name));
}

interface Place {
  staged: StagedFile;
  backup: string;
  /** Whether there is an old file. */
  isReplaced: boolean;
  isReached: boolean;
}

export class Swap {
  readonly #disk: Disk;
  readonly #places: Place[] = [];

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** In the order in which they go to their places; `backup` is a name beside. */
  add(staged: StagedFile, backup: string): void {
    const isReplaced = inodeOf(staged.path) !== undefined;
    this.#places.push({ staged, backup: join(dirname(staged.path), backup), isReplaced, isReached: false });
  }

  /** Throws with the old state or a state that {@link undo} brings back to it. */
  run(): void {
    for (const { staged, backup, isReplaced } of this.#places) {
      if (!isReplaced) continue;
      this.#disk.link(staged.path, backup);
      this.#disk.syncDirectory(dirname(backup));
    }
    for (const place of this.#places) {
      place.isReached = true;
      place.staged.commit();
    }
  }

  /** Back to the old files, as far as the disk lets us. Never throws: another error is on its way. */
  undo(): void {
    try {
      for (const { staged, backup, isReplaced, isReached } of this.#places.toReversed()) {
        const old = isReplaced ? inodeOf(backup) : undefined;
        const now = inodeOf(staged.path);
        if (old !== undefined && old === now) this.#disk.remove(backup);
        else if (old !== undefined) this.#disk.rename(backup, staged.path);
        else if (isReached && !isReplaced && now !== undefined) this.#disk.remove(staged.path);
        this.#disk.syncDirectory(dirname(staged.path));
      }
    } catch {
      // What is left is one of the states above: a server starts from it.
    } finally {
      this.discard();
    }
  }

  /** Removes what was staged and not used. */
  discard(): void {
    for (const { staged } of this.#places) staged.discard();
  }

  /** Lets go of the old files. Gives what could not be removed. */
  finish(): string[] {
    const left: string[] = [];
    for (const { backup, isReplaced } of this.#places) {
      try {
        if (isReplaced) this.#disk.remove(backup);
      } catch {
        left.push(backup);
      }
    }
    return left;
  }
}

function inodeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino;
}
