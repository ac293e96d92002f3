/**
 * A stopped member's directory in the place of a backup: it is saved beside the target first, log and all, and that
 * backup is what is restored.
 */
import { existsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { temporaryPath } from '../../../bytes/replace.ts';
import { UsageError } from '../../../errors.ts';
import type { Context } from '../../context.ts';
import { type SaveReport, saveSnapshot } from '../save.ts';

/** Also false where nobody can tell: whoever opens it is told why. */
export function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

interface DirectorySource {
  path: string;
  /** Where the restored directory will be. */
  target: string;
  isDryRun: boolean;
}

/** Runs `restore` on a backup of the directory, which is gone afterwards. */
export async function withBackupOf<T>(
  { path, target, isDryRun }: DirectorySource,
  context: Context,
  restore: (backup: string, saved: SaveReport) => Promise<T>,
): Promise<T> {
  if (isDryRun) {
    throw new UsageError(
      'usage',
      `${path} is a directory: what would come of it shows only in a backup of it`,
      {
        hint: `etcdkit snapshot save --data-dir ${path} -o backup.db, then a dry run with that`,
      },
    );
  }
  let folder = dirname(resolve(target));
  while (!existsSync(folder)) folder = dirname(folder);
  const backup = temporaryPath(join(folder, 'backup.db'));
  try {
    const saved = await saveSnapshot({ dataDir: path, output: backup }, context);
    return await restore(backup, saved);
  } finally {
    removeBackup(backup, context);
  }
}

/** Never throws: what was restored is whole without it, or another error is on its way. */
function removeBackup(path: string, { disk, log }: Context): void {
  if (!existsSync(path)) return;
  try {
    disk.remove(path);
  } catch {
    log.warn({ path }, 'the backup made on the way could not be removed; nothing needs it');
  }
}

/** What the operator should know of the log. */
export function notesOf({ from, to, lastIndex, rejected }: SaveReport): string[] {
  const notes =
    to > from
      ? [`entries ${from + 1} to ${to} of the log were applied, ${rejected.length} of them without effect`]
      : ['the log had nothing to add to the database'];
  if (lastIndex > to)
    notes.push(`entries ${to + 1} to ${lastIndex} are not known to be committed, and were left out`);
  return notes;
}
