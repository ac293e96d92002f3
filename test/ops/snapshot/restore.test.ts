import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { realDisk } from '../../../src/bytes/disk.ts';
import { openFile } from '../../../src/bytes/source.ts';
import { verify } from '../../../src/check/verify.ts';
import { plainContext } from '../../../src/ops/context.ts';
import {
  type RestoreOptions,
  type RestoreReport,
  restoreSnapshot,
} from '../../../src/ops/snapshot/restore.ts';
import { BulkWriter } from '../../../src/format/bolt/bulk.ts';
import { BoltFile } from '../../../src/format/bolt/file.ts';
import { editBolt } from '../../../src/format/bolt/tx.ts';
import { decodeSnapFile } from '../../../src/format/snap/file.ts';
import { encodeRevision } from '../../../src/store/mvcc/record.ts';
import { VERSIONS } from '../../../src/store/schema/buckets.ts';
import { differingRows, readDatabaseRows } from '../../support/database-rows.ts';
import { fixture, RESTORED, restoredMemberDir, unpacked } from '../../support/fixtures.ts';
import { scratch } from '../../support/scratch.ts';
import { unchanged } from '../../support/unchanged.ts';

const SNAPSHOT = fixture('snap/snap-3.6.db');
const URL_A = 'http://127.0.0.1:41101';
const CLUSTER = `a=${URL_A},b=http://127.0.0.1:41102,c=http://127.0.0.1:41103`;
const SEGMENT = '0000000000000000-0000000000000000.wal';

/** Member `a` of the cluster that the fixtures were restored for. */
function restoreA(
  dataDir: string,
  over: Partial<RestoreOptions> = {},
  path = SNAPSHOT,
): Promise<RestoreReport> {
  const target = { name: 'a', dataDir, peerUrls: URL_A };
  return restoreSnapshot(path, { target, initialCluster: CLUSTER, token: 'tokR', ...over }, plainContext());
}

const dbOf = (dataDir: string): string => join(dataDir, 'member/snap/db');
const segmentOf = (memberDir: string): Buffer => readFileSync(join(memberDir, 'wal', SEGMENT));

describe('as etcdutl restores', () => {
  for (const each of RESTORED) {
    test(`${each.archive}: the log byte for byte, the raft snapshot up to its order`, async (t) => {
      const dataDir = join(scratch(t), 'data');
      const isBumped = each.archive.includes('bump');
      const options: Partial<RestoreOptions> = isBumped
        ? {
            target: { name: 'solo', dataDir, peerUrls: 'http://127.0.0.1:41104' },
            initialCluster: 'solo=http://127.0.0.1:41104',
            token: 'tokS',
            bump: 1000,
          }
        : {};
      if (each.by === '3.4') options.initialCluster = CLUSTER.split(',').slice(0, 2).join(',');
      const path = fixture(each.by === '3.4' ? 'snap/snap-3.4.db' : 'snap/snap-3.6.db');
      await restoreA(dataDir, { targetVersion: each.by, ...options }, path);

      const upstream = restoredMemberDir(each);
      const ours = join(dataDir, 'member');
      assert.ok(segmentOf(ours).equals(segmentOf(upstream)), 'the logs differ');
      const names = readdirSync(join(ours, 'snap')).sort();
      assert.deepEqual(names, readdirSync(join(upstream, 'snap')).sort());
      compareSnaps(join(ours, 'snap', names[0]!), join(upstream, 'snap', names[0]!), each.by);
    });
  }

  test('the database differs in what etcdutl leaves stale, and in nothing else', async (t) => {
    for (const { archive, inner } of RESTORED.filter(({ by }) => by === '3.6')) {
      const dataDir = join(scratch(t), 'data');
      const isBumped = archive.includes('bump');
      const solo = {
        target: { name: 'solo', dataDir, peerUrls: 'http://127.0.0.1:41104' },
        initialCluster: 'solo=http://127.0.0.1:41104',
        token: 'tokS',
        bump: 1000,
      };
      await restoreA(dataDir, isBumped ? solo : {});
      const upstream = readDatabaseRows(join(restoredMemberDir({ archive, inner }), 'snap/db'));
      assert.deepEqual(differingRows(upstream, readDatabaseRows(dbOf(dataDir))), ['meta/confState']);
    }
  });
});

