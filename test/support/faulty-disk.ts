/**
 * A disk that numbers its operations and lets a test do something at each of them: fail, kill the process, or look
 * on. Only what goes through `Disk`, that is every change, is counted; reads and locks are not.
 *
 * What a fault models:
 * - `fail once`: one operation fails with ENOSPC or EIO, in turn, and has no effect. `close`, `sync` and
 *   `syncDirectory` do their work and fail then, as Linux does; a failed `write` may leave its first half behind.
 * - `fill up`: from one operation on, all that need room fail with ENOSPC; what removes or renames works.
 * - `go dead`: from one operation on everything fails with EIO, cleaning up too.
 * - `kill`: the process dies of SIGKILL before an operation, or in the middle of a write. Data that was written
 *   and not synced survives that, as it does in a real kill; what a power cut takes away is `power-cut.ts`'s business.
 */
import { type Disk, type Owner, realDisk } from '../../src/bytes/disk.ts';
import { ioError } from '../../src/bytes/io-error.ts';

export type Operation = keyof Disk;

/** One operation, as it was asked for. */
export interface DiskCall {
  /** From 1. */
  number: number;
  operation: Operation;
  /** What it is about; of a rename the old name, of a link the existing one. */
  path: string;
  /** The new name of a rename or link. */
  to?: string;
  fd?: number;
  bytes?: Uint8Array;
  /** Of a write. */
  position?: number;
  /** Of a truncate. */
  sizeBytes?: number;
  owner?: Owner;
  mode?: number;
}

/** Stands in for an operation; `run` carries it out and gives its result. */
type Around = <T>(call: DiskCall, run: () => T) => T;

interface WatchOptions {
  disk?: Disk | undefined;
  /**
   * Syncs that were meant for another thread are done at once, so that operations have the same numbers in each
   * run. On by default.
   */
  isOrdered?: boolean | undefined;
}

/** The real disk, but that nothing is waited for: for tests that no power cut ends. */
export function hastyDisk(): Disk {
  return {
    ...realDisk(),
    sync() {},
    dataSync() {},
    async startSync() {},
    async startDataSync() {},
    syncDirectory() {},
  };
}

/** A disk whose every operation goes through `around`. */
export function watchedDisk(around: Around, options: WatchOptions = {}): Disk {
  const { disk = realDisk(), isOrdered = true } = options;
  const paths = new Map<number, string>();
  let number = 0;
  const call = <T>(operation: Operation, path: string, run: () => T, more: Partial<DiskCall> = {}): T =>
    around({ number: ++number, operation, path, ...more }, run);
  const open = (
    operation: Operation,
    path: string,
    run: () => number,
    more: Partial<DiskCall> = {},
  ): number => {
    const fd = call(operation, path, run, more);
    paths.set(fd, path);
    return fd;
  };
  const pathOf = (fd: number): string => paths.get(fd) ?? `descriptor ${fd}`;
  return {
    create: (path, mode) => open('create', path, () => disk.create(path, mode), { mode }),
    openForUpdate: (path) => open('openForUpdate', path, () => disk.openForUpdate(path)),
    write: (fd, bytes, position) =>
      call('write', pathOf(fd), () => disk.write(fd, bytes, position), { fd, bytes, position }),
    truncate: (fd, sizeBytes) =>
      call('truncate', pathOf(fd), () => disk.truncate(fd, sizeBytes), { fd, sizeBytes }),
    sync: (fd) => call('sync', pathOf(fd), () => disk.sync(fd), { fd }),
    dataSync: (fd) => call('sync', pathOf(fd), () => disk.dataSync(fd), { fd }),
    startSync: async (fd) =>
      call('sync', pathOf(fd), () => (isOrdered ? disk.sync(fd) : disk.startSync(fd)), { fd }),
    startDataSync: async (fd) =>
      call('sync', pathOf(fd), () => (isOrdered ? disk.sync(fd) : disk.startDataSync(fd)), { fd }),
    close: (fd) => call('close', pathOf(fd), () => disk.close(fd), { fd }),
    makeDirectory: (path, mode) =>
      call('makeDirectory', path, () => disk.makeDirectory(path, mode), { mode }),
    rename: (from, to) => call('rename', from, () => disk.rename(from, to), { to }),
    link: (existing, path) => call('link', existing, () => disk.link(existing, path), { to: path }),
    remove: (path) => call('remove', path, () => disk.remove(path)),
    removeDirectory: (path) => call('removeDirectory', path, () => disk.removeDirectory(path)),
    setOwner: (path, owner) => call('setOwner', path, () => disk.setOwner(path, owner), { owner }),
    setMode: (path, mode) => call('setMode', path, () => disk.setMode(path, mode), { mode }),
    syncDirectory: (path) => call('syncDirectory', path, () => disk.syncDirectory(path)),
  };
}

