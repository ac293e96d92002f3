import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { realDisk } from '../../../src/bytes/disk.ts';
import { lockExclusive } from '../../../src/bytes/lock.ts';
import { temporaryPath } from '../../../src/bytes/replace.ts';
import { verify } from '../../../src/check/verify.ts';
import { CorruptError, ToolError } from '../../../src/errors.ts';
import { listSegments } from '../../../src/format/wal/log.ts';
import { buildDatabase } from '../../store/database-builder.ts';
import { differingRows, readDatabaseRows } from '../../support/database-rows.ts';
import { copyFixture, copyMember, editRows, endOf, treeOf } from '../../support/member-copy.ts';
import { unpacked } from '../../support/fixtures.ts';
import { beginAll, openAt, putKeys, rememberingLog, takeSnapshot } from '../../support/opened-member.ts';
import { scratch } from '../../support/scratch.ts';
import { readLog } from '../raft-log/log-fixture.ts';

const databaseOf = (dataDir: string): string => join(dataDir, 'member', 'snap', 'db');
const walOf = (dataDir: string): string => join(dataDir, 'member', 'wal');
const codeOf = (code: string) => (error: unknown) => error instanceof ToolError && error.code === code;

async function assertSound(dataDir: string): Promise<void> {
  const { verdict, findings } = await verify(dataDir);
  const damage = findings.filter(({ severity }) => severity !== 'note');
  assert.deepEqual(damage, [], verdict);
}

/** Refused, with every file as it was. */
async function assertRefused(
  dataDir: string,
  code: string,
  over: Parameters<typeof openAt>[1] = {},
): Promise<void> {
  const before = treeOf(dataDir);
  await assert.rejects(openAt(dataDir, over), codeOf(code));
  assert.deepEqual(treeOf(dataDir), before);
}

test('a new directory is for its owner alone, and holds a member that has begun', async (t) => {
  const dataDir = join(scratch(t), 'deep', 'data');
  const member = await openAt(dataDir);
  assert.deepEqual(
    [member.isNew, member.version, member.term, member.lastIndex, member.clusterVersion],
    [true, '3.6', 2, 4, '3.6.0'],
  );
  assert.deepEqual(member.confState, { voters: [member.identity.memberId], learners: [] });
  for (const path of ['', 'member', 'member/snap', 'member/wal'])
    assert.equal(statSync(join(dataDir, path)).mode & 0o777, 0o700, path);
  assert.equal(statSync(databaseOf(dataDir)).mode & 0o777, 0o600);
  await member.release();
  const rows = readDatabaseRows(databaseOf(dataDir));
  assert.equal(rows.get('meta/storageVersion'), '3.6.0');
  assert.equal(rows.get('cluster/clusterVersion'), '3.6.0');
  await assertSound(dataDir);
});

test('a start that failed before the log was made is begun anew', async (t) => {
  const dataDir = join(scratch(t), 'data');
  const firstMember = (): Promise<never> => Promise.reject(new ToolError('server.config', 'no'));
  await assert.rejects(openAt(dataDir, { firstMember }), codeOf('server.config'));
  assert.ok(existsSync(databaseOf(dataDir)));
  const member = await openAt(dataDir);
  assert.equal(member.isNew, true);
  await member.release();
  await assertSound(dataDir);
});

for (const version of ['3.4', '3.5', '3.6', '3.7'] as const) {
  test(`what etcd ${version} left is opened, continued and opened again`, async (t) => {
    const dataDir = copyFixture(scratch(t), version);
    const first = await openAt(dataDir);
    assert.deepEqual([first.version, first.snapshotIndex, first.term, first.isNew], [version, 21, 3, false]);
    assert.equal(first.applier.consistentIndex, first.lastIndex);
    const { revision } = first.applier.keys;
    await putKeys(first, 'ours/', 50);
    const index = await takeSnapshot(first);
    await putKeys(first, 'more/', 50);
    await first.release();
    await assertSound(dataDir);
    const second = await openAt(dataDir);
    assert.deepEqual([second.term, second.snapshotIndex], [4, index]);
    assert.equal(second.applier.keys.revision, revision + 100);
    assert.equal(second.clusterVersion, `${version}.0`);
    const hasTerm = second.backend.get('meta', Buffer.from('term')) !== undefined;
    assert.equal(hasTerm, version !== '3.4');
    await second.release();
    await assertSound(dataDir);
  });
}

test('a member publishes itself only when its name or its URLs have changed', async (t) => {
  const dataDir = join(scratch(t), 'data');
  await (await openAt(dataDir)).release();
  const same = await openAt(dataDir);
  assert.equal(same.lastIndex, 5, 'a no-op alone');
  await same.release();
  const other = await openAt(dataDir, { advertiseClientUrls: ['http://127.0.0.1:9999'] });
  assert.equal(other.lastIndex, 7);
  assert.deepEqual(other.applier.cluster.members()[0]!.clientUrls, ['http://127.0.0.1:9999']);
  await other.release();
});

