/** Backups, databases and directories of real etcd, mounted: every revision reads as the records say. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { lockExclusive } from '../../../src/bytes/lock.ts';
import { Pacer } from '../../../src/bytes/pacer.ts';
import { CorruptError, RefusedError, ToolError, UsageError } from '../../../src/errors.ts';
import { event, EVENT_TYPE, keyValue } from '../../../src/format/proto/mvccpb.ts';
import { watchRequest, watchResponse } from '../../../src/format/proto/watchpb.ts';
import { plainContext } from '../../../src/ops/context.ts';
import { hashKV } from '../../../src/ops/inspect/hashkv.ts';
import { BoltView } from '../../../src/store/backend/bolt-view.ts';
import { openDatabase } from '../../../src/store/database.ts';
import { Overlay } from '../../../src/store/backend/overlay.ts';
import { KeyValues } from '../../../src/store/mvcc/key-values.ts';
import { buildDatabase, compactedAt, deletion, put, text } from '../../store/database-builder.ts';
import { copyFixture, editRows, treeOf } from '../../support/member-copy.ts';
import { fixture, memberDir, readFixture, unpacked, VERSIONS } from '../../support/fixtures.ts';
import { scratch } from '../../support/scratch.ts';
import { unchanged } from '../../support/unchanged.ts';
import { open } from '../fake-call.ts';
import { Mounted } from './mounted.ts';

const SNAPSHOT = fixture('snap/snap-3.6.db');
const codeOf = (code: string) => (error: unknown) => error instanceof ToolError && error.code === code;

/** Every record, in order: main revision, key, and the value of a put. */
function historyOf(path: string): { main: number; key: string; value: string | undefined }[] {
  const database = openDatabase(path);
  const rows = [...new BoltView(database.source).scan('key')].map(({ key, value }) => {
    const record = keyValue.decode(value);
    return {
      main: Number(Buffer.from(key).readBigUInt64BE()),
      key: Buffer.from(record.key).toString('latin1'),
      value: key.length === 18 ? undefined : Buffer.from(record.value).toString('latin1'),
    };
  });
  database.close();
  return rows;
}

