/** What kind of input a path is. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ioError } from '../bytes/io-error.ts';
import { ToolError } from '../errors.ts';
import { hasTrailer } from '../format/backup/trailer.ts';
import type { InputKind } from './report.ts';

export interface Input {
  kind: InputKind;
  /** The database file. */
  database: string;
  /** Of a directory: the one that holds `snap`, and usually `wal`. */
  memberDir: string | undefined;
  walDir: string | undefined;
}

/** Throws `io.…` when there is nothing, `kind.unknown` for a directory that is none of etcd's. */
export function recognise(path: string, options: { walDir?: string | undefined } = {}): Input {
  let stat;
  try {
    stat = statSync(path);
  } catch (error) {
    throw ioError(error, { operation: 'stat', path });
  }
  if (stat.isFile()) {
    return {
      kind: hasTrailer(stat.size) ? 'backup' : 'database',
      database: path,
      memberDir: undefined,
      walDir: undefined,
    };
  }
  if (!stat.isDirectory()) {
    throw new ToolError('io.not-a-file', `${path} is neither a file nor a directory`, {
      where: { file: path },
    });
  }
  const places: Array<[InputKind, string]> = [
    ['data directory', join(path, 'member')],
    ['member directory', path],
  ];
  for (const [kind, memberDir] of places) {
    const walDir = options.walDir ?? join(memberDir, 'wal');
    if (!existsSync(join(memberDir, 'snap')) && !existsSync(join(memberDir, 'wal'))) continue;
    return { kind, database: join(memberDir, 'snap', 'db'), memberDir, walDir };
  }
  throw new ToolError(
    'kind.unknown',
    `${path} is a directory, but neither a data directory nor a member directory`,
    {
      where: { file: path },
      hint: 'give the directory that etcd runs with, the one that holds member/',
    },
  );
}
