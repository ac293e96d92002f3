import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { identityOf, writersOf } from '../../../src/bytes/openers.ts';
import { plainContext } from '../../../src/ops/context.ts';
import { migrate } from '../../../src/ops/upkeep/migrate.ts';
import { readSchema } from '../../../src/ops/upkeep/migrate-member.ts';
import { parseTarget } from '../../../src/ops/upkeep/migrate-plan.ts';
import { faultyDisk } from '../../support/faulty-disk.ts';
import { appendTo, copyFixture, endOf, treeOf } from '../../support/member-copy.ts';
import {
  databaseOf,
  hashOf,
  membersIn,
  obstaclesIn,
  pathsOf,
  recorder,
  runMigrate as run,
} from '../../support/migration.ts';
import { scratch } from '../../support/scratch.ts';

const BLOCKED = 'migrate.blocked';
const DOWN = [
  ['3.6', '3.5'],
  ['3.7', '3.6'],
  ['3.7', '3.5'],
] as const;
const UP = [
  ['3.5', '3.6'],
  ['3.5', '3.7'],
  ['3.6', '3.7'],
] as const;

for (const [from, to] of UP) {
  test(`${from} to ${to}: only the storage version changes`, async (t) => {
    const dataDir = copyFixture(scratch(t), from);
    const hash = await hashOf(dataDir);
    const before = treeOf(join(dataDir, 'member', 'wal'));
    const { log, lines } = recorder();
    const report = await run(dataDir, to, { fixClusterVersion: true }, log);
    assert.deepEqual([report.from, report.to, report.found, report.fixes], [from, to, [], []]);
    assert.deepEqual(
      lines,
      report.steps.map((step) => `updated storage version {"new-storage-version":"${step}"}`),
    );
    const schema = readSchema(databaseOf(dataDir));
    assert.deepEqual([schema.storageVersion, schema.clusterVersion], [`${to}.0`, `${from}.0`]);
    assert.equal(await hashOf(dataDir), hash);
    assert.deepEqual(treeOf(join(dataDir, 'member', 'wal')), before);
    assert.deepEqual(readdirSync(join(dataDir, 'member', 'snap')), [
      '0000000000000002-0000000000000015.snap',
      'db',
    ]);
  });
}

for (const [from, to] of DOWN) {
  test(`${from} to ${to}: refused without the fix, and nothing is touched`, async (t) => {
    const dataDir = copyFixture(scratch(t), from);
    const before = treeOf(dataDir);
    await assert.rejects(run(dataDir, to), {
      code: BLOCKED,
      message: /the cluster version is 3\.\d\.0 in/,
      hint: /--fix-cluster-version/,
    });
    assert.deepEqual(treeOf(dataDir), before);
  });

  test(`${from} to ${to}: the fix puts a snapshot at the last applied entry`, async (t) => {
    const dataDir = copyFixture(scratch(t), from);
    const hash = await hashOf(dataDir);
    const report = await run(dataDir, to, { fixClusterVersion: true });
    assert.equal(report.fixes.length, 2);
    const { state, log } = await membersIn(dataDir);
    const { storageVersion, clusterVersion, consistentIndex, term } = state.schema;
    assert.deepEqual([storageVersion, clusterVersion], [to === '3.5' ? undefined : `${to}.0`, `${to}.0`]);
    assert.deepEqual(
      [log.end.verdict, state.records.at(-1)?.index, state.snaps[0]?.index],
      ['preallocated', consistentIndex, consistentIndex],
    );
    assert.deepEqual([state.snaps[0]?.term, state.snaps[0]?.store?.clusterVersion], [term, `${to}.0`]);
    assert.deepEqual(state.snaps[0]?.store?.members, state.schema.members);
    assert.ok(state.commit >= consistentIndex!);
    assert.deepEqual(await obstaclesIn(dataDir, to), []);
    assert.equal(await hashOf(dataDir), hash);
    assert.deepEqual(readdirSync(join(dataDir, 'member', 'wal')), ['0000000000000000-0000000000000000.wal']);
  });
}