test('entries that were acknowledged and never committed to the database are there', async (t) => {
  const root = scratch(t);
  const dataDir = join(root, 'data');
  const member = await openAt(dataDir);
  copyFileSync(databaseOf(dataDir), join(root, 'db'));
  await putKeys(member, 'k', 100);
  await member.release();
  copyFileSync(join(root, 'db'), databaseOf(dataDir));
  const again = await openAt(dataDir);
  assert.equal(again.applier.keys.revision, 101);
  await again.release();
});

test('a database that is gone is made again from the whole log', async (t) => {
  const dataDir = join(scratch(t), 'data');
  const member = await openAt(dataDir);
  await putKeys(member, 'k', 30);
  await member.release();
  const before = readDatabaseRows(databaseOf(dataDir));
  rmSync(databaseOf(dataDir));
  const again = await openAt(dataDir);
  assert.equal(again.version, '3.6');
  await again.release();
  const after = readDatabaseRows(databaseOf(dataDir));
  const differing = differingRows(before, after).filter((name) => !name.startsWith('meta/'));
  assert.deepEqual(differing, ['auth/authRevision']);
  assert.equal(after.get('meta/storageVersion'), undefined, 'etcd writes it when it has started');
});

test('what cannot be served is refused, and nothing is changed', async (t) => {
  const root = scratch(t);
  const withAuth = copyFixture(root, '3.6', 'auth');
  await editRows(withAuth, 'auth', { authEnabled: Uint8Array.of(1) });
  await editRows(withAuth, 'authUsers', { root: Uint8Array.of(0x0a, 0xff) });
  await assertRefused(withAuth, 'schema.auth');

  const misc = unpacked('datadir/misc-alarm-downgrade-promote-3.6.tar.gz');
  const cluster = copyMember(root, join(misc, readdirSync(misc)[0]!, 'member'), 'cluster');
  await assertRefused(cluster, 'server.cluster');

  const older = copyFixture(root, '3.6', 'older');
  await assertRefused(older, 'server.config', { emulate: '3.5' });

  const newer = copyFixture(root, '3.6', 'newer');
  await editRows(newer, 'meta', { storageVersion: '3.9.0' });
  await assertRefused(newer, 'schema.version');

  const logless = copyFixture(root, '3.6', 'logless');
  rmSync(walOf(logless), { recursive: true });
  await assertRefused(logless, 'log.start');
});

test('a cluster whose members had not yet agreed on a version is opened', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  await editRows(dataDir, 'cluster', { clusterVersion: '3.0.0' });
  const member = await openAt(dataDir);
  assert.deepEqual([member.version, member.clusterVersion], ['3.6', '3.0.0']);
  await member.release();
});

test('authentication that only the log enables is seen', async (t) => {
  const root = scratch(t);
  const dataDir = join(root, 'data');
  const member = await openAt(dataDir);
  copyFileSync(databaseOf(dataDir), join(root, 'db'));
  const user = { name: 'root', options: { noPassword: true } };
  const requests = [
    { authUserAdd: user },
    { authRoleAdd: { name: 'root' } },
    { authUserGrantRole: { user: 'root', role: 'root' } },
    { authEnable: {} },
  ];
  await beginAll(member, requests)();
  await member.release();
  copyFileSync(join(root, 'db'), databaseOf(dataDir));
  const again = await openAt(dataDir);
  assert.ok(again.applier.users.isEnabled);
  await again.release();
  await assertSound(dataDir);
});

test('a directory that somebody has locked is refused', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  const lock = await lockExclusive(databaseOf(dataDir), { timeoutMs: 1 });
  await assertRefused(dataDir, 'lock.held');
  lock.release();
  const member = await openAt(dataDir);
  await assert.rejects(openAt(dataDir), codeOf('lock.held'));
  await member.release();
  await (await openAt(dataDir)).release();
});

test('where nothing can be locked, a directory is opened only for who says so', async (t) => {
  const root = scratch(t);
  const dataDir = copyFixture(root, '3.6');
  const { PATH } = process.env;
  t.after(() => (process.env['PATH'] = PATH));
  process.env['PATH'] = join(root, 'nowhere');
  await assertRefused(dataDir, 'lock.unavailable');
  const member = await openAt(dataDir, { allowUnlocked: true });
  await member.release();
  await assertSound(dataDir);
});

