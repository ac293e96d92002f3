/**
 * HashKV: the hash by which members compare their data at one revision, from bucket `key` alone. Records at or
 * below the compacted revision count only when a compaction at the asked revision would keep them: each key's newest
 * one, unless it is deleted. So one pass from the last record to the first does. About 16 bytes a key.
 * Rules: etcd v3.6 server/storage/mvcc/hash.go and key_index.go.
 */
import { BackwardCrc32c } from '../../bytes/crc32c.ts';
import { latin1 } from '../../bytes/order.ts';
import type { Pacer } from '../../bytes/pacer.ts';
import type { Source } from '../../bytes/source.ts';
import { CorruptError, ToolError, UsageError } from '../../errors.ts';
import type { PageChecker } from '../../format/bolt/check.ts';
import { BoltFile, type Leaves } from '../../format/bolt/file.ts';
import type { Page } from '../../format/bolt/page.ts';
import { KeyTable, RECORD_START } from './key-table.ts';
import { compactRevisionOf, readMarks } from './marks.ts';
import { RecordView } from './record.ts';

const EMPTY_STORE_REVISION = 1;
/** What the hash starts from: the bucket's name. */
const BUCKET_NAME = Buffer.from('key');

export interface RevisionHash {
  hash: number;
  hashRevision: number;
  /** −1 when never compacted. */
  compactRevision: number;
}

/**
 * The hash of a database that `source` reads as, be it a file or a view of a live store. Every pass walks it anew, and
 * throws what is damaged.
 */
export async function hashKv(
  source: Source,
  options: { revision: number; pacer: Pacer },
): Promise<RevisionHash> {
  const openLeaves = (): Leaves => {
    const pass = new BoltFile(source);
    const bucket = pass.bucket('key');
    if (bucket) return pass.leaves(bucket, { direction: 'backward' });
    throw new CorruptError('schema.bucket', `${source.name} has no bucket "key": not a database of etcd`, {
      where: { file: source.name },
      upstream: 'nil bucket: "key"',
    });
  };
  return hashAtRevision(openLeaves, new BoltFile(source), options);
}

/**
 * The hash at `revision`; 0 asks for the newest. Throws when it is compacted or in the future. `openLeaves` gives the
 * leaves of bucket `key` from the last to the first, each time anew.
 */
export async function hashAtRevision(
  openLeaves: () => Leaves,
  bolt: BoltFile,
  options: { revision: number; pacer: Pacer },
): Promise<RevisionHash> {
  const compactRevision = compactRevisionOf(readMarks(bolt));
  const { revision, pacer } = options;
  if (revision < 0) throw new UsageError('usage', `revision ${revision} is negative`);
  if (revision > 0 && revision < compactRevision) throw compacted(revision, compactRevision);
  bolt.checker.bucket = 'key';
  const reader = new RecordReader(bolt.checker);
  const current = Math.max(newestRevision(openLeaves(), reader), compactRevision, EMPTY_STORE_REVISION);
  if (revision > current) throw future(revision, current);

  const hashRevision = revision === 0 ? current : revision;
  const deleted = await keysDeletedAt(hashRevision, openLeaves(), reader, pacer);
  let pass = new HashPass(reader, { hashRevision, compactRevision, deleted, isAllCounted: false });
  await pass.run(openLeaves(), pacer);
  if (pass.keptCount === 0 && pass.isAnyLeftOut) {
    // Where nothing is kept, etcd lets all records count.
    pass = new HashPass(reader, { hashRevision, compactRevision, deleted, isAllCounted: true });
    await pass.run(openLeaves(), pacer);
  }
  return { hash: pass.finish(), hashRevision, compactRevision };
}

/** Main revision of the last record; 0 when there is none. */
function newestRevision(leaves: Leaves, reader: RecordReader): number {
  const leaf = leaves.next();
  return leaf && leaf.count > 0 ? reader.revision(leaf, leaf.count - 1).main : 0;
}

/** User keys (`latin1`) that one revision deletes; it may put them again, which etcd's clients cannot ask for. */
async function keysDeletedAt(
  revision: number,
  leaves: Leaves,
  reader: RecordReader,
  pacer: Pacer,
): Promise<Set<string>> {
  const deleted = new Set<string>();
  for (let leaf = leaves.next(); leaf; leaf = leaves.next()) {
    for (let i = leaf.count - 1; i >= 0; i--) {
      const record = reader.revision(leaf, i);
      if (record.main < revision) return deleted;
      if (record.main > revision || !record.isTombstone) continue;
      reader.value(leaf, i);
      deleted.add(userKey(leaf, record));
    }
    if (pacer.isDue()) await pacer.rest();
  }
  return deleted;
}

