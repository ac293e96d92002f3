/**
 * What a log holds behind the last entry that the database has applied: read once to know which entries are in force,
 * then as often as they are wanted. Memory does not grow with the entries, but for one number each.
 */
import type { Pacer } from '../bytes/pacer.ts';
import { CorruptError, RefusedError } from '../errors.ts';
import type { Metadata } from '../format/proto/memberpb.ts';
import type { HardState } from '../format/proto/raftpb.ts';
import type { Snapshot } from '../format/proto/walpb.ts';
import { type LogEnd, LogReader, type Position, type Segment } from '../format/wal/log.ts';
import type { CommittedEntry } from './apply/applier.ts';

/** Entries by index. */
interface EntryRange {
  after: number;
  upTo: number;
}

/** Takes an entry, whose data is a view; gives `false` to see no more. */
type Visit = (entry: CommittedEntry, at: Position) => boolean | void;

export class LogTail {
  readonly #segments: readonly Segment[];
  readonly #pacer: Pacer;
  /** Of each entry above `from` that is in force: which one it is in the log, counted from 0. */
  readonly #ordinals: number[] = [];
  /** Last entry that the database has applied. */
  readonly from: number;
  metadata: Metadata | undefined;
  state: HardState | undefined;
  /** Records, in the order of the log. */
  snapshots: Snapshot[] = [];
  /** Of the first entry that is there, and the last; `from` where there are none. */
  firstIndex = 0;
  lastIndex = 0;
  /** Of the last entry; 0 where there are none. */
  lastTerm = 0;
  end: LogEnd | undefined;

  private constructor(segments: readonly Segment[], from: number, pacer: Pacer) {
    this.#segments = segments;
    this.#pacer = pacer;
    this.from = from;
  }

  /** Throws `CorruptError` when the log is damaged, `RefusedError` when it begins too late. */
  static async read(segments: readonly Segment[], from: number, pacer: Pacer): Promise<LogTail> {
    const tail = new LogTail(segments, from, pacer);
    await tail.#read();
    const { firstIndex, lastIndex } = tail;
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
    return tail;
  }

  async #read(): Promise<void> {
    const reader = new LogReader(this.#segments);
    const ordinals = this.#ordinals;
    const { from } = this;
    let ordinal = 0;
    for (const event of reader.events()) {
      if (event.kind === 'truncate')
        ordinals.length = Math.min(ordinals.length, Math.max(0, event.index - from - 1));
      else if (event.kind === 'entry') {
        if (event.index > from) ordinals[event.index - from - 1] = ordinal;
        ordinal++;
      }
      if (this.#pacer.isDue()) await this.#pacer.rest();
    }
    this.metadata = reader.metadata;
    this.state = reader.state;
    this.snapshots = reader.snapshots.map(({ snapshot }) => snapshot);
    this.firstIndex = reader.firstIndex ?? from + 1;
    this.lastIndex = reader.lastIndex ?? from;
    this.lastTerm = reader.lastTerm;
    this.end = reader.end;
  }

  /** Last entry that is known to be committed: by the log, or because the database has applied it. */
  get committed(): number {
    return Math.min(this.lastIndex, Math.max(this.state?.commit ?? 0, this.from));
  }

  /** Shows entries that are in force, above `from`, in their order. Throws `CorruptError` for a gap. */
  async visit({ after, upTo }: EntryRange, visit: Visit): Promise<void> {
    if (upTo <= after) return;
    let ordinal = 0;
    let last = after;
    for (const event of new LogReader(this.#segments).events()) {
      if (event.kind !== 'entry') continue;
      const { index, term, type, data, at } = event;
      const isInForce = this.#ordinals[index - this.from - 1] === ordinal++;
      if (!isInForce || index <= last || index > upTo) continue;
      if (index !== last + 1)
        throw new CorruptError('wal.entry.gap', `entry ${last} is followed by ${index}`, { where: at });
      last = index;
      if (visit({ index, term, type, data }, at) === false) return;
      if (this.#pacer.isDue()) await this.#pacer.rest();
    }
  }
}
