/**
 * Where a restore writes to. Directories are built under temporary names and appear by rename, those that hold a
 * database last; until then nothing is there that looks whole, and `discard` removes what was made.
 *
 * What is renamed is the topmost part of a path that does not exist: the data directory, or a parent that had to
 * be made for it, or `member` inside an empty directory that is there already, since a mount point cannot be
 * renamed onto.
 */
import { accessSync, constants, readdirSync, statfsSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { entryAt } from '../../../bytes/directory.ts';
import { ioError } from '../../../bytes/io-error.ts';
import type { Disk, Owner } from '../../../bytes/disk.ts';
import { isTemporaryName, removeTree, syncTree, temporaryPath } from '../../../bytes/replace.ts';
import { RefusedError, ToolError, UsageError } from '../../../errors.ts';
import { MEMBER_DIRECTORY, SNAP_DIRECTORY, WAL_DIRECTORY } from '../../../format/datadir.ts';
import { SEGMENT_SIZE } from '../../../format/wal/layout.ts';

const DIRECTORY_MODE = 0o700;
/** What a run that was killed leaves in a directory; see `temporaryPath`. */

/** The directories of one member, as they will be. */
export interface MemberTarget {
  /** As given. */
  dataDir: string;
  /** As given; undefined inside the data directory. */
  walDir: string | undefined;
}

export function snapDirOf({ dataDir }: MemberTarget): string {
  return join(dataDir, MEMBER_DIRECTORY, SNAP_DIRECTORY);
}

export function walDirOf({ dataDir, walDir }: MemberTarget): string {
  return walDir ?? join(dataDir, MEMBER_DIRECTORY, WAL_DIRECTORY);
}

/**
 * Throws `restore.target-exists` unless the data directory is absent or empty, and the log directory absent.
 * Gives what a killed run left there.
 */
export function assertFree(target: MemberTarget): string[] {
  const { dataDir, walDir } = target;
  const leftovers = leftoversOf(dataDir);
  if (!leftovers) {
    throw new RefusedError(
      'restore.target-exists',
      `data-dir ${JSON.stringify(dataDir)} not empty or could not be read`,
      {
        where: { file: dataDir },
        hint: 'move the old directory away and keep it until the new member runs',
      },
    );
  }
  if (walDir === undefined) return leftovers;
  const wal = resolve(walDir);
  if (resolve(dataDir) === wal || isWithin(resolve(dataDir), wal)) {
    throw new UsageError('usage.arguments', `wal-dir ${JSON.stringify(walDir)} cannot hold the data-dir`);
  }
  if (exists(walDir)) {
    throw new RefusedError('restore.target-exists', `wal-dir ${JSON.stringify(walDir)} exists`, {
      where: { file: walDir },
      hint: 'give a path that does not exist yet',
    });
  }
  return leftovers;
}

/** Names that may lie in an empty directory; undefined when it is not empty, or none. */
function leftoversOf(directory: string): string[] | undefined {
  if (!exists(directory)) return [];
  try {
    const names = readdirSync(directory).filter((name) => name !== 'lost+found');
    return names.every(isTemporaryName) ? names.map((name) => join(directory, name)) : undefined;
  } catch {
    return undefined;
  }
}

function exists(path: string): boolean {
  return entryAt(path) !== undefined;
}

function isWithin(path: string, directory: string): boolean {
  return path.startsWith(directory.endsWith(sep) ? directory : directory + sep);
}

/** The path itself, or the nearest directory above it that is there. */
export function nearestExisting(path: string): string {
  let at = resolve(path);
  while (!exists(at)) at = dirname(at);
  return at;
}

/** What a file system has to have room for. */
export interface SpaceNeed {
  path: string;
  neededBytes: number;
  freeBytes: number;
}

/** What these members take, by file system; with it the first segment of the log, which etcd fills when it starts. */
export function spaceNeeds(targets: readonly MemberTarget[], databaseBytes: number): SpaceNeed[] {
  const needs = new Map<number, SpaceNeed>();
  const add = (path: string, bytes: number): void => {
    const at = nearestExisting(path);
    const { dev } = statSync(at);
    const { bavail, bsize } = statfsSync(at);
    const need = needs.get(dev) ?? { path: at, neededBytes: 0, freeBytes: bavail * bsize };
    need.neededBytes += bytes;
    needs.set(dev, need);
  };
  for (const target of targets) {
    add(target.dataDir, databaseBytes);
    add(walDirOf(target), SEGMENT_SIZE);
  }
  return [...needs.values()];
}

/** Throws `restore.space` where there is less room than needed. */
export function assertSpace(needs: readonly SpaceNeed[]): void {
  const short = needs.find(({ neededBytes, freeBytes }) => neededBytes > freeBytes);
  if (!short) return;
  const message = `${short.neededBytes} bytes are needed in ${short.path}, but only ${short.freeBytes} are free`;
  throw new ToolError('restore.space', message, {
    where: { file: short.path },
    hint: 'free space, or restore to another disk',
  });
}

/** Throws when this user may not write where `path` will be. */
export function assertWritable(path: string): void {
  const at = nearestExisting(path);
  try {
    accessSync(at, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw ioError(error, { operation: 'mkdir', path: at });
  }
}

/** Whose the target is to be: that of the directory it comes into. Undefined when that is the user who runs us. */
export function ownerOf(path: string): Owner | undefined {
  const { uid, gid } = statSync(nearestExisting(path));
  const isRoot = process.getuid?.() === 0;
  return isRoot && (uid !== 0 || gid !== process.getgid?.()) ? { uid, gid } : undefined;
}

/** A disk on which new files and directories are `owner`'s from the start, so that their sync covers that too. */
export function ownedDisk(disk: Disk, owner: Owner | undefined): Disk {
  if (!owner) return disk;
  return {
    ...disk,
    create(path, mode) {
      const fd = disk.create(path, mode);
      try {
        disk.setOwner(path, owner);
      } catch (error) {
        disk.close(fd);
        throw error;
      }
      return fd;
    },
    makeDirectory(path, mode) {
      disk.makeDirectory(path, mode);
      disk.setOwner(path, owner);
    },
  };
}

interface Root {
  /** Temporary name. */
  from: string;
  to: string;
  isMoved: boolean;
}

export class Staging {
  readonly #disk: Disk;
  /** In the order in which they are renamed. */
  readonly #roots: Root[] = [];

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** Makes the directory that will be `path`, and gives its name until then. What is placed first appears first. */
  place(path: string, owner: Owner | undefined): string {
    const final = resolve(path);
    let root = this.#roots.find(({ to }) => final === to || isWithin(final, to));
    if (!root) {
      let to = final;
      while (!exists(dirname(to))) to = dirname(to);
      root = { from: temporaryPath(to), to, isMoved: false };
      this.#roots.push(root);
      this.#make(root.from, owner);
    }
    let at = root.from;
    for (const name of relative(root.to, final).split(sep)) {
      if (name === '') continue;
      at = join(at, name);
      if (!exists(at)) this.#make(at, owner);
    }
    return at;
  }

  #make(path: string, owner: Owner | undefined): void {
    ownedDisk(this.#disk, owner).makeDirectory(path, DIRECTORY_MODE);
  }

  /** Makes all names durable, then gives each directory its own. On failure all of them are taken back. */
  commit(): void {
    for (const { from } of this.#roots) syncTree(this.#disk, from);
    try {
      for (const root of this.#roots) {
        this.#disk.rename(root.from, root.to);
        root.isMoved = true;
        this.#disk.syncDirectory(dirname(root.to));
      }
    } catch (error) {
      this.#takeBack();
      throw error;
    }
  }

  #takeBack(): void {
    for (const root of this.#roots.toReversed()) {
      if (!root.isMoved) continue;
      attempt(() => {
        this.#disk.rename(root.to, root.from);
        root.isMoved = false;
        this.#disk.syncDirectory(dirname(root.to));
      });
    }
  }

  /** Removes what was not committed. Never throws: it runs while another error is on its way. */
  discard(): void {
    for (const root of this.#roots) {
      if (!root.isMoved) attempt(() => removeTree(this.#disk, root.from));
    }
  }
}

function attempt(run: () => void): void {
  try {
    run();
  } catch {}
}