const userKey = ({ bytes }: Page, { keyStart, keyEnd }: RecordView): string =>
  latin1(bytes.subarray(keyStart, keyEnd));

interface PassOptions {
  hashRevision: number;
  /** Up to here only what is kept counts, unless all records do. */
  compactRevision: number;
  isAllCounted: boolean;
  deleted: ReadonlySet<string>;
}

class HashPass {
  /** Keys of which a compaction at the hashed revision would keep a record. */
  keptCount = 0;
  /** Whether a record did not count because it is not kept. */
  isAnyLeftOut = false;
  readonly #options: PassOptions;
  readonly #seen = new KeyTable(KEY_WORDS);
  readonly #reader: RecordReader;
  readonly #record: RecordView;
  readonly #crc = new BackwardCrc32c();

  constructor(reader: RecordReader, options: PassOptions) {
    this.#reader = reader;
    this.#record = reader.record;
    this.#options = options;
  }

  async run(leaves: Leaves, pacer: Pacer): Promise<void> {
    for (let leaf = leaves.next(); leaf; leaf = leaves.next()) {
      this.#leaf(leaf);
      if (pacer.isDue()) await pacer.rest();
    }
  }

  finish(): number {
    this.#crc.prepend(BUCKET_NAME);
    return this.#crc.value;
  }

  /** Records that count and lie together are hashed together. */
  #leaf(leaf: Page): void {
    let runStart = 0;
    let runEnd = 0;
    for (let i = leaf.count - 1; i >= 0; i--) {
      const start = leaf.keyStart(i);
      if (this.#counts(leaf, i)) {
        if (runEnd === 0) runEnd = start + leaf.keySize(i) + leaf.valueSize(i);
        runStart = start;
      } else if (runEnd > 0) {
        this.#crc.prepend(leaf.bytes, runStart, runEnd);
        runEnd = 0;
      }
    }
    if (runEnd > 0) this.#crc.prepend(leaf.bytes, runStart, runEnd);
  }

  #counts(leaf: Page, index: number): boolean {
    const { hashRevision, compactRevision, isAllCounted } = this.#options;
    const { main, isTombstone } = this.#reader.revision(leaf, index);
    this.#reader.value(leaf, index);
    if (main > hashRevision) return false;
    const isKept = this.#isNewest(leaf) && !isTombstone && !this.#isDeletedToo(leaf);
    if (isKept) this.keptCount++;
    else if (main <= compactRevision && !isAllCounted) {
      this.isAnyLeftOut = true;
      return false;
    }
    return !(isTombstone && main === compactRevision);
  }

  /** Whether no later record of the key was seen. */
  #isNewest(leaf: Page): boolean {
    this.#seen.find(leaf.bytes, this.#record.keyStart, this.#record.keyEnd);
    return this.#seen.isNew;
  }

  /** A key deleted in the hashed revision has the generation that ends there looked at, which keeps nothing. */
  #isDeletedToo(leaf: Page): boolean {
    const { deleted, hashRevision } = this.#options;
    return deleted.size > 0 && this.#record.main === hashRevision && deleted.has(userKey(leaf, this.#record));
  }
}

/** Words of a key's record: its hash. */
const KEY_WORDS = RECORD_START;

/** Decodes records of leaves; throws `mvcc.value` for one that is malformed. */
class RecordReader {
  readonly record = new RecordView();
  readonly #checker: PageChecker;

  constructor(checker: PageChecker) {
    this.#checker = checker;
  }

  revision(leaf: Page, index: number): RecordView {
    const start = leaf.keyStart(index);
    const problem = this.record.decodeRevision(leaf.bytes, start, leaf.keySize(index));
    if (problem) this.#malformed(leaf, start, problem);
    return this.record;
  }

  value(leaf: Page, index: number): void {
    const start = leaf.keyStart(index) + leaf.keySize(index);
    const problem = this.record.decodeValue(leaf.bytes, start, start + leaf.valueSize(index));
    if (problem) this.#malformed(leaf, start, problem);
  }

  #malformed(leaf: Page, at: number, problem: string): void {
    this.#checker.found('mvcc.value', leaf, problem, at - leaf.start);
  }
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
