/**
 * A compaction that was begun: what it drops goes in slices, between which others may read and change. Interrupted,
 * it is begun anew when the store is opened, with what is left. etcd v3.6 server/storage/mvcc/kvstore_compaction.go.
 */
import type { Backend } from '../backend/backend.ts';
import { DroppedRevisions } from './dropped-revisions.ts';
import { CHUNK_SHIFT, type KeyIndex } from './key-index.ts';
import { encodeMark, FINISHED_KEY } from './marks.ts';

/** Records deleted at a time; etcd's batch. */
const RECORDS_A_STEP = 1000;
/** Keys looked at in a time. */
const KEYS_A_STEP = 1 << CHUNK_SHIFT;
/** Revisions that are put in order at a time. */
const REVISIONS_A_ROUND = 1 << 18;

export class Compaction {
  readonly revision: number;
  readonly #backend: Backend;
  readonly #keys: KeyIndex;
  readonly #dropped = new DroppedRevisions();
  /** One that was begun earlier, and comes first. */
  #before: Compaction | undefined;
  #nextId = 0;
  #isDeleting = false;
  #isFinished = false;

  constructor(backend: Backend, keys: KeyIndex, revision: number, before: Compaction | undefined) {
    this.#backend = backend;
    this.#keys = keys;
    this.revision = revision;
    this.#before = before;
  }

  get isFinished(): boolean {
    return this.#isFinished;
  }

  /** Does a slice; gives whether there is more to do. */
  step(): boolean {
    if (this.#before) {
      if (!this.#before.step()) this.#before = undefined;
      return true;
    }
    if (this.#isFinished) return false;
    if (this.#isDeleting) this.#delete();
    else this.#collect();
    if (this.#isDeleting || this.#nextId < this.#keys.idCount) return true;
    this.#backend.put('meta', Buffer.from(FINISHED_KEY), encodeMark(this.revision));
    this.#isFinished = true;
    return false;
  }

  /** Does all that is left. */
  finish(): void {
    while (this.step());
  }

  #collect(): void {
    const end = Math.min(this.#nextId + KEYS_A_STEP, this.#keys.idCount);
    for (; this.#nextId < end; this.#nextId++) this.#keys.compact(this.#nextId, this.revision, this.#dropped);
    const isRoundOver = this.#dropped.count >= REVISIONS_A_ROUND || this.#nextId >= this.#keys.idCount;
    this.#isDeleting = isRoundOver && this.#dropped.count > 0;
  }

  #delete(): void {
    for (let i = Math.min(RECORDS_A_STEP, this.#dropped.count); i > 0; i--)
      this.#backend.delete('key', this.#dropped.take());
    this.#isDeleting = this.#dropped.count > 0;
  }
}
