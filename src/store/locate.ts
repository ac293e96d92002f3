/** Finds the database that a path stands for: the file itself, or the one in a data directory or member directory. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ioError } from '../bytes/io-error.ts';
import { ToolError } from '../errors.ts';

const PLACES = [join('member', 'snap', 'db'), join('snap', 'db')];

/** Throws `io.not-found`, or `kind.unknown` for a directory without a database. */
export function databaseOf(path: string): string {
  try {
    if (!statSync(path).isDirectory()) return path;
  } catch (error) {
    throw ioError(error, { operation: 'stat', path });
  }
  for (const place of PLACES) {
    if (existsSync(join(path, place))) return join(path, place);
  }
  throw new ToolError('kind.unknown', `${path} is a directory without a database at ${PLACES[0]}`, {
    where: { file: path },
    hint: 'give the data directory that etcd runs with, the one that holds member/',
  });
}
