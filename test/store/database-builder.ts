/** Small databases of etcd as literal values: the rows of its buckets, and the bytes of a file that holds them. */
import { createHash } from 'node:crypto';
import { MemorySource } from '../../src/bytes/source.ts';
import type { FindingSink } from '../../src/errors.ts';
import { BulkWriter } from '../../src/format/bolt/bulk.ts';
import { BoltFile } from '../../src/format/bolt/file.ts';
import { lease as leaseMessage } from '../../src/format/proto/leasepb.ts';
import { encodeConfState, encodeMember, type Member } from '../../src/format/proto/member-json.ts';
import { type KeyValue, keyValue } from '../../src/format/proto/mvccpb.ts';
import { encodeMark } from '../../src/store/mvcc/marks.ts';
import { encodeRevision } from '../../src/store/mvcc/record.ts';
import { BUCKETS } from '../../src/store/schema/buckets.ts';
import { encodeIndex } from '../../src/store/schema/rows.ts';

export type Pair = readonly [key: Uint8Array, value: Uint8Array];

export interface DatabaseSpec {
  /** Rows of bucket `key`, ascending; none unless given. */
  records?: readonly Pair[];
  /** Rows of other buckets instead of those of a sound database of 3.6; `undefined` leaves the bucket out. */
  buckets?: Readonly<Record<string, readonly Pair[] | undefined>>;
  /** 4096 unless given. */
  pageSize?: number;
  txid?: bigint;
}

export const text = (value: string): Uint8Array => Buffer.from(value, 'latin1');

export const MEMBER: Member = {
  id: 0x8e9e05c52164694dn,
  peerUrls: ['http://127.0.0.1:2380'],
  isLearner: false,
  name: 'default',
  clientUrls: ['http://127.0.0.1:2379'],
};

type PutOptions = Partial<Omit<KeyValue, 'key' | 'value'>> & { sub?: number; value?: string | Uint8Array };

/** A put, by default the first of its key. */
export function put(main: number, key: string, options: PutOptions = {}): Pair {
  const { sub = 0, value = 'v', ...over } = options;
  const bytes = typeof value === 'string' ? text(value) : value;
  const record = {
    key: text(key),
    createRevision: main,
    modRevision: main,
    version: 1,
    value: bytes,
    ...over,
  };
  return [encodeRevision(main, sub), keyValue.encode(record)];
}

export function deletion(main: number, key: string, sub = 0): Pair {
  return [encodeRevision(main, sub, true), keyValue.encode({ key: text(key) })];
}

/** The record that `--bump-revision` adds. */
export function bump(main: number): Pair {
  return [encodeRevision(main, 0), new Uint8Array()];
}

/** Rows of bucket `meta`; `undefined` leaves one out, a number is a mark of compaction. */
export function metaRows(over: Readonly<Record<string, Uint8Array | number | undefined>> = {}): Pair[] {
  const rows: Record<string, Uint8Array | number | undefined> = {
    consistent_index: encodeIndex(20),
    term: encodeIndex(2),
    confState: encodeConfState({ voters: [MEMBER.id] }),
    storageVersion: text('3.6.0'),
    ...over,
  };
  return Object.entries(rows)
    .filter((row): row is [string, Uint8Array | number] => row[1] !== undefined)
    .map(([key, value]) => [text(key), typeof value === 'number' ? encodeMark(value) : value]);
}

/** Rows of `meta` with marks of compaction. */
export function compactedAt(marks: { scheduled?: number; finished?: number }): Pair[] {
  return metaRows({ scheduledCompactRev: marks.scheduled, finishedCompactRev: marks.finished });
}

export function memberRow(member: Member): Pair {
  return [text(member.id.toString(16)), encodeMember(member)];
}

export function leaseRow(id: bigint, ttl = 60): Pair {
  const key = Buffer.alloc(8);
  key.writeBigInt64BE(id);
  return [key, leaseMessage.encode({ id, ttl })];
}

/** The file: all buckets that etcd makes, and those that `spec` names. Rows are sorted here. */
export function buildDatabase(spec: DatabaseSpec = {}): Uint8Array {
  const { pageSize = 4096, txid = 10n, records = [] } = spec;
  const rows: Record<string, readonly Pair[] | undefined> = {
    ...Object.fromEntries(BUCKETS.map((name) => [name, []])),
    meta: metaRows(),
    cluster: [[text('clusterVersion'), text('3.6.0')]],
    members: [memberRow(MEMBER)],
    key: records,
    ...spec.buckets,
  };
  const parts: Array<{ at: number; bytes: Uint8Array }> = [];
  const output = { write: (bytes: Uint8Array, at: number) => void parts.push({ at, bytes: bytes.slice() }) };
  const writer = new BulkWriter(output, { pageSize });
  for (const name of Object.keys(rows).sort()) {
    const pairs = rows[name];
    if (!pairs) continue;
    writer.beginBucket(text(name));
    for (const [key, value] of [...pairs].sort((a, b) => Buffer.compare(a[0], b[0])))
      writer.addPair(key, value);
    writer.endBucket();
  }
  const file = new Uint8Array(writer.finish({ txid }).sizeBytes);
  for (const { at, bytes } of parts) file.set(bytes, at);
  return file;
}

/** The same, as `snapshot save` would have written it. */
export function sealed(database: Uint8Array): Uint8Array {
  const digest = createHash('sha256').update(database).digest();
  return new Uint8Array(Buffer.concat([database, digest]));
}

export function openBytes(bytes: Uint8Array, report?: FindingSink): BoltFile {
  return new BoltFile(new MemorySource(bytes, 'test.db'), { report });
}
