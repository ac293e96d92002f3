/**
 * One walk over a database that serves the pages, content and schema layers at once: every page in key order,
 * every record of bucket `key` through the history check, the rows of the small buckets for the schema check.
 */
import type { Pacer } from '../bytes/pacer.ts';
import { CorruptError, type Finding, type FindingSink, findingOf } from '../errors.ts';
import { CLAIM } from '../format/bolt/claims.ts';
import type { BoltFile, Bucket } from '../format/bolt/file.ts';
import { checkFreelist } from '../format/bolt/freelist.ts';
import { ELEMENT_BUCKET } from '../format/bolt/layout.ts';
import type { Page } from '../format/bolt/page.ts';
import { checkMetas } from '../format/bolt/meta.ts';
import { type CompactionMarks, readMarks } from '../store/mvcc/marks.ts';
import { LeaseIdSet } from '../store/schema/lease-ids.ts';
import { type Row, RowCollector } from '../store/schema/rows.ts';
import { HistoryCheck } from './history.ts';
import { checkLeaseRows } from './leases.ts';
import type { ByteLine } from './report.ts';

/** Sinks of the layers that were asked for. */
export interface DatabaseSinks {
  pages: FindingSink;
  content: FindingSink | undefined;
  schema: FindingSink | undefined;
}

export interface DatabaseWalk {
  bolt: BoltFile;
  history: HistoryCheck | undefined;
  marks: CompactionMarks;
  /** Rows of each bucket but `key` and `lease`, by its name. */
  rows: Map<string, Row[]>;
  leases: LeaseIdSet;
  recordCount: number;
  /** Layers of which a part lies in pages that were lost to damage. */
  incomplete: Set<'content' | 'schema'>;
}

interface LeafHandler {
  leaf(page: Page): void;
  lost?(): void;
}

/** Which layer a code of the walk belongs to: what is wrong with records is content, all else pages. */
const isContent = (finding: Finding): boolean => finding.code.startsWith('mvcc.');

/** Lets a walk's findings be told apart by layer; give it to `BoltFile` as `report`. */
export function splitByLayer(sinks: DatabaseSinks): FindingSink {
  return (finding) => {
    if (finding.code.startsWith('schema.')) sinks.schema?.(finding);
    else if (isContent(finding)) sinks.content?.(finding);
    else sinks.pages(finding);
  };
}

/** Walks everything that is reachable. Damage goes to `sinks`; only what cannot be opened at all is thrown. */
export async function walkDatabase(
  bolt: BoltFile,
  sinks: DatabaseSinks,
  pacer: Pacer,
): Promise<DatabaseWalk> {
  checkMetas(bolt.source, bolt.metas, sinks.pages);
  const marks = marksOf(bolt, sinks);
  const history = sinks.content ? new HistoryCheck(bolt, marks) : undefined;
  const leases = new LeaseIdSet();
  const incomplete: DatabaseWalk['incomplete'] = new Set();
  const walk: DatabaseWalk = { bolt, history, marks, rows: new Map(), leases, recordCount: 0, incomplete };

  let pagesDone = 0;
  for (const bucket of bolt.buckets()) {
    if (bucket.sequence !== 0n) reportSequence(bolt, bucket, sinks);
    const handler = handlerOf(bucket, walk);
    const leaves = bolt.leaves(bucket);
    let lost = 0;
    for (let leaf = leaves.next(); leaf; leaf = leaves.next()) {
      if (leaves.lostPageCount > lost) handler.lost?.();
      lost = leaves.lostPageCount;
      handler.leaf(leaf);
      if (bucket.label !== 'key') reportNested(bolt, leaf, bucket);
      walk.recordCount += leaf.count;
      pagesDone += leaf.overflow + 1;
      if (pacer.isDue()) await pacer.rest(pagesDone * bolt.live.pageSize, bolt.sizeBytes);
    }
    if (leaves.lostPageCount > lost) handler.lost?.();
    if (leaves.lostPageCount > 0) incomplete.add(bucket.label === 'key' ? 'content' : 'schema');
  }
  if (bolt.isRootLost) incomplete.add('content').add('schema');
  checkFreelist(bolt);
  return walk;
}

function marksOf(bolt: BoltFile, sinks: DatabaseSinks): CompactionMarks {
  try {
    return readMarks(bolt);
  } catch (error) {
    if (!(error instanceof CorruptError)) throw error;
    // Damaged pages are reported when the walk meets them; a malformed mark is reported here.
    if (error.code === 'mvcc.compaction') sinks.content?.(findingOf(error));
    return { scheduled: Number.MAX_SAFE_INTEGER, finished: undefined };
  }
}

function handlerOf(bucket: Bucket, walk: DatabaseWalk): LeafHandler {
  if (bucket.label === 'key') return walk.history ?? { leaf() {} };
  if (bucket.label === 'lease') return { leaf: (page) => checkLeaseRows(page, walk.leases, walk.bolt) };
  const collector = new RowCollector();
  walk.rows.set(bucket.label, collector.rows);
  return collector;
}

function reportSequence(bolt: BoltFile, bucket: Bucket, sinks: DatabaseSinks): void {
  sinks.pages({
    code: 'bolt.bucket',
    severity: 'lossy',
    where: { file: bolt.source.name, unit: `page ${bucket.pageId}`, field: `bucket ${bucket.label}` },
    message: `bucket ${bucket.label} has sequence ${bucket.sequence}, but etcd never sets one`,
  });
}

function reportNested(bolt: BoltFile, leaf: Page, bucket: Bucket): void {
  for (let i = 0; i < leaf.count; i++) {
    if (leaf.elementFlags(i) !== ELEMENT_BUCKET) continue;
    bolt.checker.found(
      'bolt.bucket',
      leaf,
      `bucket ${bucket.label} holds a bucket, which etcd never makes`,
      leaf.keyStart(i) - leaf.start,
    );
  }
}

/** Where the bytes of the database file are, after a walk. They sum up to `contentSize`. */
export function accountDatabase(
  { bolt, incomplete }: Pick<DatabaseWalk, 'bolt' | 'incomplete'>,
  contentSize: number,
): ByteLine[] {
  const { pageSize } = bolt.live;
  const pages = (count: number): number => count * pageSize;
  const { claims } = bolt;
  const inFile = Math.min(bolt.sizeBytes, contentSize);
  const lines: ByteLine[] = [
    { what: 'meta pages', bytes: Math.min(pages(2), inFile), status: 'checked' },
    { what: 'branch pages', bytes: pages(claims.count(CLAIM.branch)), status: 'checked' },
    {
      what: 'leaf pages',
      bytes: pages(claims.count(CLAIM.leaf) + claims.count(CLAIM.overflow)),
      status: 'checked',
    },
    { what: 'freelist', bytes: pages(claims.count(CLAIM.freelist)), status: 'checked' },
  ];
  const used = lines.reduce((sum, line) => sum + line.bytes, 0);
  // Behind a page that was lost nobody knows which are free.
  const what = incomplete.size > 0 ? 'free or lost pages' : 'free pages';
  lines.push({ what, bytes: Math.max(0, inFile - used), status: 'skipped' });
  lines.push({ what: 'preallocated', bytes: Math.max(0, contentSize - inFile), status: 'skipped' });
  return lines.filter((line) => line.bytes > 0);
}
