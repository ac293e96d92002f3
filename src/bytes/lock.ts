/**
 * The locks that etcd takes: flock on the database, open-file-description locks on log segments.
 * Node has no flock, so `flock(1)` locks a descriptor that it shares with us; we hold the lock after it has
 * gone. `/proc/locks` shows who else holds one, also for the log's kind of lock.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { RefusedError, ToolError } from '../errors.ts';
import { ioError } from './io-error.ts';
import { type FileIdentity, identityOf } from './openers.ts';

const RETRY_MS = 50;
const SILENT_MS = 1000;
/** flock(1) exits with 1 when the lock is taken. */
const FLOCK_CONFLICT = 1;

export interface Lock {
  release(): void;
}

export interface LockOptions {
  /** How long to wait; 0 waits for ever. */
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  /** Told once when it has been waited for longer than anybody likes in silence. */
  onWait?: (() => void) | undefined;
  /** Go on without a lock where this host has no flock(1). */
  allowUnlocked?: boolean | undefined;
}

/** Holds the exclusive lock on `path` that etcd's server takes. Throws `lock.held` or `lock.unavailable`. */
export async function lockExclusive(path: string, options: LockOptions): Promise<Lock> {
  let fd: number;
  try {
    fd = openSync(path, 'r+');
  } catch (error) {
    throw ioError(error, { operation: 'open', path });
  }
  const release = (): void => closeSync(fd);
  const began = performance.now();
  const deadline = began + options.timeoutMs;
  let isSilent = options.onWait !== undefined;
  try {
    for (;;) {
      const attempt = spawnSync('flock', ['-n', '-x', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
      if (attempt.status === 0) return { release };
      // Ctrl-C on a terminal ends flock(1) too, and before we are told: then it says nothing about the lock.
      const isInterrupted = attempt.signal !== null;
      if (attempt.error || (attempt.status !== FLOCK_CONFLICT && !isInterrupted)) {
        if (isLockedByOther(path)) break;
        if (options.allowUnlocked) return { release };
        throw new RefusedError('lock.unavailable', `cannot lock ${path}: this host has no flock(1)`, {
          where: { file: path },
          hint: 'make sure that no etcd runs on it, then add --no-lock',
        });
      }
      if (options.timeoutMs > 0 && performance.now() >= deadline) break;
      if (options.signal?.aborted) throw new ToolError('interrupted', 'interrupted; nothing was changed');
      if (isSilent && performance.now() - began >= SILENT_MS) {
        isSilent = false;
        options.onWait?.();
      }
      await sleep(RETRY_MS);
    }
    throw lockHeld(path);
  } catch (error) {
    release();
    throw error;
  }
}

function lockHeld(path: string): RefusedError {
  const holder = holderOf(path);
  return new RefusedError(
    'lock.held',
    `${path} is locked by ${holder ?? 'another process'}: a running etcd?`,
    {
      where: { file: path },
      hint: 'stop that etcd first, or ask it over its API: etcdctl defrag, etcdctl snapshot save',
    },
  );
}

/** Whether any process holds a lock of any kind on the file; false where `/proc/locks` cannot be read. */
export function isLockedByOther(path: string): boolean {
  return holderOf(path) !== undefined;
}

function holderOf(path: string): string | undefined {
  let table: string;
  let file: FileIdentity | undefined;
  try {
    table = readFileSync('/proc/locks', 'utf8');
    file = identityOf(path);
  } catch {
    return undefined;
  }
  const pid = file && lockHolderIn(table, file);
  if (pid === undefined) return undefined;
  // The one that took the lock may be gone while another holds it: that is how we lock ourselves.
  return pid !== '-1' && existsSync(`/proc/${pid}`) ? `process ${pid}` : 'another process';
}

/** The process id that `/proc/locks` gives with the first lock on a file; `-1` in another container. */
export function lockHolderIn(table: string, { dev, ino }: FileIdentity): string | undefined {
  for (const line of table.split('\n')) {
    // 1: FLOCK  ADVISORY  WRITE 812 fe:00:131090 0 EOF
    const [, , , , pid, place] = line.trim().split(/\s+/);
    const [major = '', , inode] = place?.split(':') ?? [];
    if (inode !== String(ino)) continue;
    // Where the file system has no device of its own (btrfs, overlayfs), stat tells another number than the lock.
    const isOther =
      Number.parseInt(major, 16) !== 0 && majorOf(dev) !== 0 && Number.parseInt(major, 16) !== majorOf(dev);
    if (!isOther) return pid;
  }
  return undefined;
}

/** Of a device number, as Linux packs it. */
function majorOf(dev: bigint): number {
  return Number(((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n));
}