/** 3.4 and 3.5 write members in order; from 3.6 on the order is that of a Go map. */
function compareSnaps(ours: string, theirs: string, by: string): void {
  const [a, b] = [readFileSync(ours), readFileSync(theirs)];
  if (by === '3.4' || by === '3.5') assert.ok(a.equals(b), 'the raft snapshots differ');
  const [first, second] = [decodeSnapFile(a), decodeSnapFile(b)];
  assert.deepEqual(first.metadata, second.metadata);
  assert.deepEqual(unordered(first.data!), unordered(second.data!));
}

function unordered(data: Uint8Array): unknown {
  const store = JSON.parse(Buffer.from(data).toString()) as {
    WatcherHub: { EventHistory: { Queue: { Events: unknown[] } } };
  };
  const text = JSON.stringify(store, (name, value: unknown) =>
    /index$/i.test(name) && name !== 'CurrentIndex' ? 0 : value,
  );
  const sortable = JSON.parse(text) as typeof store;
  const { Queue } = sortable.WatcherHub.EventHistory;
  Queue.Events = Queue.Events.map((event) => JSON.stringify(event)).sort();
  return sortable;
}

describe('target versions', () => {
  for (const from of VERSIONS) {
    for (const to of VERSIONS) {
      test(`${from} to ${to}: schema, cluster version and membership are those of ${to}`, async (t) => {
        const dataDir = join(scratch(t), 'data');
        const path = fixture(`snap/snap-${from}.db`);
        const before = readDatabaseRows(path);
        const report = await unchanged(path, () => restoreA(dataDir, { targetVersion: to }, path));
        assert.equal(report.snapshotVersion, from);

        const rows = readDatabaseRows(dbOf(dataDir));
        const has35 = to !== '3.4';
        assert.equal(rows.get('meta/term'), has35 ? '\0\0\0\0\0\0\0\x01' : undefined);
        assert.equal(
          rows.get('meta/confState'),
          has35
            ? '{"voters":[6952074462267200946,11914459355560607771,17833300081366278347],"auto_leave":false}'
            : undefined,
        );
        assert.equal(rows.get('meta/storageVersion'), to === '3.6' || to === '3.7' ? `${to}.0` : undefined);
        assert.equal(rows.get('meta/consistent_index'), '\0\0\0\0\0\0\0\x03');
        assert.equal(rows.get('cluster/clusterVersion'), `${to}.0`);
        const untouched = differingRows(before, rows).filter(
          (name) => !/^(meta|members|cluster)\//.test(name),
        );
        assert.deepEqual(untouched, []);
        assert.equal([...rows.keys()].filter((name) => name.startsWith('members/')).length, 3);
        const { verdict, findings } = await verify(dataDir);
        assert.ok(verdict === 'GOOD' || verdict === 'GOOD with notes', JSON.stringify(findings));
      });
    }
  }

  test('alarms survive, and a downgrade that reached its target is not worth a word', async (t) => {
    const dir = scratch(t);
    const old = unpacked('datadir/misc-alarm-downgrade-promote-3.6.tar.gz');
    const path = join(old, readdirSync(old)[0]!, 'member/snap/db');
    const same = await restoreA(join(dir, 'same'), { isHashSkipped: true }, path);
    const higher = await restoreA(join(dir, 'higher'), { isHashSkipped: true, targetVersion: '3.6' }, path);
    assert.equal(same.targetVersion, '3.5');
    for (const report of [same, higher]) {
      const notes = report.notes.join('\n');
      assert.match(notes, /alarm NOSPACE of old member \w+ stays active/);
      assert.match(notes, /no SHA-256/);
      assert.doesNotMatch(notes, /downgrade/);
    }
    const [before, after] = [readDatabaseRows(path), readDatabaseRows(dbOf(join(dir, 'higher')))];
    assert.match(before.get('cluster/downgrade')!, /"enabled":true/);
    assert.equal(after.get('cluster/downgrade'), undefined);
    assert.equal(after.get('cluster/clusterVersion'), '3.6.0');
  });

  test('a downgrade that is under way goes on, unless the result is for its target', async (t) => {
    const dir = scratch(t);
    const path = join(dir, 'downgrading.db');
    writeFileSync(path, readFileSync(SNAPSHOT).subarray(0, -32));
    await editBolt(realDisk(), path, (tx) => {
      const row = Buffer.from('{"target-version":"3.5.0","enabled":true}');
      tx.ensureBucket(Buffer.from('cluster')).put(Buffer.from('downgrade'), row);
    });
    const same = await restoreA(join(dir, 'same'), { isHashSkipped: true }, path);
    const lower = await restoreA(join(dir, 'lower'), { isHashSkipped: true, targetVersion: '3.5' }, path);
    assert.match(same.notes.join('\n'), /downgrade that was enabled .* goes on/);
    assert.doesNotMatch(lower.notes.join('\n'), /downgrade/);
    assert.equal(readDatabaseRows(dbOf(join(dir, 'lower'))).get('cluster/downgrade'), undefined);
  });
});

