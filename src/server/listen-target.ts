/** What a URL of the configuration means to `listen`. */
import { lstat, unlink } from 'node:fs/promises';
import type { Listen } from '../rpc/port.ts';
import type { SecureLayer } from '../rpc/secure.ts';
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
 * Where to listen for all of the URLs, and for each of them the index of its place: an address that is given with and
 * without TLS is one place that takes both, as for etcd.
 */
export function listenPlaces(
  urls: readonly string[],
  secure: SecureLayer | undefined,
): { places: Listen[]; indexes: number[] } {
  const places: Listen[] = [];
  const known = new Map<string, number>();
  const indexes = urls.map((url) => {
    const target = listenTarget(url);
    const layer = addressOf(url).isSecure ? secure : undefined;
    const key = JSON.stringify(target);
    const index = known.get(key) ?? places.push({ ...target, secure: layer }) - 1;
    const place = places[index]!;
    if (known.has(key) && place.secure !== layer)
      places[index] = { ...place, secure: place.secure ?? layer, isMixed: true };
    known.set(key, index);
    return index;
  });
  return { places, indexes };
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
