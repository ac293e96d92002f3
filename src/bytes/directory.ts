/** What a directory holds. */
import { readdirSync } from 'node:fs';
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
