import assert from 'node:assert/strict';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { confChange } from '../../../src/format/proto/raftpb.ts';
import { internalRaftRequest } from '../../../src/format/proto/rpcpb.ts';
import { v2Request } from '../../../src/format/proto/v2pb.ts';
import { readSchema } from '../../../src/ops/upkeep/migrate-member.ts';
import { parseTarget } from '../../../src/ops/upkeep/migrate-plan.ts';
import { unpacked } from '../../support/fixtures.ts';
import { appendTo, copyFixture, copyMember, editRows, endOf } from '../../support/member-copy.ts';
import { databaseOf, membersIn, obstaclesIn, recorder, runMigrate as run } from '../../support/migration.ts';
import { scratch } from '../../support/scratch.ts';

const BLOCKED = 'migrate.blocked';

const entry = (index: number, request: Parameters<typeof internalRaftRequest.encode>[0]) => ({
  type: 0,
  term: 2,
  index,
  data: internalRaftRequest.encode({ header: { id: 1n }, ...request }),
});

function tail(t: TestContext, version: string): string {
  return copyMember(scratch(t), unpacked(`tail/tail-before-${version}.tar.gz`, `tail-${version}/member`));
}

test('targets that are none', () => {
  const refused = (text: string, message: string): void =>
    assert.throws(() => parseTarget(text), { code: 'usage.arguments', message });
  refused('3.6.1', 'wrong target version format, expected "X.Y", got "3.6.1"');
  refused('3', 'wrong target version format, expected "X.Y", got "3"');
  refused('3.x', 'failed to parse target version: strconv.ParseInt: parsing "x": invalid syntax');
  refused('3.4', 'target version "3.4" not supported. Minimal "3.5"');
  refused('2.9', 'target version "2.9" not supported. Minimal "3.5"');
});

test('a downgrade that is enabled: in the way of others than its target', async (t) => {
  const folder = scratch(t);
  const enabled = (version: string): string => `{"target-version":"${version}.0","enabled":true}`;
  const dataDir = copyFixture(folder, '3.5');
  await editRows(dataDir, 'cluster', { downgrade: enabled('3.4') });
  await assert.rejects(run(dataDir, '3.5'), { code: BLOCKED, message: /a downgrade to 3\.4\.0 is enabled/ });
  const report = await run(dataDir, '3.5', { fixClusterVersion: true });
  assert.match(report.fixes.join(), /downgrade to 3\.4\.0 cancelled/);
  assert.deepEqual(readSchema(databaseOf(dataDir)).downgrade, { targetVersion: '', isEnabled: false });

  // 3.5 starts in a cluster of any version while it is what the downgrade is to.
  const ready = copyFixture(folder, '3.6', 'ready');
  await editRows(ready, 'cluster', { downgrade: enabled('3.5') });
  assert.match((await run(ready, '3.5')).notes.join(), /a downgrade to 3\.5\.0 is enabled/);
});

test('an entry for a newer server, in the words of etcdutl', async (t) => {
  const folder = scratch(t);
  const dataDir = copyFixture(folder, '3.7');
  const last = readSchema(databaseOf(dataDir)).consistentIndex!;
  appendTo(dataDir, (writer) => writer.entry(entry(last + 1, { downgradeVersionTest: { ver: '3.7.0' } })));
  const upstream =
    'cannot downgrade storage, WAL contains newer entries, as the target version (3.6.0) is lower than the version (3.7.0) detected from WAL logs';
  for (const fixClusterVersion of [false, true]) {
    await assert.rejects(run(dataDir, '3.6', { fixClusterVersion }), {
      code: BLOCKED,
      message: upstream,
      hint: /SIGTERM/,
    });
  }
  const { log, lines } = recorder();
  await run(dataDir, '3.6', { force: true }, log);
  assert.match(
    lines.join('\n'),
    /normal migrate failed, trying with force .*\n[^]*forcefully set storage version/,
  );
});

test('a version entry that the database has not seen cannot be put behind', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  const last = readSchema(databaseOf(dataDir)).consistentIndex!;
  appendTo(dataDir, (writer) => writer.entry(entry(last + 1, { clusterVersionSet: { ver: '3.6.0' } })));
  await assert.rejects(run(dataDir, '3.5', { fixClusterVersion: true }), {
    code: BLOCKED,
    message: new RegExp(`in entry ${last + 1} of the log`),
    hint: /start the etcd that wrote it once/,
  });
});

test('a commit index that lags is raised before the record', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.7');
  const applied = readSchema(databaseOf(dataDir)).consistentIndex!;
  appendTo(dataDir, (writer) => writer.state({ term: 2, vote: 0n, commit: applied - 2 }));
  const report = await run(dataDir, '3.5', { fixClusterVersion: true });
  assert.match(report.fixes.join('\n'), new RegExp(`commit index ${applied - 2} → ${applied} in the log`));
  assert.deepEqual(await obstaclesIn(dataDir, '3.5'), []);
});