test('there and back again, each time with what the version needs', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.7');
  const hash = await hashOf(dataDir);
  for (const to of ['3.5', '3.7', '3.6', '3.5', '3.6']) {
    await run(dataDir, to, { fixClusterVersion: true });
    assert.deepEqual(await obstaclesIn(dataDir, to), []);
    assert.equal(await hashOf(dataDir), hash);
  }
});

test('what is right already stays as it is', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  const before = treeOf(dataDir);
  const { log, lines } = recorder();
  const report = await run(dataDir, '3.6', { fixClusterVersion: true }, log);
  assert.deepEqual([report.steps, report.fixes], [[], []]);
  assert.deepEqual(lines, ['storage version up-to-date {"storage-version":"3.6"}']);
  rmSync(join(dataDir, 'member', 'wal'), { recursive: true });
  assert.match((await run(dataDir, '3.6')).notes.join(), /there is no log/);
  assert.equal(treeOf(dataDir)['member/snap/db'], before['member/snap/db']);
});

test('a dry run refuses or promises the same, and writes nothing', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  chmodSync(databaseOf(dataDir), 0o400);
  const before = treeOf(dataDir);
  await assert.rejects(run(dataDir, '3.5', { isDryRun: true }), { code: BLOCKED });
  const promised = await run(dataDir, '3.5', { isDryRun: true, fixClusterVersion: true });
  await run(dataDir, '3.7', { isDryRun: true });
  assert.deepEqual(treeOf(dataDir), before);
  chmodSync(databaseOf(dataDir), 0o600);
  const done = await run(dataDir, '3.5', { fixClusterVersion: true });
  assert.deepEqual({ ...promised, isDryRun: false, tookMs: 0 }, { ...done, tookMs: 0 });
});

test('inputs that cannot be migrated', async (t) => {
  const folder = scratch(t);
  await assert.rejects(run(join(folder, 'nothing'), '3.6'), {
    code: 'io.not-found',
    message: /^stat .*member\/snap\/db: no such file or directory$/,
  });
  const old = copyFixture(folder, '3.4', 'old');
  await assert.rejects(run(old, '3.6', { force: true }), {
    code: 'migrate.unsupported',
    upstream: 'missing term information',
  });
  const dataDir = copyFixture(folder, '3.7');
  await assert.rejects(run(dataDir, '3.8'), {
    code: 'migrate.unsupported',
    message: /version "3\.8\.0" is not supported/,
  });
  await assert.rejects(run(dataDir, '4.0'), {
    code: 'migrate.unsupported',
    message: /changing major storage version/,
  });
  await assert.rejects(run(dataDir, '3.6', { walDir: join(folder, 'no-wal') }), { code: 'io.not-found' });
  mkdirSync(join(folder, 'empty'));
  await assert.rejects(run(dataDir, '3.6', { walDir: join(folder, 'empty') }), {
    code: 'wal.sequence',
    upstream: /^failed to open wal/,
  });
  writeFileSync(databaseOf(dataDir), 'nothing');
  await assert.rejects(run(dataDir, '3.6'), { code: 'bolt.meta.none' });
});

test('a damaged log is told, and nothing is changed', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.7');
  const { file } = endOf(join(dataDir, 'member', 'wal'));
  const bytes = readFileSync(file);
  bytes[bytes.indexOf('val5')] = 0x5a;
  writeFileSync(file, bytes);
  const before = treeOf(dataDir);
  await assert.rejects(run(dataDir, '3.6', { fixClusterVersion: true, force: true }), {
    code: 'wal.record.crc',
    upstream: /^failed to read wal: /,
  });
  assert.deepEqual(treeOf(dataDir), before);
});

test('force does what etcdutl does, and says what comes of it', async (t) => {
  const folder = scratch(t);
  const down = recorder();
  const dataDir = copyFixture(folder, '3.6');
  const report = await run(dataDir, '3.5', { force: true }, down.log);
  assert.deepEqual(
    [report.isForced, report.remaining.length, readSchema(databaseOf(dataDir)).storageVersion],
    [true, 1, undefined],
  );
  assert.match(down.lines[0]!, /^etcd 3\.5 will not start from the result/);

  const unknown = recorder();
  const newer = copyFixture(folder, '3.7', 'newer');
  await run(newer, '3.8', { force: true }, unknown.log);
  assert.match(
    unknown.lines.join('\n'),
    /^normal migrate failed, trying with force .*\nforcefully set storage version {"storage-version":"3.8"}$/,
  );
  assert.equal(readSchema(databaseOf(newer)).storageVersion, '3.8.0');
  const cleared = recorder();
  await run(newer, '3.5', { force: true }, cleared.log);
  assert.match(cleared.lines.at(-1)!, /^forcefully cleared storage version/);
});

