import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { crc32c } from '../../../src/bytes/crc32c.ts';
import { realDisk } from '../../../src/bytes/disk.ts';
import { Pacer } from '../../../src/bytes/pacer.ts';
import { CorruptError, ToolError, UsageError } from '../../../src/errors.ts';
import type { BoltFile } from '../../../src/format/bolt/file.ts';
import { BoltBackend } from '../../../src/store/backend/bolt.ts';
import { hashAtRevision, hashKv, type RevisionHash } from '../../../src/store/mvcc/hash.ts';
import { KeyValues } from '../../../src/store/mvcc/key-values.ts';
import { openDatabase } from '../../../src/store/database.ts';
import { unpackSparsely } from '../../check/directories.ts';
import { fixture, readFixture, VERSIONS } from '../../support/fixtures.ts';
import { scratch } from '../../support/scratch.ts';
import {
  buildDatabase,
  bump,
  compactedAt,
  deletion,
  openBytes,
  type Pair,
  put,
  text,
} from '../database-builder.ts';
import { histories, type History, type HistoryRecord, play } from './histories.ts';

async function hashAt(bolt: BoltFile, revision: number): Promise<RevisionHash> {
  const openLeaves = (): ReturnType<BoltFile['leaves']> =>
    bolt.leaves(bolt.bucket('key')!, { direction: 'backward' });
  // Claims are not the matter here: the bucket is walked more than once.
  bolt.claims.claim = () => undefined;
  return hashAtRevision(openLeaves, bolt, { revision, pacer: new Pacer() });
}

async function hashOfFile(path: string, revision: number): Promise<RevisionHash> {
  const database = openDatabase(path);
  try {
    return await hashAt(database.bolt, revision);
  } finally {
    database.close();
  }
}

