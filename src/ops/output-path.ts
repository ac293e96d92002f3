/** Where an operation may put a file of its own. */
import { entryAt } from '../bytes/directory.ts';
import { RefusedError } from '../errors.ts';

/** Throws `restore.target-exists` when anything has the name already. */
export function assertAbsent(path: string): void {
  if (!entryAt(path)) return;
  throw new RefusedError('restore.target-exists', `${path} exists`, {
    where: { file: path },
    hint: 'give a path that does not exist yet',
  });
}