test('a database that does not fit the log', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.7');
  const term = Buffer.alloc(8);
  term.writeBigUInt64BE(9n);
  await editRows(dataDir, 'meta', { term });
  await assert.rejects(run(dataDir, '3.5', { fixClusterVersion: true }), {
    code: 'log.tail',
    message: /of term 9 last, but in the log it is of term 2/,
  });
  term.writeBigUInt64BE(999n);
  await editRows(dataDir, 'meta', { consistent_index: term });
  await assert.rejects(run(dataDir, '3.5', { fixClusterVersion: true }), {
    code: BLOCKED,
    message: /does not hold entry 999/,
  });
});

test('v2 requests in the way of 3.7, and entries still to be applied', async (t) => {
  const dataDir = tail(t, '3.5');
  await assert.rejects(run(dataDir, '3.7'), {
    code: BLOCKED,
    message: /v2 requests up to entry 4.* begins to read behind entry 0/,
  });
  const before = endOf(join(dataDir, 'member', 'wal'));
  await run(dataDir, '3.7', { fixClusterVersion: true });
  const { state, log } = await membersIn(dataDir);
  assert.deepEqual(
    [state.records.at(-1)?.index, state.lastIndex, log.nodeId],
    [17, 61, state.schema.members[0]!.id],
  );
  assert.ok(log.end.offset > before.offset);
});

test('v2 data is left behind only when that is asked for', async (t) => {
  const folder = scratch(t);
  const dataDir = copyFixture(folder, '3.5');
  const { consistentIndex, term } = readSchema(databaseOf(dataDir));
  const custom = v2Request.encode({ id: 5n, method: 'PUT', path: '/1/foo', val: 'bar' }, { zeros: 'write' });
  appendTo(dataDir, (writer) => {
    writer.entry({ type: 0, term: term!, index: consistentIndex! + 1, data: custom });
    writer.state({ term: term!, vote: 0n, commit: consistentIndex! + 1 });
  });
  const index = Buffer.alloc(8);
  index.writeBigUInt64BE(BigInt(consistentIndex! + 1));
  await editRows(dataDir, 'meta', { consistent_index: index });
  for (const [to, fixClusterVersion] of [
    ['3.6', false],
    ['3.6', true],
    ['3.7', true],
  ] as const) {
    await assert.rejects(run(dataDir, to, { fixClusterVersion }), {
      code: BLOCKED,
      message: /requests of the v2 API \(PUT \/1\/foo\)/,
      hint: /--force/,
    });
  }
  assert.deepEqual((await run(dataDir, '3.5')).found, []);
  await run(dataDir, '3.6', { fixClusterVersion: true, force: true });
  assert.deepEqual(await obstaclesIn(dataDir, '3.6'), []);
});

test('members that the database does not know right are corrected for 3.6 and later', async (t) => {
  const folder = scratch(t);
  const dataDir = copyFixture(folder, '3.5');
  const { members, consistentIndex } = readSchema(databaseOf(dataDir));
  const own = members[0]!;
  const json = (id: bigint, more: object): string => `{"id":${id},${JSON.stringify(more).slice(1)}`;
  await editRows(dataDir, 'members', {
    [own.id.toString(16)]: json(own.id, {
      peerURLs: own.peerUrls,
      isLearner: true,
      name: own.name,
      clientURLs: own.clientUrls,
    }),
    ff: json(255n, { peerURLs: ['http://127.0.0.1:9'] }),
  });
  await assert.rejects(run(dataDir, '3.6'), {
    code: BLOCKED,
    message: /is a voter, ff is no member any more/,
  });
  assert.deepEqual((await run(dataDir, '3.5')).found, []);
  await run(dataDir, '3.7', { fixClusterVersion: true });
  const after = readSchema(databaseOf(dataDir));
  assert.deepEqual([after.members, after.consistentIndex], [members, consistentIndex]);
});

test('a member that was removed is not written into a snapshot', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.7');
  const { members, consistentIndex } = readSchema(databaseOf(dataDir));
  await editRows(dataDir, 'members', { [members[0]!.id.toString(16)]: undefined });
  appendTo(dataDir, (writer) =>
    writer.entry({
      type: 1,
      term: 2,
      index: consistentIndex! + 1,
      data: confChange.encode({ type: 1, nodeId: 1n }),
    }),
  );
  await assert.rejects(run(dataDir, '3.5', { fixClusterVersion: true }), {
    code: BLOCKED,
    message: /which the cluster does not list/,
  });
});
