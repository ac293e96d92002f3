/**
 * Having a database to oneself while another file takes its place: its lock, and nobody who has opened it and waits.
 * An etcd that waits for the lock would go on with the old file, and all it wrote there would be lost.
 */
import { type Lock, lockExclusive, type LockOptions } from '../../bytes/lock.ts';
import { type FileIdentity, identityOf, writersOf } from '../../bytes/openers.ts';
import { RefusedError } from '../../errors.ts';
import type { Context } from '../context.ts';

/**
 * Locks the database at `path`, and says what it waits for. Throws `lock.held` also when another file took its place
 * meanwhile.
 */
export async function lockDatabase(
  path: string,
  options: Pick<LockOptions, 'timeoutMs' | 'allowUnlocked'>,
  { log, signal }: Context,
): Promise<Lock> {
  const file = identityOf(path);
  const onWait = (): void =>
    log.warn({}, `waiting for etcd to close and release its lock on ${JSON.stringify(path)}`);
  const lock = await lockExclusive(path, { ...options, signal, onWait });
  try {
    if (identityOf(path)?.ino !== file?.ino) {
      // The lock is then on a file that nobody will open again.
      throw new RefusedError('lock.held', `${path} was replaced while its lock was waited for`, {
        where: { file: path },
        hint: 'another maintenance command ran on it: look at the result, then run this one again',
      });
    }
    assertNoWriter(path, file);
    return lock;
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Throws `lock.held` when another process has `file` open for writing; `path` is where it is, or was. */
export function assertNoWriter(path: string, file: FileIdentity | undefined): void {
  const [pid] = file ? writersOf(file) : [];
  if (pid === undefined) return;
  throw new RefusedError(
    'lock.held',
    `process ${pid} has ${path} open, and waits for its lock: an etcd that was started meanwhile?`,
    {
      where: { file: path },
      hint: 'stop what starts it, then run this again: systemctl stop etcd, or move the static pod away',
    },
  );
}
