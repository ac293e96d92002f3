/**
 * Who has a file open for writing. An etcd that waits for the lock of its database has opened the file already;
 * when another file takes its place meanwhile, it goes on with the old one, which has no name any more. So whoever
 * replaces a database looks once more afterwards, before it lets go of the old one's lock.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';

/** Which file, whatever its name. */
export interface FileIdentity {
  dev: bigint;
  ino: bigint;
}

/** Undefined when there is no such file. */
export function identityOf(path: string): FileIdentity | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat && { dev: stat.dev, ino: stat.ino };
}

/**
 * Ids of other processes that have the file open for writing. Those that `/proc` hides, of other users or in other
 * containers, are not among them.
 */
export function writersOf(file: FileIdentity): number[] {
  const pids = attempt(() => readdirSync('/proc'))?.filter((name) => /^\d+$/.test(name)) ?? [];
  return pids.map(Number).filter((pid) => pid !== process.pid && hasForWriting(pid, file));
}

function hasForWriting(pid: number, { dev, ino }: FileIdentity): boolean {
  const names = attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? [];
  return names.some((name) => {
    const stat = attempt(() => statSync(`/proc/${pid}/fd/${name}`, { bigint: true, throwIfNoEntry: false }));
    return stat?.ino === ino && stat.dev === dev && isWritable(`/proc/${pid}/fdinfo/${name}`);
  });
}

/** `flags:	02100002`: octal, the last two bits say how it was opened. */
function isWritable(fdinfo: string): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(attempt(() => readFileSync(fdinfo, 'utf8')) ?? '')?.[1];
  return flags !== undefined && (Number.parseInt(flags, 8) & 3) !== 0;
}

/** Processes end while they are looked at. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
