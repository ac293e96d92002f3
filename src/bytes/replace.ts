/**
 * The only way a file or a tree comes to be: built under a temporary name beside its place, synced, then
 * renamed. Until `commit` returns, the final path is untouched; `discard` leaves nothing behind.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, lstatSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ToolError } from '../errors.ts';
import type { Disk, Owner } from './disk.ts';

/** A name nobody else uses, beside `path`; hidden, and plainly ours. */
export function temporaryPath(path: string): string {
  return join(dirname(path), `.${basename(path)}.etcdkit-${process.pid}-${randomBytes(4).toString('hex')}`);
}

const TEMPORARY_NAME = /^\..+\.etcdkit-\d+-[0-9a-f]{8}$/;

/** Whether a name is one that {@link temporaryPath} makes: what has it was not finished. */
export function isTemporaryName(name: string): boolean {
  return TEMPORARY_NAME.test(name);
}

interface StageOptions {
  mode?: number;
  owner?: Owner | undefined;
  /** Where to build it; must be on the file system of the final path. */
  temporary?: string;
}

/** A file that is not there yet. */
export class StagedFile {
  readonly path: string;
  readonly temporary: string;
  readonly fd: number;
  readonly #disk: Disk;
  #isOpen = true;
  #isSettled = false;

  constructor(disk: Disk, path: string, options: StageOptions = {}) {
    this.#disk = disk;
    this.path = path;
    this.temporary = options.temporary ?? temporaryPath(path);
    this.fd = disk.create(this.temporary, options.mode ?? 0o600);
    try {
      if (options.owner) disk.setOwner(this.temporary, options.owner);
      if (options.mode !== undefined) disk.setMode(this.temporary, options.mode);
    } catch (error) {
      this.discard();
      throw error;
    }
  }

  /** What it takes to fill it and to read it back. */
  get file(): { disk: Disk; fd: number; path: string } {
    return { disk: this.#disk, fd: this.fd, path: this.temporary };
  }

  write(bytes: Uint8Array, position: number): void {
    this.#disk.write(this.fd, bytes, position);
  }

  /** Makes the content durable and closes it; it may then be read back under `temporary`. */
  seal(): void {
    if (!this.#isOpen) return;
    this.#disk.sync(this.fd);
    this.#isOpen = false;
    this.#disk.close(this.fd);
  }

  /** Gives the file its name, over whatever had it. */
  commit(): void {
    this.seal();
    this.#disk.rename(this.temporary, this.path);
    this.#isSettled = true;
    this.#disk.syncDirectory(dirname(this.path));
  }

  /** Gives the file its name, which nothing may have. Throws `io.exists` when something has by now. */
  commitNew(): void {
    this.seal();
    try {
      this.#disk.link(this.temporary, this.path);
    } catch (error) {
      if (!(error instanceof ToolError) || error.code === 'io.exists') throw error;
      // Some file systems have no hard links.
      if (lstatSync(this.path, { throwIfNoEntry: false })) throw error;
      this.commit();
      return;
    }
    this.#disk.syncDirectory(dirname(this.path));
    this.discard();
  }

  /** Removes it, unless it was committed. Never throws: it runs while another error is on its way. */
  discard(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    try {
      if (this.#isOpen) this.#disk.close(this.fd);
      this.#isOpen = false;
    } catch {}
    try {
      this.#disk.remove(this.temporary);
    } catch {}
  }
}

/** Removes a tree through `disk`, as far as it can. */
export function removeTree(disk: Disk, path: string): void {
  if (!existsSync(path) && !lstatSync(path, { throwIfNoEntry: false })) return;
  if (!lstatSync(path).isDirectory()) {
    disk.remove(path);
    return;
  }
  for (const name of readdirSync(path)) removeTree(disk, join(path, name));
  disk.removeDirectory(path);
}

/** Syncs every directory of a tree, deepest first. */
export function syncTree(disk: Disk, path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) syncTree(disk, join(path, entry.name));
  }
  disk.syncDirectory(path);
}
