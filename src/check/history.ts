/**
 * The content layer of verify: records of bucket `key` in revision order, held against the history they tell.
 * Above the last compaction every revision is there, and create revision and version follow from the records
 * before; below it a key's first record may stand for a lost past. Memory: about 60 bytes a user key.
 */
import { readAt } from '../bytes/source.ts';
import { showBytes } from '../bytes/order.ts';
import type { ErrorCode, Severity } from '../errors.ts';
import type { BoltFile } from '../format/bolt/file.ts';
import type { Page } from '../format/bolt/page.ts';
import { KeyTable, RECORD_START } from '../store/mvcc/key-table.ts';
import { type CompactionMarks, compactRevisionOf } from '../store/mvcc/marks.ts';
import { RecordView } from '../store/mvcc/record.ts';

const LIVE = 1;
const DEAD = 2;

/** A key's record: words, then floats, 64 bytes in all. */
const RECORD_WORDS = 16;
const STATE = RECORD_START;
const VERSION = STATE + 1;
const LEASE_LOW = STATE + 2;
const LEASE_HIGH = STATE + 3;
const KEY_SIZE = STATE + 4;
const CREATE = 4;
const MOD = CREATE + 1;
const KEY_OFFSET = CREATE + 2;
/** An empty store is at revision 1; the first write makes 2. */
const EMPTY_STORE_REVISION = 1;
const TWO_32 = 2 ** 32;

/** Lease ids in ascending order, as bucket `lease` holds them. */
export interface LeaseIds {
  has(low: number, high: number): boolean;
}

export class HistoryCheck {
  recordCount = 0;
  tombstoneCount = 0;
  bumpCount = 0;
  /** Main revision of the last record of a bump. */
  bumpRevision = 0;
  liveKeyCount = 0;
  /** Main revision of the last record. */
  revision = 0;
  /** Bytes of user values, which no checksum covers. */
  valueBytes = 0;

  /** Something was lost to damage: what is missing says nothing any more. */
  isIncomplete = false;
  /** Whether a record of the compacted revision itself is there. */
  isCompactRevisionHeld = false;
  /** Whether a record is there that the last compaction is to delete. */
  isCompactionDue = false;

  readonly #bolt: BoltFile;
  readonly #compactRevision: number;
  /** The last compaction was begun, and may be anywhere between nothing deleted and all. */
  readonly #isCompacting: boolean;
  readonly #record = new RecordView();
  #expectedMain: number;
  #lastSub = -1;

  readonly #keys = new KeyTable(RECORD_WORDS);

  constructor(bolt: BoltFile, marks: CompactionMarks) {
    this.#bolt = bolt;
    this.#compactRevision = compactRevisionOf(marks);
    this.#isCompacting = (marks.scheduled ?? -1) > (marks.finished ?? -1);
    this.#expectedMain = Math.max(this.#compactRevision, EMPTY_STORE_REVISION) + 1;
  }

  /** Call it when pages were lost before the next leaf. */
  lost(): void {
    this.isIncomplete = true;
  }

  leaf(page: Page): void {
    const { bytes, count } = page;
    const record = this.#record;
    for (let i = 0; i < count; i++) {
      const start = page.keyStart(i);
      const keySize = page.keySize(i);
      const valueStart = start + keySize;
      const valueEnd = valueStart + page.valueSize(i);
      const problem =
        page.elementFlags(i) === 0
          ? record.decodeRevision(bytes, start, keySize)
          : 'bucket key holds a bucket';
      if (problem) {
        this.#found('mvcc.revision-key', page, problem, start);
        this.lost();
        continue;
      }
      this.recordCount++;
      const wrong = record.decodeValue(bytes, valueStart, valueEnd);
      if (wrong) {
        this.#found('mvcc.value', page, `${this.#name()}: ${wrong}`, valueStart);
        this.lost();
      }
      this.#checkSequence(page, start);
      if (!wrong) this.#checkRecord(page, start);
    }
  }

