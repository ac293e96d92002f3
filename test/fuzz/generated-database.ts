/**
 * Databases that no fixture shows: pages of 1, 16 and 64 KiB, trees of many levels, long overflow runs, a stored
 * freelist, a compaction that was begun and not finished. The history is made up, and kept by etcd's rules.
 */
import { lease as leaseMessage } from '../../src/format/proto/leasepb.ts';
import { keyValue } from '../../src/format/proto/mvccpb.ts';
import { role, user } from '../../src/format/proto/authpb.ts';
import { BulkWriter } from '../../src/format/bolt/bulk.ts';
import { encodeMetaPage } from '../../src/format/bolt/meta.ts';
import { encodeRevision } from '../../src/store/mvcc/record.ts';
import { BUCKETS } from '../../src/store/schema/buckets.ts';
import { encodeIndex } from '../../src/store/schema/rows.ts';
import { encodeMember } from '../../src/format/proto/member-json.ts';
import type { Random } from '../support/mutate.ts';

interface GeneratedOptions {
  pageSize: number;
  keys: number;
  /** Transactions. */
  changes: number;
  /** Free pages, listed in a stored freelist; 0 stores none. */
  freePages: number;
  /** The last compaction was begun, and has deleted nothing yet. */
  isCompacting?: boolean;
}

interface Change {
  main: number;
  sub: number;
  key: string;
  /** Undefined: a deletion. */
  value: Uint8Array | undefined;
  create: number;
  version: number;
  lease: bigint;
}

const MEMBER = 0xf00d_1234_5678_9abcn;
const LEASES = 400;
const FIRST_LEASE = 0x694d_71ad_0000_0001n;

/** The bytes of a sound database of etcd 3.6, without trailer. */
export function generateDatabase(random: Random, options: GeneratedOptions): Uint8Array {
  const history = makeHistory(random, options);
  const last = history.at(-1)!.main;
  const finished = Math.floor(last * 0.4);
  const scheduled = options.isCompacting ? Math.floor(last * 0.7) : finished;
  const rows = new Map<string, Array<[key: Uint8Array, value: Uint8Array]>>([
    ['key', compact(history, finished).map((change) => [revisionOf(change), valueOf(change)])],
    ['lease', leaseRows()],
    ['meta', metaRows(finished, scheduled)],
    ['cluster', [[text('clusterVersion'), text('3.6.0')]]],
    ['members', [[text(MEMBER.toString(16)), memberRow()]]],
    ['members_removed', [[text('abc123'), text('removed')]]],
    ['auth', [[text('authRevision'), encodeIndex(7)]]],
    [
      'authRoles',
      [
        [
          text('reader'),
          role.encode({
            name: text('reader'),
            keyPermission: [{ permType: 0, key: text('a'), rangeEnd: text('b') }],
          }),
        ],
      ],
    ],
    [
      'authUsers',
      [
        [
          text('root'),
          user.encode({
            name: text('root'),
            password: text('$2a$10$x'),
            roles: ['root'],
            options: { noPassword: false },
          }),
        ],
      ],
    ],
  ]);

  const chunks: Array<{ at: number; bytes: Uint8Array }> = [];
  const writer = new BulkWriter({ write: (bytes, at) => chunks.push({ at, bytes: bytes.slice() }) }, options);
  for (const name of BUCKETS) {
    writer.beginBucket(text(name));
    for (const [key, value] of rows.get(name) ?? []) writer.addPair(key, value);
    writer.endBucket();
  }
  const { sizeBytes, pageLimit } = writer.finish({ txid: 100n });
  const bytes = new Uint8Array(
    sizeBytes + (options.freePages > 0 ? (options.freePages + 1) * options.pageSize : 0),
  );
  for (const { at, bytes: chunk } of chunks) bytes.set(chunk, at);
  if (options.freePages > 0) storeFreelist(bytes, pageLimit, options, random);
  return bytes;
}

const text = (value: string): Uint8Array => Buffer.from(value, 'latin1');

