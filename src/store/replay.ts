/**
 * What a log adds to the database beside it, applied to a backend: the offline half of a server's start. Which entries
 * count: those known to be committed, by the log or because the database has applied them; and where this member is
 * the only voter, all of them, as when it starts again (etcd v3.6 server/etcdserver/bootstrap.go).
 */
import type { Pacer } from '../bytes/pacer.ts';
import type { Segment } from '../format/wal/log.ts';
import { Applier, type Outcome } from './apply/applier.ts';
import type { Backend } from './backend/backend.ts';
import { LogTail } from './log-tail.ts';
import type { Compaction } from './mvcc/compaction.ts';
import { KeyValues } from './mvcc/key-values.ts';

/** Whether they were answered or refused: they have no effect. */
const QUESTIONS: readonly Outcome['what'][] = [
  'range',
  'authenticate',
  'authStatus',
  'authUserGet',
  'authUserList',
  'authRoleGet',
  'authRoleList',
];

/** A request that had no effect, as on every member. */
export interface RejectedEntry {
  index: number;
  what: Outcome['what'];
  reason: string;
}

export interface Replay {
  /** Last entry that the database had applied. */
  from: number;
  /** Last entry that is applied now. */
  to: number;
  /** Applied entries by what they asked for. */
  counts: Map<Outcome['what'], number>;
  rejected: RejectedEntry[];
  /** Last entry of the log; those above `to` are not known to be committed. */
  lastIndex: number;
  revisionBefore: number;
  revision: number;
}

interface ReplayOptions {
  /** Whether the schema has a `term`: since 3.5. */
  hasTerm: boolean;
  pacer: Pacer;
}

/** Throws `CorruptError` when log or database are damaged, `RefusedError` when the log begins too late. */
export async function replayLog(
  backend: Backend,
  segments: readonly Segment[],
  { hasTerm, pacer }: ReplayOptions,
): Promise<Replay> {
  const keys = await KeyValues.open(backend, pacer);
  await finish(keys.pending, pacer);
  const applier = new Applier(backend, keys, { hasTerm });
  const from = applier.consistentIndex;
  const tail = await LogTail.read(segments, from, pacer);
  const replay: Replay = {
    from,
    to: from,
    counts: new Map(),
    rejected: [],
    lastIndex: tail.lastIndex,
    revisionBefore: applier.keys.revision,
    revision: applier.keys.revision,
  };
  await applyTo(tail.committed, replay, { applier, tail });
  const voters = applier.cluster.members().filter(({ isLearner }) => !isLearner);
  if (voters.length === 1 && voters[0]!.id === tail.metadata?.nodeId)
    await applyTo(tail.lastIndex, replay, { applier, tail });
  replay.revision = applier.keys.revision;
  return replay;
}

async function finish(compaction: Compaction | undefined, pacer: Pacer): Promise<void> {
  while (compaction?.step()) if (pacer.isDue()) await pacer.rest();
}

/** Applies the entries behind `replay.to`, up to `last`. */
async function applyTo(
  last: number,
  replay: Replay,
  { applier, tail }: { applier: Applier; tail: LogTail },
): Promise<void> {
  await tail.visit({ after: replay.to, upTo: last }, (entry, at) => {
    const { index } = entry;
    const { what, rejection, compaction } = applier.apply(entry, at);
    compaction?.finish();
    replay.counts.set(what, (replay.counts.get(what) ?? 0) + 1);
    if (rejection && !QUESTIONS.includes(what))
      replay.rejected.push({ index, what, reason: rejection.message });
    replay.to = index;
  });
}
