/** What a directory holds. */
import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { ioError } from './io-error.ts';

/** Its names in order; none when it does not exist. Throws `io.` errors. */
export function listNames(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw ioError(error, { operation: 'open', path });
  }
}

/** What has the name `path`, be it a link to nowhere; undefined when nothing has. Throws `io.` errors. */
export function entryAt(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw ioError(error, { operation: 'stat', path });
  }
}