export type Fault =
  /** `isHalf`: of a write, half of the bytes get through. */
  | { kind: 'fail once'; at: number; isHalf?: boolean }
  | { kind: 'fill up'; at: number }
  | { kind: 'go dead'; at: number }
  /** `isHalf`: of a write, half of the bytes get through. */
  | { kind: 'kill'; at: number; isHalf?: boolean };

const ALLOCATING: readonly Operation[] = ['create', 'write', 'makeDirectory', 'link', 'truncate'];
/** They have done their work, as far as it can be done, when they report a failure. */
const FAILING_LATE: readonly Operation[] = ['close', 'sync', 'syncDirectory'];
/** What they are called in messages, where it is not their own name. */
const SYSTEM_NAMES: Partial<Record<Operation, string>> = {
  create: 'open',
  openForUpdate: 'open',
  sync: 'fsync',
  syncDirectory: 'fsync',
  makeDirectory: 'mkdir',
  removeDirectory: 'remove',
  setOwner: 'chown',
  setMode: 'chmod',
};

interface FaultyDiskOptions extends WatchOptions {
  /** Told of each operation before it is carried out, or fails. */
  onCall?: ((call: DiskCall) => void) | undefined;
}

/** The real disk with a fault in it; without one it only tells what is done. */
export function faultyDisk(fault: Fault | undefined, options: FaultyDiskOptions = {}): Disk {
  const disk = options.disk ?? realDisk();
  return watchedDisk(
    (call, run) => {
      options.onCall?.(call);
      const code = fault && codeOf(fault, call);
      if (code === undefined) return run();
      if ('isHalf' in fault! && fault.isHalf) writeHalf(disk, call);
      if (code === 'KILL') killMyself();
      if (FAILING_LATE.includes(call.operation)) run();
      throw failureOf(call, code);
    },
    { ...options, disk },
  );
}

/** A disk that keeps what was carried out on it, with the bytes written and the descriptors given. */
export function recordingDisk(disk: Disk = realDisk()): { disk: Disk; calls: DiskCall[] } {
  const calls: DiskCall[] = [];
  const recording = watchedDisk(
    (call, run) => {
      const result = run();
      const bytes = call.bytes && { bytes: call.bytes.slice() };
      calls.push({ ...call, ...bytes, ...(typeof result === 'number' ? { fd: result } : {}) });
      return result;
    },
    { disk },
  );
  return { disk: recording, calls };
}

/** What hits this operation. */
function codeOf({ kind, at }: Fault, { number, operation }: DiskCall): 'ENOSPC' | 'EIO' | 'KILL' | undefined {
  if (number < at) return undefined;
  if (kind === 'kill') return 'KILL';
  if (kind === 'go dead') return 'EIO';
  if (kind === 'fill up') return ALLOCATING.includes(operation) ? 'ENOSPC' : undefined;
  if (number > at) return undefined;
  return number % 2 === 1 ? 'ENOSPC' : 'EIO';
}

function writeHalf(disk: Disk, { fd, bytes, position }: DiskCall): void {
  if (fd !== undefined && bytes && position !== undefined) {
    disk.write(fd, bytes.subarray(0, bytes.length >> 1), position);
  }
}

/** What the real disk throws when the system reports `code`. */
export function failureOf({ operation, path, to }: DiskCall, code: string): Error {
  const system = Object.assign(new Error(`${code}: injected`), { code });
  const name = SYSTEM_NAMES[operation] ?? operation;
  return ioError(system, { operation: name, path: operation === 'link' ? to! : path });
}

function killMyself(): never {
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way; nothing more may happen until it is here.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
