/**
 * What a log adds to the database beside it, applied to a backend: the offline half of a server's start. Which entries
 * count: those known to be committed, by the log or because the database has applied them; and where this member is
 * the only voter, all of them, as when it starts again (etcd v3.6 server/etcdserver/bootstrap.go).
 */
import type { Pacer } from '../bytes/pacer.ts';
import { CorruptError, RefusedError } from '../errors.ts';
import { LogReader, type Segment } from '../format/wal/log.ts';
import { Applier, type Outcome } from './apply/applier.ts';
import type { Backend } from './backend/backend.ts';
import type { Compaction } from './mvcc/compaction.ts';
import { KeyValues } from './mvcc/key-values.ts';

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
  const survey = await surveyLog(segments, from, pacer);
  const replay: Replay = {
    from,
    to: from,
    counts: new Map(),
    rejected: [],
    lastIndex: survey.lastIndex,
    revisionBefore: applier.keys.revision,
    revision: applier.keys.revision,
  };
  const committed = Math.min(survey.lastIndex, Math.max(survey.commit, from));
  await applyTo(committed, replay, { applier, segments, survey, pacer });
  const voters = applier.cluster.members().filter(({ isLearner }) => !isLearner);
  if (voters.length === 1 && voters[0]!.id === survey.nodeId)
    await applyTo(survey.lastIndex, replay, { applier, segments, survey, pacer });
  replay.revision = applier.keys.revision;
  return replay;
}

async function finish(compaction: Compaction | undefined, pacer: Pacer): Promise<void> {
  while (compaction?.step()) if (pacer.isDue()) await pacer.rest();
}

interface Survey {
  nodeId: bigint | undefined;
  commit: number;
  lastIndex: number;
  /** Of each entry above the database's last one that is in force: which one it is in the log, counted from 0. */
  ordinals: number[];
}

async function surveyLog(segments: readonly Segment[], from: number, pacer: Pacer): Promise<Survey> {
  const reader = new LogReader(segments);
  const ordinals: number[] = [];
  let ordinal = 0;
  for (const event of reader.events()) {
    if (event.kind === 'truncate')
      ordinals.length = Math.min(ordinals.length, Math.max(0, event.index - from - 1));
    else if (event.kind === 'entry') {
      if (event.index > from) ordinals[event.index - from - 1] = ordinal;
      ordinal++;
    }
    if (pacer.isDue()) await pacer.rest();
  }
  const { firstIndex = from + 1, lastIndex = from } = reader;
  if (lastIndex > from && firstIndex > from + 1) {
    throw new RefusedError(
      'log.start',
      `the database ends at entry ${from}, but the log begins with ${firstIndex}: what lies between is not here`,
      {
        where: { file: segments[0]?.path ?? '' },
        hint: 'use another member, or the log this database belongs to',
      },
    );
  }
  return { nodeId: reader.metadata?.nodeId, commit: reader.state?.commit ?? 0, lastIndex, ordinals };
}

interface Application {
  applier: Applier;
  segments: readonly Segment[];
  survey: Survey;
  pacer: Pacer;
}

/** Applies the entries behind `replay.to`, up to `last`. */
async function applyTo(
  last: number,
  replay: Replay,
  { applier, segments, survey, pacer }: Application,
): Promise<void> {
  if (last <= replay.to) return;
  let ordinal = 0;
  for (const event of new LogReader(segments).events()) {
    if (event.kind !== 'entry') continue;
    const { index, term, type, data, at } = event;
    const isInForce = survey.ordinals[index - replay.from - 1] === ordinal++;
    if (!isInForce || index <= replay.to || index > last) continue;
    if (index !== replay.to + 1)
      throw new CorruptError('wal.entry.gap', `entry ${replay.to} is followed by ${index}`, { where: at });
    const { what, rejection, compaction } = applier.apply({ index, term, type, data }, at);
    await finish(compaction, pacer);
    replay.counts.set(what, (replay.counts.get(what) ?? 0) + 1);
    if (rejection) replay.rejected.push({ index, what, reason: rejection.message });
    replay.to = index;
    if (pacer.isDue()) await pacer.rest();
  }
}
