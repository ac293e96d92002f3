/**
 * HashKV: the hash by which members compare their data at one revision, from bucket `key` alone. Records at or
 * below the compacted revision count only when a compaction at the asked revision would keep them; so one pass
 * finds what is kept, and a second one hashes. About 24 bytes a key and one bit a record.
 * Rules: etcd v3.6 server/storage/mvcc/hash.go and key_index.go.
 */
import { crc32c } from '../../bytes/crc32c.ts';
import type { Pacer } from '../../bytes/pacer.ts';
import { CorruptError, ToolError, UsageError } from '../../errors.ts';
import type { BoltFile, Leaves } from '../../format/bolt/file.ts';
import type { Page } from '../../format/bolt/page.ts';
import { KeyTable, RECORD_START } from './key-table.ts';
import { compactRevisionOf, readMarks } from './marks.ts';
import { RecordView, TOMBSTONE_SIZE } from './record.ts';

const EMPTY_STORE_REVISION = 1;
/** What the hash starts from: the bucket's name. */
const BUCKET_NAME = Buffer.from('key');

export interface RevisionHash {
  hash: number;
  hashRevision: number;
  /** −1 when never compacted. */
  compactRevision: number;
}

/** The hash at `revision`; 0 asks for the newest. Throws when it is compacted or in the future. */
export async function hashAtRevision(
  openLeaves: () => Leaves,
  bolt: BoltFile,
  options: { revision: number; pacer: Pacer },
): Promise<RevisionHash> {
  const compactRevision = compactRevisionOf(readMarks(bolt));
  const { revision, pacer } = options;
  if (revision < 0) throw new UsageError('usage', `revision ${revision} is negative`);
  if (revision > 0 && revision < compactRevision) throw compacted(revision, compactRevision);

  const survey = await surveyRecords(
    openLeaves(),
    revision === 0 ? Number.MAX_SAFE_INTEGER : revision,
    pacer,
  );
  const current = Math.max(survey.lastRevision, compactRevision, EMPTY_STORE_REVISION);
  if (revision > current) throw future(revision, current);
  const hashRevision = revision === 0 ? current : revision;
  const kept = survey.keptAt(hashRevision);

  let hash = crc32c(BUCKET_NAME);
  const record = new RecordView();
  const leaves = openLeaves();
  let ordinal = 0;
  for (let leaf = leaves.next(); leaf; leaf = leaves.next()) {
    let runStart = -1;
    let runEnd = -1;
    for (let i = 0; i < leaf.count; i++, ordinal++) {
      const start = leaf.keyStart(i);
      const keySize = leaf.keySize(i);
      record.decodeRevision(leaf.bytes, start, keySize);
      const { main } = record;
      const isHashed =
        main <= hashRevision &&
        !(main <= compactRevision && kept && !kept.has(ordinal)) &&
        !(main === compactRevision && record.isTombstone);
      if (isHashed) {
        if (runStart < 0) runStart = start;
        runEnd = start + keySize + leaf.valueSize(i);
      } else if (runStart >= 0) {
        hash = crc32c(leaf.bytes, hash, runStart, runEnd);
        runStart = -1;
      }
    }
    if (runStart >= 0) hash = crc32c(leaf.bytes, hash, runStart, runEnd);
    if (pacer.isDue()) await pacer.rest();
  }
  return { hash, hashRevision, compactRevision };
}

/** Words of a key's record: its hash, then two floats. */
const RECORD_WORDS = 6;
/** Number of its newest record, counted from 1; 0 when that is a tombstone. */
const NEWEST = RECORD_START / 2;
/** The last revision that deleted it. */
const DELETED_AT = NEWEST + 1;

/** A set of record numbers, one bit each. */
class RecordSet {
  readonly #bits: Uint32Array;

  constructor(count: number) {
    this.#bits = new Uint32Array(Math.ceil(count / 32));
  }

  add(ordinal: number): void {
    this.#bits[ordinal >>> 5]! |= 1 << (ordinal & 31);
  }

  has(ordinal: number): boolean {
    return (this.#bits[ordinal >>> 5]! & (1 << (ordinal & 31))) !== 0;
  }
}

interface Survey {
  lastRevision: number;
  /** Records a compaction at `revision` keeps; undefined when it keeps none, which lets all of them count. */
  keptAt(revision: number): RecordSet | undefined;
}

/** Per key: the newest record at or below `limit`, and the last revision that deleted the key. */
async function surveyRecords(leaves: Leaves, limit: number, pacer: Pacer): Promise<Survey> {
  const keys = new KeyTable(RECORD_WORDS);
  const record = new RecordView();
  let recordCount = 0;
  let lastRevision = 0;

  const add = (leaf: Page, index: number): void => {
    const start = leaf.keyStart(index);
    const keySize = leaf.keySize(index);
    const valueStart = start + keySize;
    const problem =
      record.decodeRevision(leaf.bytes, start, keySize) ??
      record.decodeValue(leaf.bytes, valueStart, valueStart + leaf.valueSize(index));
    if (problem) {
      throw new CorruptError('mvcc.value', `page ${leaf.id}: ${problem}`, {
        where: { unit: `page ${leaf.id}`, offset: leaf.fileOffset(start) },
      });
    }
    lastRevision = record.main;
    if (record.main > limit) return;
    keys.find(leaf.bytes, record.keyStart, record.keyEnd);
    const at = keys.at >>> 1;
    keys.floats[at + NEWEST] = keySize === TOMBSTONE_SIZE ? 0 : recordCount + index + 1;
    if (keySize === TOMBSTONE_SIZE) keys.floats[at + DELETED_AT] = record.main;
  };

  for (let leaf = leaves.next(); leaf; leaf = leaves.next()) {
    for (let i = 0; i < leaf.count; i++) add(leaf, i);
    recordCount += leaf.count;
    if (pacer.isDue()) await pacer.rest();
  }
  return {
    lastRevision,
    keptAt(revision) {
      const kept = new RecordSet(recordCount);
      let isEmpty = true;
      keys.forEach(() => {
        const at = keys.at >>> 1;
        const newest = keys.floats[at + NEWEST]!;
        // A key deleted in this very revision has the generation that ends there looked at, which keeps nothing.
        if (newest === 0 || keys.floats[at + DELETED_AT] === revision) return;
        kept.add(newest - 1);
        isEmpty = false;
      });
      return isEmpty ? undefined : kept;
    },
  };
}

function compacted(revision: number, compactRevision: number): ToolError {
  return new ToolError(
    'mvcc.compacted',
    `revision ${revision} was compacted: the oldest held is ${compactRevision}`,
    {
      upstream: 'mvcc: required revision has been compacted',
      hint: `--rev ${compactRevision} or higher`,
    },
  );
}

function future(revision: number, current: number): ToolError {
  return new ToolError('mvcc.future', `revision ${revision} is in the future: the newest is ${current}`, {
    upstream: 'mvcc: required revision is a future revision',
    hint: `--rev ${current} or lower`,
  });
}