/** `key-0007` with up to `keys` names; values of 0 bytes to three pages; some transactions make several changes. */
function makeHistory(random: Random, { keys, changes, pageSize }: GeneratedOptions): Change[] {
  const live = new Map<string, { create: number; version: number }>();
  const history: Change[] = [];
  for (let main = 2; main < changes + 2; main++) {
    const touched = new Set<string>();
    const count = random.chance(0.1) ? 1 + random.below(6) : 1;
    while (touched.size < count)
      touched.add(`/registry/things/key-${String(random.below(keys)).padStart(4, '0')}`);
    let sub = 0;
    for (const key of touched) {
      const state = live.get(key);
      const isDeletion = state !== undefined && random.chance(0.2);
      const create = state?.create ?? main;
      const version = (state?.version ?? 0) + 1;
      const size = random.chance(0.01) ? random.below(pageSize * 3) : random.below(200);
      const lease = random.chance(0.3) ? FIRST_LEASE + BigInt(random.below(LEASES)) : 0n;
      history.push({
        main,
        sub: sub++,
        key,
        create,
        version,
        lease,
        value: isDeletion ? undefined : random.bytes(size),
      });
      if (isDeletion) live.delete(key);
      else live.set(key, { create, version });
    }
  }
  return history;
}

/** Of each key the newest record up to `revision` stays, unless it is a tombstone below it; all later ones do. */
function compact(history: Change[], revision: number): Change[] {
  const newest = new Map<string, Change>();
  for (const change of history) if (change.main <= revision) newest.set(change.key, change);
  return history.filter((change) => {
    if (change.main > revision) return true;
    return newest.get(change.key) === change && (change.value !== undefined || change.main === revision);
  });
}

const revisionOf = ({ main, sub, value }: Change): Uint8Array =>
  encodeRevision(main, sub, value === undefined);

function valueOf({ main, key, value, create, version, lease }: Change): Uint8Array {
  if (value === undefined) return keyValue.encode({ key: text(key) });
  return keyValue.encode({
    key: text(key),
    createRevision: create,
    modRevision: main,
    version,
    value,
    lease,
  });
}

function leaseRows(): Array<[Uint8Array, Uint8Array]> {
  return Array.from({ length: LEASES }, (_, i) => {
    const id = FIRST_LEASE + BigInt(i);
    const key = Buffer.alloc(8);
    key.writeBigInt64BE(id);
    return [key, leaseMessage.encode({ id, ttl: 3600 + i, remainingTtl: i % 3 === 0 ? 100 + i : 0 })];
  });
}

function metaRows(finished: number, scheduled: number): Array<[Uint8Array, Uint8Array]> {
  return [
    [text('confState'), text(`{"voters":[${MEMBER}],"auto_leave":false}`)],
    [text('consistent_index'), encodeIndex(900)],
    [text('finishedCompactRev'), encodeRevision(finished, 0)],
    [text('scheduledCompactRev'), encodeRevision(scheduled, 0)],
    [text('storageVersion'), text('3.6.0')],
    [text('term'), encodeIndex(3)],
  ];
}

function memberRow(): Uint8Array {
  return encodeMember({
    id: MEMBER,
    peerUrls: ['http://10.0.0.1:2380'],
    isLearner: false,
    name: 'one',
    clientUrls: ['http://10.0.0.1:2379'],
  });
}

/** Free pages with old content behind the tree, then the page that lists them; both metas are told. */
function storeFreelist(
  bytes: Uint8Array,
  pageLimit: number,
  { pageSize, freePages }: GeneratedOptions,
  random: Random,
): void {
  const view = new DataView(bytes.buffer);
  const freelist = pageLimit + freePages;
  const at = freelist * pageSize;
  bytes.set(random.bytes(freePages * 64), pageLimit * pageSize);
  view.setBigUint64(at, BigInt(freelist), true);
  view.setUint16(at + 8, 0x10, true);
  view.setUint16(at + 10, freePages, true);
  for (let i = 0; i < freePages; i++) view.setBigUint64(at + 16 + 8 * i, BigInt(pageLimit + i), true);
  for (const page of [0, 1]) {
    const root = Number(view.getBigUint64(page * pageSize + 32, true));
    const txid = view.getBigUint64(page * pageSize + 64, true);
    bytes.set(
      encodeMetaPage({ page, pageSize, root, sequence: 0n, freelist, pageLimit: freelist + 1, txid }),
      page * pageSize,
    );
  }
}
