/**
 * Every operation that changes a disk, as one small interface, so that a test can make each of them fail or
 * kill the process in turn. Reading goes through `source.ts`.
 */
import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { ioError } from './io-error.ts';

export interface Disk {
  /** A new file, read-write; fails when the path exists. Gives a file descriptor. */
  create(path: string, mode: number): number;
  /** An existing file, read-write. */
  openForUpdate(path: string): number;
  /** Writes all of `bytes` at `position`. */
  write(fd: number, bytes: Uint8Array, position: number): void;
  truncate(fd: number, sizeBytes: number): void;
  sync(fd: number): void;
  /** The content alone, and what it takes to read it. */
  dataSync(fd: number): void;
  /** The same on another thread; `fd` must not be closed until it is done. */
  startSync(fd: number): Promise<void>;
  /** The same without times: what was written, and the size it takes to find it again. */
  startDataSync(fd: number): Promise<void>;
  close(fd: number): void;
  /** One new directory. */
  makeDirectory(path: string, mode: number): void;
  rename(from: string, to: string): void;
  link(existing: string, path: string): void;
  /** A file. */
  remove(path: string): void;
  /** An empty directory. */
  removeDirectory(path: string): void;
  setOwner(path: string, owner: Owner): void;
  setMode(path: string, mode: number): void;
  /** Makes names that were created, renamed or removed in a directory durable. */
  syncDirectory(path: string): void;
}

export interface Owner {
  uid: number;
  gid: number;
}

/**
 * A larger write makes Linux look for larger runs of free memory for its cache, which costs up to five times as much
 * on a machine that has been up for a while: 900 MB took 0.3 s in pieces of 64 KiB, 0.6 to 1.7 s in pieces of 1 MiB.
 */
const WRITE_SIZE = 64 << 10;

const syncLater = promisify(fs.fsync);
const dataSyncLater = promisify(fs.fdatasync);

function attempt<T>(operation: string, path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw ioError(error, { operation, path });
  }
}

/** The disk itself. Paths of open descriptors are kept only for messages. */
export function realDisk(): Disk {
  const paths = new Map<number, string>();
  const nameOf = (fd: number): string => paths.get(fd) ?? `descriptor ${fd}`;
  const open = (path: string, flags: string, mode?: number): number => {
    const fd = attempt('open', path, () => fs.openSync(path, flags, mode));
    paths.set(fd, path);
    return fd;
  };

  const later = async (operation: string, fd: number, run: (fd: number) => Promise<void>): Promise<void> => {
    try {
      await run(fd);
    } catch (error) {
      throw ioError(error, { operation, path: nameOf(fd) });
    }
  };

  return {
    create: (path, mode) => open(path, 'wx+', mode),
    openForUpdate: (path) => open(path, 'r+'),
    write(fd, bytes, position) {
      attempt('write', nameOf(fd), () => {
        let done = 0;
        while (done < bytes.length) {
          const size = Math.min(WRITE_SIZE, bytes.length - done);
          done += fs.writeSync(fd, bytes, done, size, position + done);
        }
      });
    },
    truncate: (fd, sizeBytes) => attempt('truncate', nameOf(fd), () => fs.ftruncateSync(fd, sizeBytes)),
    startSync: (fd) => later('fsync', fd, syncLater),
    startDataSync: (fd) => later('fdatasync', fd, dataSyncLater),
    sync: (fd) => attempt('fsync', nameOf(fd), () => fs.fsyncSync(fd)),
    dataSync: (fd) => attempt('fdatasync', nameOf(fd), () => fs.fdatasyncSync(fd)),
    close(fd) {
      attempt('close', nameOf(fd), () => fs.closeSync(fd));
      paths.delete(fd);
    },
    makeDirectory: (path, mode) => attempt('mkdir', path, () => fs.mkdirSync(path, { mode })),
    rename: (from, to) => attempt('rename', from, () => fs.renameSync(from, to)),
    link: (existing, path) => attempt('link', path, () => fs.linkSync(existing, path)),
    remove: (path) => attempt('remove', path, () => fs.unlinkSync(path)),
    removeDirectory: (path) => attempt('remove', path, () => fs.rmdirSync(path)),
    setOwner: (path, { uid, gid }) => attempt('chown', path, () => fs.chownSync(path, uid, gid)),
    setMode: (path, mode) => attempt('chmod', path, () => fs.chmodSync(path, mode)),
    syncDirectory: (path) =>
      attempt('fsync', path, () => {
        const fd = fs.openSync(path, 'r');
        try {
          fs.fsyncSync(fd);
        } finally {
          fs.closeSync(fd);
        }
      }),
  };
}