/** What a revision holds, from the records alone. */
function stateAt(history: ReturnType<typeof historyOf>, revision: number): Record<string, string> {
  const state = new Map<string, string>();
  for (const { main, key, value } of history) {
    if (main > revision) continue;
    if (value === undefined) state.delete(key);
    else state.set(key, value);
  }
  return Object.fromEntries([...state].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function getAll(name: string): { revision: number; state: Record<string, string> } {
  const { header, kvs } = JSON.parse(readFixture(name).toString());
  const decoded = (base64 = ''): string => Buffer.from(base64, 'base64').toString('latin1');
  const pairs = kvs.map(({ key, value }: { key: string; value?: string }) => [decoded(key), decoded(value)]);
  return { revision: header.revision, state: Object.fromEntries(pairs) };
}

async function marksOf(path: string): Promise<{ last: number; compacted: number }> {
  const database = openDatabase(path);
  const rows = new Overlay(new BoltView(database.source));
  const keys = await KeyValues.open(rows, new Pacer());
  database.close();
  return { last: keys.revision, compacted: keys.compactRevision };
}

for (const version of VERSIONS) {
  test(`a backup and a directory of ${version} have the keys that the running server had`, async (t) => {
    const expected = getAll(`expected/get-all-${version}.json`);
    const backup = fixture(`snap/snap-${version}.db`);
    await unchanged(backup, async () => {
      const mounted = await Mounted.at(t, backup);
      assert.deepEqual(await mounted.all(), expected.state);
      assert.equal((await mounted.range()).header?.revision, expected.revision);
      await mounted.stop();
    });
    const raw = join(memberDir(version), 'snap', 'db');
    assert.deepEqual(await (await Mounted.at(t, raw)).all(), expected.state);
    const before = treeOf(memberDir(version));
    const directory = await Mounted.at(t, join(memberDir(version), '..'));
    assert.deepEqual(await directory.all(), expected.state);
    await directory.stop();
    assert.deepEqual(treeOf(memberDir(version)), before);
  });

  test(`--rev shows a backup of ${version} at every revision it holds, as its records say`, async (t) => {
    const path = fixture(`snap/snap-${version}.db`);
    const history = historyOf(path);
    const { last, compacted } = await marksOf(path);
    const first = Math.max(compacted, 2);
    assert.ok(last > first + 3);
    for (let revision = first; revision <= last; revision++) {
      const mounted = await Mounted.at(t, path, { revision });
      const expected = stateAt(history, revision);
      assert.deepEqual(await mounted.all(), expected, `at ${revision}`);
      assert.equal(mounted.served.core.keys.revision, revision);
      await mounted.stop();
    }
    const whole = await Mounted.at(t, path);
    for (let revision = first; revision <= last; revision++)
      assert.deepEqual(await whole.all(revision), stateAt(history, revision));
  });

  test(`the hash of keys is that of hashkv, also at older revisions of ${version}`, async (t) => {
    const path = fixture(`snap/snap-${version}.db`);
    const { last, compacted } = await marksOf(path);
    const mounted = await Mounted.at(t, path);
    for (const revision of [0, compacted, compacted + 1, last]) {
      const { hash, compactRevision } = await hashKV(path, { revision }, plainContext());
      const answer = await mounted.hashKv(revision);
      assert.deepEqual([answer.hash, answer.compactRevision], [hash, compactRevision], `at ${revision}`);
    }
  });
}

for (const version of ['3.5', '3.6', '3.7'] as const) {
  test(`what only the log of ${version} holds is there, and nothing is written`, async (t) => {
    const dataDir = unpacked(`tail/tail-before-${version}.tar.gz`, `tail-${version}`);
    const expected = getAll(`tail/tail-live-get-${version}.json`);
    const before = treeOf(dataDir);
    const mounted = await Mounted.at(t, dataDir);
    assert.deepEqual(await mounted.all(), expected.state);
    assert.equal(mounted.served.core.keys.revision, expected.revision);
    assert.equal(mounted.served.core.appliedIndex, 61);
    await mounted.stop();
    assert.deepEqual(treeOf(dataDir), before);
    const database = await Mounted.at(t, join(dataDir, 'member', 'snap', 'db'));
    assert.ok(database.served.core.keys.revision < expected.revision, 'the file alone has less');
  });
}

test('a watch from the past has every change since, in order', async (t) => {
  const mounted = await Mounted.at(t, SNAPSHOT);
  const { last, compacted } = await marksOf(SNAPSHOT);
  const from = Math.max(compacted, 1) + 1;
  const expected = historyOf(SNAPSHOT)
    .filter(({ main }) => main >= from && main <= last)
    .map(({ key, value }) => [key, value]);
  const { call } = open(mounted.methods, '/etcdserverpb.Watch/Watch');
  const all = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0), startRevision: BigInt(from) };
  call.push(watchRequest.encode({ createRequest: all }));
  const seen: unknown[] = [];
  for (let count = 1; seen.length < expected.length; count++) {
    await call.sentCount(count);
    for (const bytes of watchResponse.decode(call.sent[count - 1]!).events) {
      const { type, kv } = event.decode(bytes);
      const value = type === EVENT_TYPE.delete ? undefined : Buffer.from(kv!.value).toString('latin1');
      seen.push([Buffer.from(kv!.key).toString('latin1'), value]);
    }
  }
  assert.deepEqual(seen, expected);
  call.cancel();
});

test('the damage of a backup is told in the log, and what can be read is served', async (t) => {
  const path = join(scratch(t), 'backup.db');
  const bytes = readFileSync(SNAPSHOT);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(path, bytes);
  const mounted = await Mounted.at(t, path);
  assert.deepEqual(await mounted.all(), await (await Mounted.at(t, SNAPSHOT)).all());
  while (!mounted.lines.some(({ message }) => /SHA-256/.test(message)))
    await new Promise((resolve) => setTimeout(resolve, 10));
  const told = mounted.lines.find(({ message }) => /SHA-256/.test(message))!;
  assert.deepEqual([told.level, /does not match/.test(told.message)], ['error', true]);
});

