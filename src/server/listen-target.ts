/** What a URL of the configuration means to `listen`. */
import { lstat, unlink } from 'node:fs/promises';
import { addressOf } from '../format/urls.ts';

/** As Node's servers take it. */
export type ListenTarget = { host: string; port: number } | { path: string };

/** localhost is 127.0.0.1, as for etcd, whatever the resolver prefers. */
export function listenTarget(url: string): ListenTarget {
  const address = addressOf(url);
  if (address.kind === 'unix') return { path: address.path };
  return { host: address.host === 'localhost' ? '127.0.0.1' : address.host, port: address.port };
}

/**
 * Takes away the socket that a server which was killed left at the path, as etcd does before it listens; anything else
 * that lies there stays, and listening fails.
 */
export async function removeStaleSocket(target: ListenTarget): Promise<void> {
  if (!('path' in target)) return;
  try {
    if ((await lstat(target.path)).isSocket()) await unlink(target.path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