describe('layouts', () => {
  for (const version of VERSIONS) {
    test(`${version}: page for page gives the same rows as packing`, async (t) => {
      const dir = scratch(t);
      const path = fixture(`snap/snap-${version}.db`);
      const other = version === '3.7' ? '3.6' : '3.7';
      const [packedReport, preservedReport, quickReport] = await Promise.all(
        (['packed', 'preserved', 'quick'] as const).map((layout) =>
          restoreA(join(dir, layout), { layout, targetVersion: other, bump: 500 }, path),
        ),
      );
      const packed = readDatabaseRows(dbOf(join(dir, 'packed')));
      for (const layout of ['preserved', 'quick']) {
        assert.deepEqual(differingRows(packed, readDatabaseRows(dbOf(join(dir, layout)))), [], layout);
        const { verdict, findings } = await verify(join(dir, layout));
        assert.match(verdict, /^GOOD/, JSON.stringify(findings));
      }
      assert.equal(packedReport!.hash, preservedReport!.hash);
      assert.equal(quickReport!.hash, undefined);
      assert.ok(statSync(dbOf(join(dir, 'packed'))).size <= statSync(dbOf(join(dir, 'preserved'))).size);
    });
  }
});

/** The snapshot with pages of another size. */
async function repaged(path: string, pageSize: number): Promise<void> {
  const source = openFile(SNAPSHOT);
  const parts: Uint8Array[] = [];
  const writer = new BulkWriter({ write: (bytes, at) => void (parts[at] = bytes.slice()) }, { pageSize });
  const bolt = new BoltFile(source);
  for (const bucket of bolt.buckets()) {
    writer.beginBucket(bucket.name);
    const leaves = bolt.leaves(bucket);
    for (let leaf = leaves.next(); leaf; leaf = leaves.next()) {
      for (let i = 0; i < leaf.count; i++) writer.addPair(leaf.key(i), leaf.value(i));
    }
    writer.endBucket();
  }
  const file = Buffer.alloc(writer.finish({ txid: 7n }).sizeBytes);
  parts.forEach((bytes, at) => file.set(bytes, at));
  source.close();
  writeFileSync(path, file);
}

for (const pageSize of [1024, 16_384, 65_536]) {
  test(`pages of ${pageSize} bytes stay what they are`, async (t) => {
    const dir = scratch(t);
    const path = join(dir, 'paged.db');
    await repaged(path, pageSize);
    const expected = join(dir, 'expected');
    await restoreA(expected);
    for (const layout of ['packed', 'preserved', 'quick'] as const) {
      const dataDir = join(dir, layout);
      await restoreA(dataDir, { layout, isHashSkipped: true }, path);
      assert.deepEqual(differingRows(readDatabaseRows(dbOf(expected)), readDatabaseRows(dbOf(dataDir))), []);
      assert.equal(readFileSync(dbOf(dataDir)).readUInt32LE(24), pageSize);
    }
  });
}

