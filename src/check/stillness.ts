/** Whether a log was written to while it was read: by names, sizes and times of the files around it. */
import { type BigIntStats, statSync } from 'node:fs';
import { join } from 'node:path';
import { listNames } from '../bytes/directory.ts';
import type { Input } from './kind.ts';

/** Changes with every write to the log and to the raft snapshots; not with those to the database. */
export function stampOf({ memberDir, walDir, database }: Input): string {
  const lines: string[] = [];
  for (const directory of [walDir!, join(memberDir!, 'snap')]) {
    for (const name of listNames(directory)) {
      const path = join(directory, name);
      const stat = path === database ? undefined : statOf(path);
      if (stat) lines.push(`${path} ${stat.ino} ${stat.size} ${stat.mtimeNs}`);
    }
  }
  return lines.join('\n');
}

/** Undefined for what went away meanwhile, and for a link that leads nowhere. */
function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true });
  } catch {
    return undefined;
  }
}
