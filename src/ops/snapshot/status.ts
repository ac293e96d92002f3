/**
 * `snapshot status`: etcdutl's summary of a database, from one walk in key order. Unlike etcdutl it also checks
 * the SHA-256 trailer, and it takes no lock.
 */
import { Pacer } from '../../bytes/pacer.ts';
import { crc32c } from '../../bytes/crc32c.ts';
import { CorruptError, type Finding } from '../../errors.ts';
import { checkFreelist } from '../../format/bolt/freelist.ts';
import type { Page } from '../../format/bolt/page.ts';
import { LiveKeys } from '../../store/mvcc/live-keys.ts';
import { RecordView } from '../../store/mvcc/record.ts';
import { assertUnmoved, type Database, openDatabase, startDigest } from '../../store/database.ts';
import { hashLeaf } from '../../store/database-hash.ts';
import { compareBytes } from '../../bytes/order.ts';
import { databaseOf } from '../../store/locate.ts';
import type { Context } from '../context.ts';

export interface StatusReport {
  /** CRC-32C over every bucket's name, keys and values. */
  hash: number;
  /** Main revision of the last record; 0 when there is none. */
  revision: number;
  /** Live user keys (etcdutl 3.6 and later). */
  totalKey: number;
  /** Records in all buckets (what etcdutl 3.5 calls total keys). */
  totalRecords: number;
  /** High-water mark in bytes. */
  totalSize: number;
  /** Storage version, `3.6.0`; empty before 3.6. */
  version: string;
  /** Whether the content matches the SHA-256 trailer. */
  digest: 'good' | 'mismatch' | 'absent';
}

/** Errors shown in full before the rest is only counted. */
const SHOWN_ERRORS = 20;

/** Summarises the database in `path`. Throws `CorruptError` when its pages are damaged. */
export async function snapshotStatus(path: string, context: Context): Promise<StatusReport> {
  const errors: Finding[] = [];
  let errorCount = 0;
  const database = openDatabase(databaseOf(path), (finding) => {
    errorCount++;
    if (errors.length < SHOWN_ERRORS) errors.push(finding);
  });
  const digest = startDigest(database);
  try {
    const report = await summarise(database, context);
    assertUnmoved(database);
    if (errorCount > 0) throw integrityError(database, errors, errorCount);
    if (digest)
      report.digest = compareBytes(await digest.result, database.trailer!) === 0 ? 'good' : 'mismatch';
    return report;
  } finally {
    digest?.cancel();
    database.close();
  }
}

async function summarise(database: Database, context: Context): Promise<StatusReport> {
  const { bolt } = database;
  const pacer = new Pacer({ signal: context.signal, progress: context.progress?.('reading') });
  const keys = new LiveKeys();
  const record = new RecordView();
  const report: StatusReport = {
    hash: 0,
    revision: 0,
    totalKey: 0,
    totalRecords: 0,
    totalSize: bolt.sizeBytes,
    version: '',
    digest: 'absent',
  };

  let pagesDone = 0;
  for (const bucket of bolt.buckets()) {
    report.hash = crc32c(bucket.name, report.hash);
    const leaves = bolt.leaves(bucket);
    for (let leaf = leaves.next(); leaf; leaf = leaves.next()) {
      report.hash = hashLeaf(leaf, report.hash);
      report.totalRecords += leaf.count;
      if (bucket.label === 'key') readRevisions(leaf, record, keys, bolt.checker.found.bind(bolt.checker));
      pagesDone += leaf.overflow + 1;
      if (pacer.isDue()) await pacer.rest(pagesDone * bolt.live.pageSize, report.totalSize);
    }
    if (bucket.label === 'key') report.revision = record.main;
    if (bucket.label === 'meta') {
      const version = bolt.get(bucket, Buffer.from('storageVersion'));
      report.version = version ? Buffer.from(version).toString('latin1') : '';
    }
  }
  checkFreelist(bolt);
  report.totalKey = keys.count;
  return report;
}

function readRevisions(
  leaf: Page,
  record: RecordView,
  keys: LiveKeys,
  found: (
    ...args: [code: 'mvcc.revision-key' | 'mvcc.value', leaf: Page, message: string, at: number]
  ) => void,
): void {
  const { bytes, count } = leaf;
  for (let i = 0; i < count; i++) {
    const start = leaf.keyStart(i);
    const keySize = leaf.keySize(i);
    const wrongKey = record.decodeRevision(bytes, start, keySize);
    if (wrongKey) {
      found('mvcc.revision-key', leaf, wrongKey, start - leaf.start);
      continue;
    }
    const valueStart = start + keySize;
    const wrongValue = record.decodeValue(bytes, valueStart, valueStart + leaf.valueSize(i));
    if (wrongValue) found('mvcc.value', leaf, wrongValue, valueStart - leaf.start);
    else keys.add(bytes, record);
  }
}

function integrityError(database: Database, errors: Finding[], count: number): CorruptError {
  const lines = errors.map((error) => `${error.where.unit ?? ''}: ${error.message}`);
  if (count > errors.length) lines.push(`and ${count - errors.length} more`);
  const message = `snapshot file integrity check failed. ${count} errors found.\n${lines.join('\n')}`;
  return new CorruptError(errors[0]!.code, message, {
    where: errors[0]!.where,
    hint: `etcdkit snapshot verify ${database.path}`,
  });
}