describe('members', () => {
  test('every member in one run: the same database, and a log of its own', async (t) => {
    const out = join(scratch(t), 'not/yet/there');
    const report = await restoreA('', { target: { allMembers: out } });
    assert.deepEqual(readdirSync(out).sort(), ['a.etcd', 'b.etcd', 'c.etcd']);
    const alone = join(scratch(t), 'alone');
    await restoreA(alone);
    for (const { name, dataDir } of report.members) {
      assert.equal(dataDir, join(out, `${name}.etcd`));
      assert.ok(readFileSync(dbOf(dataDir)).equals(readFileSync(dbOf(alone))));
      assert.match((await verify(dataDir)).verdict, /^GOOD$/);
    }
    assert.ok(segmentOf(join(out, 'a.etcd/member')).equals(segmentOf(join(alone, 'member'))));
    const logs = report.members.map(({ dataDir }) =>
      segmentOf(join(dataDir!, 'member')).toString('latin1', 0, 64),
    );
    assert.equal(new Set(logs).size, 3);
  });

  test('a learner joins as one, also when it is the local member', async (t) => {
    const dataDir = join(scratch(t), 'data');
    const report = await restoreA(dataDir, { learners: ['a'] });
    assert.deepEqual(
      report.members.map(({ name, isLearner }) => [name, isLearner]),
      [
        ['a', true],
        ['c', false],
        ['b', false],
      ],
    );
    const rows = readDatabaseRows(dbOf(dataDir));
    assert.match(rows.get('members/607abae3c78055b2')!, /"isLearner":true/);
    assert.match(rows.get('meta/confState')!, /"voters":\[\d+,\d+\],"learners":\[6952074462267200946\]/);
    assert.match((await verify(dataDir)).verdict, /^GOOD$/);
  });

  test('more learners than etcd starts with are pointed out', async (t) => {
    const report = await restoreA(join(scratch(t), 'data'), { learners: ['a', 'b'] });
    assert.match(report.notes.join(), /--max-learners 2/);
  });

  test('names that cannot be directories are refused', async (t) => {
    for (const name of ['../x', '.hidden']) {
      const initialCluster = `${name}=http://127.0.0.1:1`;
      const target = { allMembers: scratch(t) };
      await assert.rejects(restoreA('', { target, initialCluster }), /cannot give its name to a directory/);
    }
  });

  test('what was there before is gone, and named', async (t) => {
    const report = await restoreA(join(scratch(t), 'data'));
    assert.deepEqual(
      report.trimmedMembers.map(({ name }) => name),
      ['m3.6'],
    );
  });
});

describe('a dry run', () => {
  test('writes nothing, and says what would come out', async (t) => {
    const dir = scratch(t);
    const dry = await restoreA(join(dir, 'data'), { isDryRun: true });
    assert.deepEqual(readdirSync(dir), []);
    const real = await restoreA(join(dir, 'data'));
    const keys = ['databaseBytes', 'hash', 'recordCount', 'clusterId', 'members'] as const;
    for (const key of keys) assert.deepEqual(dry[key], real[key], key);
    assert.equal(statSync(dbOf(join(dir, 'data'))).size, dry.databaseBytes);
    assert.equal(dry.space.length, 1);
    assert.equal(dry.space[0]!.neededBytes, dry.databaseBytes + 64_000_000);
  });

  test('finds what would stop the real one', async (t) => {
    const dir = scratch(t);
    const bytes = readFileSync(SNAPSHOT);
    const revision = Buffer.from(encodeRevision(19, 0));
    for (let at = bytes.indexOf(revision); at >= 0; at = bytes.indexOf(revision)) bytes[at + 7]! += 1;
    writeFileSync(join(dir, 'bad.db'), bytes);
    for (const isHashSkipped of [false, true]) {
      await assert.rejects(
        restoreA(join(dir, 'data'), { isDryRun: true, isHashSkipped }, join(dir, 'bad.db')),
      );
    }
    await assert.rejects(restoreA(dir, { isDryRun: true }), /not empty/);
  });
});

test('a raw database needs --skip-hash-check, and its preallocated end is left out', async (t) => {
  const dir = scratch(t);
  const upstream = join(restoredMemberDir(RESTORED[4]), 'snap/db');
  copyFileSync(upstream, join(dir, 'raw.db'));
  await assert.rejects(restoreA(join(dir, 'data'), {}, join(dir, 'raw.db')), {
    code: 'backup.digest-missing',
  });
  assert.ok(!existsSync(join(dir, 'data')));
  const report = await restoreA(
    join(dir, 'data'),
    { isHashSkipped: true, layout: 'preserved' },
    join(dir, 'raw.db'),
  );
  assert.ok(report.sourceBytes > 16e6 && report.databaseBytes < 100_000);
  assert.equal(report.digest, 'absent');
});