describe('hashes that etcd and etcdutl gave', () => {
  for (const version of VERSIONS) {
    const lines = readFixture(`expected/hashkv-snap-${version}-by-rev.txt`).toString().trim().split('\n');
    test(`snap-${version} at ${lines.length} revisions`, async () => {
      for (const line of lines) {
        const [revision, json] = line.split(/ (?=\{)/);
        const found = await hashOfFile(fixture(`snap/snap-${version}.db`), Number(revision));
        assert.deepEqual(found, JSON.parse(json!), `revision ${revision}`);
      }
      const newest = JSON.parse(
        readFixture(`expected/hashkv-snap-${version}-by-etcdutl-3.7.json`).toString(),
      );
      assert.deepEqual(await hashOfFile(fixture(`snap/snap-${version}.db`), 0), newest);
    });
  }

  test('a bumped database, whose compaction is pending', async () => {
    const directory = unpackSparsely('restore/restored-bump1000-by-3.6.tar.gz');
    const found = await hashOfFile(`${directory}/member/snap/db`, 0);
    assert.deepEqual(found, { hash: 1416159962, hashRevision: 1019, compactRevision: 1019 });
  });

  test('an empty store', async () => {
    const expected = { hash: 1084519789, hashRevision: 1, compactRevision: -1 };
    assert.deepEqual(await hashAt(openBytes(buildDatabase()), 0), expected);
    assert.deepEqual(await hashAt(openBytes(buildDatabase()), 1), expected);
  });
});

/** One key of etcd's index: generations of revisions, the last of which may be empty. */
type KeyIndex = HistoryRecord[][];

/** key_index.go and hash.go of etcd 3.6, word for word where they decide anything. */
function referenceHash(records: readonly HistoryRecord[], compactRevision: number, revision: number): number {
  const index = new Map<string, KeyIndex>();
  for (const record of records) {
    const generations = index.get(record.key);
    if (!generations) index.set(record.key, record.isTombstone ? [[record], []] : [[record]]);
    else if (!record.isTombstone) generations.at(-1)!.push(record);
    else if (generations.at(-1)!.length > 0) {
      generations.at(-1)!.push(record);
      generations.push([]);
    }
  }
  const kept = new Set<HistoryRecord>();
  for (const generations of index.values()) {
    let at = 0;
    while (at < generations.length - 1 && generations[at]!.at(-1)!.main < revision) at++;
    const found = generations[at]!.findLast((record) => record.main <= revision);
    const isClosing = found === generations[at]!.at(-1) && at !== generations.length - 1;
    if (found && !isClosing) kept.add(found);
  }
  let hash = crc32c(text('key'));
  for (const record of records) {
    if (record.main > revision) continue;
    if (record.main <= compactRevision && kept.size > 0 && !kept.has(record)) continue;
    if (record.main === compactRevision && record.isTombstone) continue;
    hash = crc32c(record.pair[1], crc32c(record.pair[0], hash));
  }
  return hash;
}

/** Compares at every revision that is held. */
async function assertLikeReference(history: History): Promise<void> {
  const { records, scheduled, finished, revision: current } = play(history);
  const meta = compactedAt({ ...(scheduled ? { scheduled } : {}), ...(finished ? { finished } : {}) });
  const bolt = openBytes(
    buildDatabase({ records: records.map(({ pair }) => pair), buckets: { meta }, pageSize: 1024 }),
  );
  const compactRevision = Math.max(scheduled ?? -1, finished ?? -1);
  for (let revision = Math.max(compactRevision, 1); revision <= current; revision++) {
    const hash = referenceHash(records, compactRevision, revision);
    const found = await hashAt(bolt, revision);
    assert.deepEqual(found, { hash, hashRevision: revision, compactRevision }, `at revision ${revision}`);
  }
  assert.equal((await hashAt(bolt, 0)).hashRevision, Math.max(current, compactRevision));
  await assert.rejects(hashAt(bolt, current + 1), { code: 'mvcc.future' });
}

describe('hashes as etcd computes them', () => {
  const change = (key: string): { key: string; isDeletion: boolean } => ({
    key,
    isDeletion: key.endsWith('-'),
  });
  /** `a b-`: puts a and deletes b in one transaction; `<2`: compacts two revisions back, `<<0` as old servers do. */
  const steps = (script: string): History['steps'] =>
    script.split('; ').map((step) => {
      const compaction = /^(<<?)(\d+)$/.exec(step);
      if (compaction)
        return { kind: 'compaction', isOld: compaction[1] === '<<', back: Number(compaction[2]) };
      return {
        kind: 'transaction',
        changes: step.split(' ').map((word) => ({ ...change(word), key: word.replace('-', '') })),
      };
    });

  const cases: Array<[what: string, script: string, pending?: History['pending']]> = [
    ['puts alone', 'a; b; a'],
    ['several changes in one revision', 'a b c; a- b; c a'],
    ['put and deleted in one revision', 'a; b; a a-; b'],
    ['deleted and put in one revision', 'a; a- a; b; <0; a'],
    ['deleted and put again at the compacted revision', 'a; b; a- a; <0; b'],
    ['deletion at the compacted revision', 'a; b; a-; <0; b'],
    ['the same by an old server', 'a; b; a-; <<0; b'],
    ['all deleted, nothing kept', 'a; a-; <0; b; b-'],
    ['nothing left but a tombstone', 'a; a-; <0'],
    ['compacted twice', 'a; b; a; <1; a-; a; <0; b'],
    ['the example of upstream', 'a; a; a-; b; b-; a; <2; a'],
    ['pending, nothing deleted', 'a; b; a; a-; b', { back: 1, deletedCount: 0 }],
    ['pending, half done', 'a; b; a; a; b; a-; b', { back: 1, deletedCount: 2 }],
    ['pending after a finished one', 'a; b; a; <1; a; b; a', { back: 0, deletedCount: 1 }],
  ];
  for (const [what, script, pending] of cases) {
    test(what, () => assertLikeReference({ steps: steps(script), pending }));
  }

  test('for any history', async () => {
    await fc.assert(fc.asyncProperty(histories({ isStrict: false }), assertLikeReference), { numRuns: 400 });
  });
});

describe('refuses', () => {
  const bolt = (records: Pair[], marks = {}): BoltFile =>
    openBytes(buildDatabase({ records, buckets: { meta: compactedAt(marks) } }));
  const three = [put(2, 'a'), put(3, 'b'), put(4, 'c')];

  test('a compacted revision, in upstream words too', async () => {
    await assert.rejects(hashAt(bolt(three, { scheduled: 3, finished: 3 }), 2), (error: unknown) => {
      assert.ok(error instanceof ToolError && !(error instanceof CorruptError));
      assert.deepEqual(
        [error.code, error.upstream, error.hint],
        ['mvcc.compacted', 'mvcc: required revision has been compacted', '--rev 3 or higher'],
      );
      return true;
    });
  });

  test('one in the future, in upstream words too', async () => {
    await assert.rejects(hashAt(bolt(three), 5), (error: unknown) => {
      assert.ok(error instanceof ToolError && !(error instanceof CorruptError));
      assert.deepEqual(
        [error.code, error.upstream, error.hint],
        ['mvcc.future', 'mvcc: required revision is a future revision', '--rev 4 or lower'],
      );
      return true;
    });
  });

  test('a negative one', () => assert.rejects(hashAt(bolt(three), -1), UsageError));

  const damaged: Array<[what: string, record: Pair, message: RegExp]> = [
    ['a malformed revision', [text('not a revision key'), text('')], /no "_"/],
    ['a malformed value', [put(5, 'd')[0], text('\x0a\xff')], /the length of field 1/],
  ];
  for (const [what, record, message] of damaged) {
    test(what, async () => {
      await assert.rejects(hashAt(bolt([...three, record]), 0), (error: unknown) => {
        assert.ok(error instanceof CorruptError);
        assert.match(error.message, message);
        assert.match(error.where?.unit ?? '', /^page \d+$/);
        return true;
      });
    });
  }
});

test('the revision is that of a pending compaction when no record reaches it', async () => {
  const records = [put(2, 'a'), deletion(3, 'a'), bump(1003)];
  const bolt = openBytes(buildDatabase({ records, buckets: { meta: compactedAt({ scheduled: 2000 }) } }));
  const { hashRevision, compactRevision } = await hashAt(bolt, 0);
  assert.deepEqual([hashRevision, compactRevision], [2000, 2000]);
});

test('a live store is hashed as the file that holds the same records, also while it is compacted', async (t) => {
  const backend = await BoltBackend.open(realDisk(), join(scratch(t), 'db'), { isNew: true });
  const keys = new KeyValues(backend);
  const put1 = (i: number): void =>
    keys.change((change) => change.put(text(`k${i % 700}`), text(`v${i}`), 0n));
  for (let i = 0; i < 3000; i++) put1(i);
  await backend.commit();
  const compaction = keys.compact(2900);
  compaction.step();
  compaction.step();
  const view = await backend.openView();
  const atCompacted = await hashKv(view.source, { revision: 2900, pacer: new Pacer() });
  for (let i = 0; i < 50; i++) put1(i);
  compaction.finish();
  const later = await backend.openView();
  assert.deepEqual([atCompacted.hashRevision, atCompacted.compactRevision], [2900, 2900]);
  assert.deepEqual(await hashKv(later.source, { revision: 2900, pacer: new Pacer() }), atCompacted);
  const records = [...backend.scan('key')].map(({ key, value }): Pair => [key.slice(), value.slice()]);
  const file = buildDatabase({
    records,
    buckets: { meta: compactedAt({ scheduled: 2900, finished: 2900 }) },
  });
  const newest = await hashKv(later.source, { revision: 0, pacer: new Pacer() });
  assert.deepEqual(newest, await hashAt(openBytes(file), 0));
  assert.equal(newest.hashRevision, 3051);
  view.close();
  later.close();
  await backend.close();
});
