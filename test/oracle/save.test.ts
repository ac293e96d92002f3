// Backups made offline of members that were killed: what the real server has after its own replay of the same
// directory, bucket by bucket, and every write that it had acknowledged.
import assert from 'node:assert/strict';
import { copyFileSync, cpSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { keyValue } from '../../src/format/proto/mvccpb.ts';
import { requestOf } from '../../src/format/proto/request.ts';
import { listSegments, LogReader } from '../../src/format/wal/log.ts';
import { plainContext } from '../../src/ops/context.ts';
import { hashKV } from '../../src/ops/inspect/hashkv.ts';
import { saveSnapshot, type SaveReport } from '../../src/ops/snapshot/save.ts';
import { type DatabaseRows, differingRows, readDatabaseRows } from '../support/database-rows.ts';
import { treeOf } from '../support/member-copy.ts';
import { scratch } from '../support/scratch.ts';
import {
  ask,
  etcdctl,
  type EtcdServer,
  etcdutl,
  freeMemberPorts,
  getAll,
  hashKv,
  type KeyValue,
  type Ports,
  runLoad,
  skipReason,
  startCluster,
  startEtcd,
  type StartOptions,
  succeeded,
  type Target,
  type ToolResult,
} from './etcd.ts';
import { databaseIn, QUICK, restoreSingle, startQuick } from './healthy.ts';

const TESTED = ['3.5', '3.6', '3.7'] as const;
type Tested = (typeof TESTED)[number];

/** The database is committed only where etcd insists on it, so that what is acknowledged is in the log alone. */
const LAZY = ['--backend-batch-interval=1h', '--backend-batch-limit=1000000'];
const ROOT = 'root:root';
/** A server that starts goes on by itself: elections, and the storage version some seconds later. */
const GOES_ON = /^meta\/(consistent_index|term|storageVersion)$/;

/** What a server holds, as clients see it. */
interface Content {
  kvs: KeyValue[];
  leases: string[];
  alarms: string;
  users: string[];
  roles: string[];
}

async function contentOf(target: Target): Promise<Content> {
  const said = async (...args: string[]): Promise<string> => (await ask(target, args)).stdout;
  const lines = (text: string): string[] => text.split('\n').filter(Boolean).sort();
  const users = lines(await said('user', 'list'));
  const roles = lines(await said('role', 'list'));
  return {
    kvs: (await getAll(target)).kvs,
    leases: lines(await said('lease', 'list')),
    alarms: await said('alarm', 'list'),
    users: await Promise.all(users.map((user) => said('user', 'get', user))),
    roles: await Promise.all(roles.map((role) => said('role', 'get', role))),
  };
}

/** Saves, and looks after what nobody may touch. */
async function saved(dataDir: string, output: string): Promise<SaveReport> {
  const before = treeOf(dataDir);
  const report = await saveSnapshot({ dataDir, output }, plainContext());
  assert.deepEqual(treeOf(dataDir), before, 'the directory is another one');
  assert.equal(report.output, output);
  return report;
}

async function acceptedByEtcdutl(version: Tested, report: SaveReport): Promise<void> {
  const args = ['snapshot', 'status', report.output, '--write-out=json'];
  const status = JSON.parse((await succeeded(etcdutl(version, args))).stdout) as Record<string, unknown>;
  assert.equal(status['hash'], report.hash);
  assert.equal(status['revision'], report.revision);
}

/** What one of them has and the other has not, save for what a start changes. */
function difference(ours: string, theirs: DatabaseRows, isExpected: RegExp): string[] {
  return differingRows(readDatabaseRows(ours), theirs).filter((name) => !isExpected.test(name));
}

async function post(server: EtcdServer, path: string, body: object, token = ''): Promise<Response> {
  const headers = token === '' ? {} : { authorization: token };
  return fetch(`${server.endpoint}/v3/${path}`, { method: 'POST', body: JSON.stringify(body), headers });
}

async function raiseNoSpace(server: EtcdServer): Promise<void> {
  const login = await post(server, 'auth/authenticate', { name: 'root', password: 'root' });
  const { token, header } = (await login.json()) as { token: string; header: Record<string, string> };
  const alarm = { action: 'ACTIVATE', memberID: header['member_id'], alarm: 'NOSPACE' };
  const { ok } = await post(server, 'maintenance/alarm', alarm, token);
  assert.ok(ok);
}

const ANN = '--user=ann:ann';
const AS_ROOT = `--user=${ROOT}`;
/** Requests that get into the log and change nothing, LEASE being one with a key that ann may not write. */
const REFUSED: readonly (readonly string[])[] = [
  [ANN, 'put', 'config', 'denied'],
  [ANN, 'del', 'other'],
  [ANN, 'put', 'work/x', 'denied', '--lease=LEASE'],
  [ANN, 'lease', 'revoke', 'LEASE'],
  [AS_ROOT, 'put', 'work/x', 'denied', '--lease=7'],
  [AS_ROOT, 'put', 'absent', '--ignore-value'],
  [AS_ROOT, 'lease', 'revoke', '7'],
  [AS_ROOT, 'compaction', '1000000'],
  [AS_ROOT, 'user', 'add', 'ann:again'],
  [AS_ROOT, 'user', 'grant-role', 'ann', 'absent'],
  [AS_ROOT, 'role', 'add', 'writer'],
  [AS_ROOT, 'role', 'revoke-permission', 'writer', 'absent'],
];
const CHANGES: readonly (readonly string[])[] = [
  [ANN, 'put', 'work/by-ann', 'allowed'],
  [AS_ROOT, 'put', 'leased', 'one', '--lease=LEASE'],
  [AS_ROOT, 'put', 'leased', 'two', '--ignore-lease'],
  [AS_ROOT, 'put', 'leased', '--ignore-value', '--lease=LEASE'],
  [AS_ROOT, 'role', 'revoke-permission', 'writer', 'config'],
  [AS_ROOT, 'role', 'add', 'late'],
  [AS_ROOT, 'role', 'grant-permission', 'late', 'readwrite', 'late/', 'late0'],
  [AS_ROOT, 'user', 'grant-role', 'ann', 'late'],
  [AS_ROOT, 'user', 'revoke-role', 'ann', 'writer'],
  [AS_ROOT, 'user', 'grant-role', 'ann', 'writer'],
  [AS_ROOT, 'role', 'delete', 'late'],
  [AS_ROOT, 'user', 'delete', 'certificate-only'],
  [AS_ROOT, 'member', 'add', 'learner', '--learner', '--peer-urls=http://127.0.0.1:1'],
];

/** A little of everything, most of it known to the log alone. Returns what was said to each refused request. */
async function work(server: EtcdServer): Promise<string[]> {
  await runLoad(server, { kind: 'mixed', operations: 160, seed: 21, prefix: 'work/', auth: true });
  const root = { ...server, user: ROOT };
  const [, lease] = /lease (\w+) granted/.exec((await ask(root, ['lease', 'grant', '5000'])).stdout)!;
  const refusals: string[] = [];
  const run = async (args: readonly string[]): Promise<ToolResult> =>
    etcdctl(
      server.version,
      args.map((each) => each.replace('LEASE', lease!)),
      { endpoint: server.endpoint },
    );
  const refused = async (args: readonly string[]): Promise<void> => {
    const { code, stderr } = await run(args);
    assert.notEqual(code, 0, args.join(' '));
    refusals.push(stderr);
  };
  for (const args of CHANGES) await succeeded(run(args));
  for (const args of REFUSED) await refused(args);
  await raiseNoSpace(server);
  await refused([AS_ROOT, 'put', 'full', 'denied']);
  await refused([AS_ROOT, 'lease', 'grant', '5000']);
  await ask(root, ['alarm', 'disarm']);
  await ask(root, ['put', 'last', 'acknowledged']);
  await raiseNoSpace(server);
  await ask(root, ['del', 'work/by-ann']);
  return refusals;
}

interface Killed {
  dataDir: string;
  ports: Ports;
  /** The database as it was before most of the work. */
  earlier: string;
  acknowledged: { revision: number; kvs: KeyValue[] };
  refusals: string[];
}

async function killedMember(version: Tested, folder: string): Promise<Killed> {
  const ports = await freeMemberPorts();
  const dataDir = join(folder, 'killed');
  const earlier = join(folder, 'earlier.db');
  const start = { dataDir, ports, args: LAZY };
  const first = await startQuick(version, start);
  await runLoad(first, { kind: 'mixed', operations: 60, prefix: 'first/', users: false });
  await first.stop();
  copyFileSync(databaseIn(dataDir), earlier);
  const server = await startQuick(version, start);
  const refusals = await work(server);
  const { header, kvs } = await getAll({ ...server, user: ROOT });
  await server.kill();
  return { dataDir, ports, earlier, acknowledged: { revision: header.revision, kvs }, refusals };
}

/** Starts a server, and gives it up when the test ends at the latest. */
async function started(t: TestContext, version: Tested, options: StartOptions): Promise<EtcdServer> {
  const server = await startQuick(version, options);
  t.after(() => server.kill());
  return server;
}

/** What a member restored from a backup serves. */
async function restoredContent(
  t: TestContext,
  version: Tested,
  backup: { path: string; folder: string; args?: string[] },
): Promise<Content> {
  const ports = await freeMemberPorts();
  const target = { dataDir: backup.folder, ports, args: backup.args ?? [] };
  await restoreSingle(version, backup.path, target);
  const server = await started(t, version, { dataDir: backup.folder, ports });
  // With users every request needs one; without the log's tail there may be none yet.
  const { stdout } = await etcdctl(version, ['auth', 'status'], { endpoint: server.endpoint });
  const content = await contentOf(stdout.includes('Status: false') ? server : { ...server, user: ROOT });
  await server.stop();
  return content;
}

for (const version of TESTED) {
  test(
    `one killed member of ${version}: the backup is what it starts with`,
    { skip: skipReason(version) },
    async (t) => {
      const folder = scratch(t);
      const { dataDir, ports, earlier, acknowledged, refusals } = await killedMember(version, folder);
      const theirs = join(folder, 'theirs');
      const behind = join(folder, 'behind');
      for (const copy of [theirs, behind]) cpSync(dataDir, copy, { recursive: true });
      copyFileSync(earlier, databaseIn(behind));

      const report = await saved(dataDir, join(folder, 'saved.db'));
      const longer = await saved(behind, join(folder, 'longer.db'));
      assert.ok(report.revisionBefore < report.revision, 'the database lacked nothing');
      assert.equal(report.revision, acknowledged.revision);
      assert.equal(longer.revision, acknowledged.revision);
      assert.ok(longer.from < report.from && longer.to === report.to);
      for (const what of [
        'put',
        'deleteRange',
        'txn',
        'leaseGrant',
        'leaseRevoke',
        'compaction',
        'alarm',
      ] as const)
        assert.ok(longer.counts.get(what)! > 0, what);
      for (const what of ['authEnable', 'authUserAdd', 'authUserDelete', 'authRoleRevokePermission'] as const)
        assert.ok(longer.counts.get(what)! > 0, what);
      const said = longer.rejected.map(({ what, reason }) => `${what}: ${reason}`);
      assert.equal(said.length, refusals.length, said.join('\n') + refusals.join('\n'));
      for (const [number, { reason }] of longer.rejected.entries())
        assert.ok(refusals[number]!.includes(reason), `${said[number]} was refused as ${refusals[number]}`);

      const server = await started(t, version, { dataDir: theirs, ports });
      const content = await contentOf({ ...server, user: ROOT });
      const { hash, compactRevision } = await hashKv({ ...server, user: ROOT }, report.revision);
      await server.stop();
      const rows = readDatabaseRows(databaseIn(theirs));
      assert.deepEqual(content.kvs, acknowledged.kvs);
      assert.match(content.alarms, /NOSPACE/);
      for (const { output } of [report, longer]) {
        assert.deepEqual(difference(output, rows, GOES_ON), []);
        const ours = await hashKV(output, { revision: report.revision }, plainContext());
        assert.deepEqual(ours, { hash, hashRevision: report.revision, compactRevision });
      }
      await acceptedByEtcdutl(version, report);
      await acceptedByEtcdutl(version, longer);

      const restored = { path: longer.output, folder: join(folder, 'restored') };
      assert.deepEqual(await restoredContent(t, version, restored), content);
      const plain = { path: databaseIn(dataDir), folder: join(folder, 'plain'), args: ['--skip-hash-check'] };
      const lacking = await restoredContent(t, version, plain);
      assert.ok(
        !lacking.kvs.some(({ key }) => key.equals(Buffer.from('last'))),
        'a plain copy lacks nothing',
      );
    },
  );
}

/** Writes keys of its own one after the other until the server is gone; returns those acknowledged. */
async function writeUntilGone(server: EtcdServer, writer: string): Promise<string[]> {
  const acknowledged: string[] = [];
  for (let number = 0; ; number++) {
    const key = `under-load/${writer}/${number}`;
    const body = {
      key: Buffer.from(key).toString('base64'),
      value: Buffer.alloc(200, writer).toString('base64'),
    };
    try {
      const response = await post(server, 'kv/put', body);
      await response.text();
      if (!response.ok) return acknowledged;
    } catch {
      return acknowledged;
    }
    acknowledged.push(key);
  }
}

/** The log as its own reader tells it: index of the entry that puts each key, and what it knows as committed. */
function readLog(dataDir: string): { puts: Map<string, number>; commit: number; lastIndex: number } {
  const reader = new LogReader(listSegments(join(dataDir, 'member', 'wal')).segments);
  const puts = new Map<string, number>();
  for (const event of reader.events()) {
    if (event.kind === 'truncate')
      for (const [key, index] of puts) if (index >= event.index) puts.delete(key);
    if (event.kind !== 'entry' || event.type !== 0) continue;
    const found = requestOf(event.data);
    if (found.kind === 'v3' && found.request.put)
      puts.set(Buffer.from(found.request.put.key).toString(), event.index);
  }
  return { puts, commit: reader.state!.commit, lastIndex: reader.lastIndex! };
}

function consistentIndexOf(rows: DatabaseRows): number {
  return Number(Buffer.from(rows.get('meta/consistent_index')!, 'latin1').readBigUInt64BE());
}

function keysIn(rows: DatabaseRows): Set<string> {
  const values = [...rows].filter(([name]) => name.startsWith('key/')).map(([, value]) => value);
  return new Set(
    values.map((value) => Buffer.from(keyValue.decode(Buffer.from(value, 'latin1')).key).toString()),
  );
}

const ofLoad = (keys: Iterable<string>): string[] =>
  [...keys].filter((key) => key.startsWith('under-load/')).sort();

for (const version of TESTED) {
  test(
    `three killed members of ${version}: each gives what it knows as committed`,
    { skip: skipReason(version) },
    async (t) => {
      const folder = scratch(t);
      const members = await Promise.all(
        ['a', 'b', 'c'].map(async (name) => {
          const start = { name, dataDir: join(folder, name), ports: await freeMemberPorts() };
          return { ...start, unsafeNoFsync: true, args: [...QUICK, ...LAZY] };
        }),
      );
      const servers = await startCluster(version, members);
      t.after(() => Promise.all(servers.map((server) => server.kill())));
      await runLoad(servers[0]!, { kind: 'mixed', operations: 80, seed: 22 });
      const writing = servers.flatMap((server) =>
        ['1', '2', '3'].map((n) => writeUntilGone(server, server.name + n)),
      );
      await delay(500);
      await Promise.all(servers.map((server) => server.kill()));
      const acknowledged = (await Promise.all(writing)).flat();
      assert.ok(acknowledged.length > 50, `only ${acknowledged.length} writes`);

      const logs = members.map(({ dataDir }) => readLog(dataDir));
      for (const key of acknowledged)
        assert.ok(logs.filter(({ puts }) => puts.has(key)).length >= 2, `${key} is in no quorum of logs`);
      for (const [number, { name, dataDir, ports }] of members.entries()) {
        const { puts, commit, lastIndex } = logs[number]!;
        const theirs = join(folder, `${name}-theirs`);
        cpSync(dataDir, theirs, { recursive: true });
        const report = await saved(dataDir, join(folder, `${name}.db`));
        const from = consistentIndexOf(readDatabaseRows(databaseIn(dataDir)));
        assert.deepEqual([report.from, report.to], [from, Math.max(commit, from)]);
        assert.equal(report.lastIndex, lastIndex);
        assert.ok(from < commit, 'the database lacked nothing');
        const committed = [...puts].filter(([, index]) => index <= report.to).map(([key]) => key);
        assert.deepEqual(ofLoad(keysIn(readDatabaseRows(report.output))), ofLoad(committed));

        const server = await startEtcd(version, {
          name,
          dataDir: theirs,
          ports,
          forceNewCluster: true,
          args: QUICK,
        });
        t.after(() => server.kill());
        const { header, kvs } = await getAll(server);
        const { hash, compactRevision } = await hashKv(server, report.revision);
        await server.stop();
        assert.equal(header.revision, report.revision);
        assert.deepEqual(ofLoad(kvs.map(({ key }) => key.toString())), ofLoad(committed));
        const ours = await hashKV(report.output, { revision: report.revision }, plainContext());
        assert.deepEqual(ours, { hash, hashRevision: report.revision, compactRevision });
        // Which members there are is what --force-new-cluster changes.
        const isExpected = new RegExp(`${GOES_ON.source}|^members(_removed)?/|^meta/confState$`);
        assert.deepEqual(difference(report.output, readDatabaseRows(databaseIn(theirs)), isExpected), []);
        await acceptedByEtcdutl(version, report);
      }
      const uncommitted = members.filter((_, number) => logs[number]!.lastIndex > logs[number]!.commit);
      assert.ok(uncommitted.length > 0, 'no log goes on behind what is known as committed');
    },
  );
}