test('a database that lies behind the log, or before its end, is refused', async (t) => {
  const root = scratch(t);
  const dataDir = join(root, 'data');
  const limits = { segmentBytes: 4096, snapshotsMax: 1, walsMax: 1 };
  let member = await openAt(dataDir, limits);
  copyFileSync(databaseOf(dataDir), join(root, 'db'));
  await putKeys(member, 'k', 200);
  const index = await takeSnapshot(member);
  assert.ok(member.log.purge().segments.length > 2);
  await member.release();
  copyFileSync(databaseOf(dataDir), join(root, 'newer'));
  copyFileSync(join(root, 'db'), databaseOf(dataDir));
  await assertRefused(dataDir, 'log.start');
  // Unless a leader had sent it with the snapshot.
  const received = join(dataDir, 'member', 'snap', `${index.toString(16).padStart(16, '0')}.snap.db`);
  copyFileSync(join(root, 'newer'), received);
  const again = await openAt(dataDir, limits);
  assert.equal(again.applier.keys.revision, 201);
  assert.ok(!existsSync(received));
  await again.release();
  await assertSound(dataDir);

  const short = join(root, 'short');
  member = await openAt(short, limits);
  await member.release();
  copyFileSync(join(root, 'newer'), databaseOf(short));
  await assertRefused(short, 'log.tail');
});

test('a damaged directory is refused with what verify finds in it', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  const disk = realDisk();
  const fd = disk.openForUpdate(databaseOf(dataDir));
  disk.write(fd, Buffer.alloc(4096, 0x5a), 4096 * 4);
  disk.close(fd);
  const { log, said } = rememberingLog();
  await assert.rejects(openAt(dataDir, { log }), (error) => {
    assert.ok(error instanceof CorruptError);
    assert.match(error.message, /is damaged: .*/);
    assert.match(error.hint ?? '', /etcdkit snapshot verify/);
    return true;
  });
  assert.ok(said.some(({ level }) => level === 'warn'));
});

test('a database without the bucket of its keys is damaged, not empty', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  writeFileSync(databaseOf(dataDir), buildDatabase({ buckets: { key: undefined } }));
  await assertRefused(dataDir, 'schema.bucket');
});

test('a database with keys that does not say what was applied is damaged: the log is not applied twice', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  await editRows(dataDir, 'meta', { consistent_index: undefined });
  await assertRefused(dataDir, 'schema.meta');
});

test('a write that was cut short is cut off, and a copy kept', async (t) => {
  const dataDir = join(scratch(t), 'data');
  const member = await openAt(dataDir);
  await putKeys(member, 'k', 20);
  await member.release();
  const { file, offset } = endOf(walOf(dataDir));
  const { entries } = readLog(walOf(dataDir));
  truncateSync(file, offset - 37);
  const { log, said } = rememberingLog();
  const again = await openAt(dataDir, { log });
  assert.equal(again.isRepaired, true);
  assert.ok(said.some(({ message }) => message.startsWith('repairing')));
  assert.deepEqual(readdirSync(walOf(dataDir)).includes(`${basename(file)}.broken`), true);
  await again.release();
  assert.ok(readLog(walOf(dataDir)).entries.length >= entries.length);
  await assertSound(dataDir);
});

test('a bad record before what the database has applied is damage, however it looks', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  const { file } = endOf(walOf(dataDir));
  const bytes = readFileSync(file);
  // In the length word of the first entry: with it the rest of the sector counts as one record, which ends in a zero.
  bytes[86] = bytes[86]! ^ 0x10;
  writeFileSync(file, bytes);
  await assert.rejects(openAt(dataDir), CorruptError);
});

test('a flipped bit in the middle of the log is damage', async (t) => {
  const dataDir = join(scratch(t), 'data');
  const member = await openAt(dataDir);
  for (let i = 0; i < 5; i++)
    await beginAll(member, [{ put: { key: Buffer.from('k'), value: Buffer.alloc(100, 0x61) } }])();
  await member.release();
  const { path } = listSegments(walOf(dataDir)).segments[0]!;
  const disk = realDisk();
  const fd = disk.openForUpdate(path);
  disk.write(fd, Uint8Array.of(0x62), 700);
  disk.close(fd);
  await assertRefused(dataDir, 'wal.record.crc');
});

test('a raft snapshot that cannot be read is passed over aloud, and set aside as etcd does it', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  const snapDir = join(dataDir, 'member', 'snap');
  const name = readdirSync(snapDir).find((one) => one.endsWith('.snap'))!;
  truncateSync(join(snapDir, name), 20);
  const { log, said } = rememberingLog();
  const member = await openAt(dataDir, { log });
  await member.release();
  assert.ok(
    said.some(({ level, message }) => level === 'warn' && message.startsWith('failed to read a snap')),
  );
  assert.deepEqual(
    readdirSync(snapDir).filter((one) => one.includes('.snap')),
    [`${name}.broken`],
  );
  await assertSound(dataDir);
});

test('what a killed process had not finished is removed, once the directory is ours', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  const left = temporaryPath(databaseOf(dataDir));
  writeFileSync(left, 'half a database');
  const lock = await lockExclusive(databaseOf(dataDir), { timeoutMs: 1 });
  await assertRefused(dataDir, 'lock.held');
  lock.release();
  const member = await openAt(dataDir);
  assert.equal(existsSync(left), false);
  await member.release();
});