test('a database in use is left alone', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  const child = spawn('flock', [databaseOf(dataDir), '-c', 'echo held; sleep 60'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  t.after(() => process.kill(-child.pid!, 'SIGKILL'));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  await assert.rejects(run(dataDir, '3.7'), { code: 'lock.held' });
  await assert.rejects(run(dataDir, '3.7', { isDryRun: true }), { code: 'lock.held' });
});

test('an etcd that waits for the lock is noticed before the file is taken from under it, and after', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  const database = databaseOf(dataDir);
  const pids: number[] = [];
  const open = (): void => {
    const { stdout } = spawnSync(
      'sh',
      ['-c', 'exec 3<>"$1"; sleep 60 >/dev/null 2>&1 & echo $!', 'sh', database],
      { encoding: 'utf8' },
    );
    pids.push(Number(stdout));
  };
  const end = (): void => pids.splice(0).forEach((pid) => process.kill(pid, 'SIGKILL'));
  t.after(end);
  const { ino } = statSync(database);
  const disk = faultyDisk(undefined, {
    onCall: ({ operation, to }) => void (operation === 'rename' && to === database && open()),
  });
  const options = { dataDir, target: parseTarget('3.5'), timeoutMs: 50, fixClusterVersion: true };
  await assert.rejects(migrate(options, plainContext({ disk })), {
    code: 'lock.held',
    message: /and waits for its lock/,
  });
  assert.equal(statSync(database).ino, ino);
  assert.equal(readSchema(database).storageVersion, '3.6.0');
  await assert.rejects(run(dataDir, '3.7'), { code: 'lock.held' });
  end();
  while (writersOf(identityOf(database)!).length > 0) await delay(5);
  await run(dataDir, '3.7');
});

test('mode stays, leftovers of a killed run go, others stay', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  const { snapDir, walDir, database } = pathsOf(dataDir);
  chmodSync(database, 0o640);
  for (const name of ['db.tmp.etcdkit-7', 'tmp.etcdkit-7.old', 'db.tmp.other'])
    writeFileSync(join(snapDir, name), '');
  for (const name of ['etcdkit-7.tmp', 'etcdkit-7.old.tmp', '0.tmp']) writeFileSync(join(walDir, name), '');
  await run(dataDir, '3.5', { fixClusterVersion: true });
  assert.equal(statSync(database).mode & 0o777, 0o640);
  assert.deepEqual(
    readdirSync(snapDir).filter((name) => !name.endsWith('.snap')),
    ['db', 'db.tmp.other'],
  );
  assert.deepEqual(
    readdirSync(walDir).filter((name) => !name.endsWith('.wal')),
    ['0.tmp'],
  );
});

test('the log in a directory of its own', async (t) => {
  const folder = scratch(t);
  const dataDir = copyFixture(folder, '3.7');
  const walDir = join(folder, 'log');
  renameSync(join(dataDir, 'member', 'wal'), walDir);
  const before = treeOf(walDir);
  await run(dataDir, '3.5', { walDir, fixClusterVersion: true });
  assert.notDeepEqual(treeOf(walDir), before);
  assert.ok(!existsSync(join(dataDir, 'member', 'wal')));
});

test('a torn tail is cut off as a server would', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.7');
  const { file, offset } = endOf(join(dataDir, 'member', 'wal'));
  appendTo(dataDir, (writer) =>
    writer.entry({ type: 0, term: 2, index: 34, data: new Uint8Array(3000).fill(1) }),
  );
  truncateSync(file, offset + 1000);
  await run(dataDir, '3.5', { fixClusterVersion: true });
  const { log } = await membersIn(dataDir);
  assert.deepEqual([log.end.verdict, log.lastIndex], ['end', 33]);
});