test('a revision that is not held is refused, with what is', async (t) => {
  const path = join(scratch(t), 'db');
  const records = [put(4, 'a'), put(5, 'b'), deletion(6, 'a')];
  writeFileSync(
    path,
    buildDatabase({ records, buckets: { meta: compactedAt({ scheduled: 4, finished: 4 }) } }),
  );
  const refused = async (revision: number, message: string): Promise<void> => {
    await assert.rejects(Mounted.at(t, path, { revision }), (error) => {
      assert.ok(error instanceof UsageError);
      assert.equal(error.message, message);
      return true;
    });
  };
  await refused(7, 'revision 7 is not held: the last one is 6');
  await refused(3, 'revision 3 is not held: the history before 4 has been compacted');
  assert.deepEqual(await (await Mounted.at(t, path, { revision: 5 })).all(), { a: 'v', b: 'v' });
  assert.deepEqual(await (await Mounted.at(t, path)).all(), { b: 'v' });
});

test('what an etcd runs on is refused, and left alone', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  const lock = await lockExclusive(join(dataDir, 'member', 'snap', 'db'), { timeoutMs: 1 });
  const before = treeOf(dataDir);
  await assert.rejects(
    Mounted.at(t, dataDir),
    (error) => error instanceof RefusedError && error.code === 'lock.held',
  );
  assert.deepEqual(treeOf(dataDir), before);
  lock.release();
  assert.ok(await Mounted.at(t, dataDir));
});

test('data with authentication enabled is served, unless its users cannot be read', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.6');
  await editRows(dataDir, 'auth', { authEnabled: Uint8Array.of(1) });
  const { served } = await Mounted.at(t, dataDir);
  assert.ok(served.core.applier.users.isEnabled);
  const said = (lines: Mounted['lines']): boolean =>
    JSON.stringify(lines).includes('everybody who can connect is root');
  assert.ok(!said((await Mounted.at(t, dataDir)).lines));
  assert.ok(said((await Mounted.at(t, dataDir, { isAuthSkipped: true })).lines));
  await editRows(dataDir, 'authUsers', { root: Uint8Array.of(0x0a, 0xff) });
  await assert.rejects(Mounted.at(t, dataDir), codeOf('server.auth'));
});

test('a file with damage in its keys is refused as damaged', async (t) => {
  const path = join(scratch(t), 'damaged.db');
  const records = Array.from({ length: 2000 }, (_, i) =>
    put(i + 2, `key/${i}`, { value: text('x'.repeat(50)) }),
  );
  const bytes = Buffer.from(buildDatabase({ records }));
  bytes.fill(0x5a, 4096 * 8, 4096 * 9);
  writeFileSync(path, bytes);
  await assert.rejects(Mounted.at(t, path), (error) => error instanceof CorruptError);
});

test('a missing file, an empty one and one that is not etcd’s are refused at once', async (t) => {
  const folder = scratch(t);
  const path = join(folder, 'file');
  await assert.rejects(Mounted.at(t, path), ToolError);
  writeFileSync(path, '');
  await assert.rejects(Mounted.at(t, path), ToolError);
  writeFileSync(path, 'hello, this is no database\n');
  await assert.rejects(Mounted.at(t, path), ToolError);
});

test('a log in another place than its database is read from there', async (t) => {
  const folder = scratch(t);
  const tail = unpacked('tail/tail-before-3.6.tar.gz', 'tail-3.6');
  const walDir = join(tail, 'member', 'wal');
  mkdirSync(join(folder, 'member', 'snap'), { recursive: true });
  copyFileSync(join(tail, 'member', 'snap', 'db'), join(folder, 'member', 'snap', 'db'));
  const mounted = await Mounted.at(t, folder, { walDir });
  assert.equal(mounted.served.core.appliedIndex, 61);
  assert.deepEqual(readdirSync(join(folder, 'member')), ['snap']);
});
