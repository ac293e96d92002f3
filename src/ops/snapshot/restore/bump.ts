/**
 * How far to raise the revision, so that no client sees one again that it saw before with other content. `auto`
 * finds it from a surviving data directory: what its database reached, one revision for each log entry the
 * database had not applied yet, and a margin for what other members had.
 */
import { Pacer } from '../../../bytes/pacer.ts';
import { CorruptError, ToolError, UsageError } from '../../../errors.ts';
import { listSegments, LogReader } from '../../../format/wal/log.ts';
import { recognise } from '../../../check/kind.ts';
import { assertUnmoved, openDatabase } from '../../../store/database.ts';
import type { Context } from '../../context.ts';
import { readFacts } from './source.ts';

/** Revisions that another member may have been ahead of the one that survived. */
export const BUMP_MARGIN = 1000;

/** What was found in the old data directory. */
export interface OldMember {
  path: string;
  revision: number;
  consistentIndex: number;
  /** Of the last entry in the log. */
  lastIndex: number;
}

export interface Bump {
  amount: number;
  /** Of the snapshot. */
  revision: number;
  newRevision: number;
  /** What `auto` rests on. */
  old?: OldMember;
}

/** Throws `CorruptError` or `io.…` when the old directory cannot tell. */
export async function planBump(
  bump: number | 'auto',
  options: { revision: number; oldDataDir: string | undefined },
  context: Context,
): Promise<Bump | undefined> {
  const { revision, oldDataDir } = options;
  if (bump === 0) return undefined;
  if (bump !== 'auto') return { amount: bump, revision, newRevision: checked(revision + bump) };
  const old = await readOldMember(oldDataDir!, context);
  const ahead = old.revision + Math.max(0, old.lastIndex - old.consistentIndex) - revision;
  const amount = Math.max(0, ahead) + BUMP_MARGIN;
  return { amount, revision, newRevision: checked(revision + amount), old };
}

function checked(revision: number): number {
  if (Number.isSafeInteger(revision)) return revision;
  throw new UsageError('usage', `--bump-revision: ${revision} is beyond any revision etcd can count to`);
}

async function readOldMember(path: string, context: Context): Promise<OldMember> {
  try {
    const { database: file, walDir } = recognise(path);
    if (walDir === undefined) {
      throw new ToolError('kind.unknown', `${path} is a file, not the data directory of a member`, {
        where: { file: path },
      });
    }
    const database = openDatabase(file);
    try {
      const { state, revision } = readFacts(database, { isQuick: false });
      const lastIndex = await readLastIndex(walDir, context);
      assertUnmoved(database);
      return { path, revision, consistentIndex: state.consistentIndex ?? 0, lastIndex };
    } finally {
      database.close();
    }
  } catch (error) {
    if (!(error instanceof ToolError) || error.code === 'interrupted') throw error;
    const Kind = error instanceof CorruptError ? CorruptError : ToolError;
    throw new Kind(error.code, `--bump-revision auto cannot tell from ${path}: ${error.message}`, {
      ...(error.where ? { where: error.where } : {}),
      hint: 'give a data directory that is whole, or a number with --bump-revision',
      cause: error,
    });
  }
}

async function readLastIndex(walDir: string, { signal }: Context): Promise<number> {
  const pacer = new Pacer({ signal });
  const reader = new LogReader(listSegments(walDir).segments);
  for (const event of reader.events()) {
    if (event.kind === 'entry' && pacer.isDue()) await pacer.rest();
  }
  return Math.max(reader.lastIndex ?? 0, ...reader.snapshots.map(({ snapshot }) => snapshot.index));
}