  #word(field: number): number {
    return this.#keys.words[this.#keys.at + field]!;
  }

  #float(field: number): number {
    return this.#keys.floats[(this.#keys.at >>> 1) + field]!;
  }

  #name(): string {
    const { main, sub } = this.#record;
    return `revision ${main}${sub > 0 ? `.${sub}` : ''}`;
  }

  #found(code: ErrorCode, page: Page, message: string, at: number, severity: Severity = 'lossy'): void {
    this.#bolt.checker.found(code, page, message, at - page.start, severity);
  }

  /** Every change has a revision of its own, and above the last compaction none is missing. */
  #checkSequence(page: Page, at: number): void {
    const { main, sub } = this.#record;
    const isSame = main === this.revision;
    if (main > this.#compactRevision && !this.isIncomplete) {
      if (!isSame && main !== this.#expectedMain) {
        const last = main - 1;
        const range =
          last === this.#expectedMain
            ? `revision ${last} is`
            : `revisions ${this.#expectedMain} to ${last} are`;
        this.#found(
          'mvcc.gap',
          page,
          `${range} missing, although the last compaction was at ${this.#compactRevision}`,
          at,
        );
      } else if (sub !== (isSame ? this.#lastSub + 1 : 0)) {
        this.#found('mvcc.gap', page, `a change before ${this.#name()} is missing`, at);
      }
    }
    if (main === this.#compactRevision) this.isCompactRevisionHeld = true;
    this.revision = main;
    this.#lastSub = sub;
    if (main >= this.#expectedMain) this.#expectedMain = main + 1;
  }

  #checkRecord(page: Page, at: number): void {
    const record = this.#record;
    if (record.isEmpty && !record.isTombstone) {
      if (record.main > this.#compactRevision) {
        this.#found(
          'mvcc.value',
          page,
          `${this.#name()} has an empty value, but is no mark of --bump-revision`,
          at,
        );
        return;
      }
      this.bumpCount++;
      this.bumpRevision = record.main;
      return;
    }
    if (record.keyEnd === record.keyStart) {
      this.#found('mvcc.value', page, `${this.#name()} names no key`, at);
      return;
    }
    const keys = this.#keys;
    keys.find(page.bytes, record.keyStart, record.keyEnd);
    if (record.main <= this.#compactRevision && (record.isTombstone || !keys.isNew))
      this.isCompactionDue = true;
    if (record.isTombstone) this.#checkTombstone(page, at);
    else this.#checkPut(page, at);
    keys.floats[(keys.at >>> 1) + KEY_OFFSET] = page.fileOffset(record.keyStart);
    keys.words[keys.at + KEY_SIZE] = record.keyEnd - record.keyStart;
  }

  #checkTombstone(page: Page, at: number): void {
    const record = this.#record;
    this.tombstoneCount++;
    const extra =
      record.createRevision + record.modRevision + record.version + (record.valueEnd - record.valueStart);
    if (extra > 0 || record.hasLease) {
      this.#found('mvcc.tombstone', page, `the tombstone at ${this.#name()} holds more than a key`, at);
    }
    if (record.main < this.#compactRevision && !this.#isCompacting) {
      const message = `the tombstone at ${this.#name()} lies below the compaction at ${this.#compactRevision}, which deletes all of them`;
      this.#found('mvcc.tombstone', page, message, at);
    }
    const state = this.#word(STATE);
    const isAllowed = state === LIVE || record.main <= this.#compactRevision;
    if (!isAllowed && this.#isSurely(page)) {
      this.#found(
        'mvcc.tombstone',
        page,
        `the tombstone at ${this.#name()} deletes ${this.#userKey(page)}, which did not exist`,
        at,
      );
    }
    if (state === LIVE) this.liveKeyCount--;
    const { words, at: from } = this.#keys;
    words[from + STATE] = DEAD;
    words[from + LEASE_LOW] = 0;
    words[from + LEASE_HIGH] = 0;
  }

  #checkPut(page: Page, at: number): void {
    const record = this.#record;
    const { createRevision: create, modRevision: mod, version, main } = record;
    this.valueBytes += record.valueEnd - record.valueStart;
    if (mod !== main) {
      this.#found('mvcc.mod-revision', page, `${this.#name()} holds mod_revision ${mod}`, at);
    } else {
      const problem = this.#historyProblem();
      if (problem && this.#isSurely(page)) {
        const message = `${this.#name()} of ${this.#userKey(page)} has create_revision ${create} and version ${version}, ${problem}`;
        this.#found('mvcc.history', page, message, at);
      }
    }
    const state = this.#word(STATE);
    if (state !== LIVE) this.liveKeyCount++;
    const { words, floats, at: from } = this.#keys;
    words[from + STATE] = LIVE;
    words[from + VERSION] = version;
    words[from + LEASE_LOW] = record.leaseLow;
    words[from + LEASE_HIGH] = record.leaseHigh;
    floats[(from >>> 1) + CREATE] = create;
    floats[(from >>> 1) + MOD] = main;
  }

  /** Why a put does not follow from the records before it. */
  #historyProblem(): string | undefined {
    const { createRevision: create, version, main } = this.#record;
    const state = this.#word(STATE);
    if (state === LIVE) {
      const expected = this.#float(CREATE);
      const before = this.#word(VERSION);
      if (create === expected && version === before + 1) return undefined;
      return `after version ${before} created at ${expected} (revision ${this.#float(MOD)})`;
    }
    const isFirst = version === 1 && create === main;
    if (isFirst) return undefined;
    if (state === DEAD) return 'although the key was deleted before';
    if (main > this.#compactRevision) return 'but no record before it';
    const isPossible = version > 1 && create > 0 && main - create >= version - 1;
    return isPossible ? undefined : 'which no history gives';
  }

  /** Whether a contradiction is one: not when pages were lost, and not when two keys only share their hashes. */
  #isSurely(page: Page): boolean {
    if (this.isIncomplete) return false;
    const state = this.#word(STATE);
    if (state === 0) return true;
    const { keyStart, keyEnd } = this.#record;
    const size = this.#word(KEY_SIZE);
    if (size !== keyEnd - keyStart) return false;
    const known = readAt(this.#bolt.source, this.#float(KEY_OFFSET), size);
    return Buffer.compare(known, page.bytes.subarray(keyStart, keyEnd)) === 0;
  }

  #userKey(page: Page): string {
    return `key ${showBytes(page.bytes.subarray(this.#record.keyStart, this.#record.keyEnd))}`;
  }

  /** Calls `visit` for each live key whose lease is not among `leases`. */
  forEachLostLease(
    leases: LeaseIds,
    visit: (key: Uint8Array, lease: bigint, modRevision: number) => void,
  ): void {
    this.#keys.forEach(() => {
      const low = this.#word(LEASE_LOW);
      const high = this.#word(LEASE_HIGH);
      if ((low === 0 && high === 0) || this.#word(STATE) !== LIVE || leases.has(low, high)) return;
      const key = readAt(this.#bolt.source, this.#float(KEY_OFFSET), this.#word(KEY_SIZE));
      visit(key, BigInt(high) * BigInt(TWO_32) + BigInt(low), this.#float(MOD));
    });
  }
}
