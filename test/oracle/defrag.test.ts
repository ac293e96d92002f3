// `defrag` on what real servers leave: the real server of each version starts from the result and serves the same,
// the other tools find nothing wrong with it, and it is no larger than what etcdutl makes of it.
import assert from 'node:assert/strict';
import { copyFileSync, cpSync, readdirSync, rmSync, statSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { verify } from '../../src/check/verify.ts';
import { ToolError } from '../../src/errors.ts';
import { plainContext } from '../../src/ops/context.ts';
import { snapshotStatus } from '../../src/ops/snapshot/status.ts';
import { defragment, type DefragOptions } from '../../src/ops/upkeep/defrag.ts';
import { memberDir } from '../support/fixtures.ts';
import { projectRoot } from '../support/project.ts';
import { scratch } from '../support/scratch.ts';
import { unchanged } from '../support/unchanged.ts';
import {
  VERSIONS,
  ask,
  bbolt,
  compactPhysically,
  etcdctl,
  etcdutl,
  freeMemberPorts,
  getAll,
  hashKv,
  parseEtcdJson,
  runLoad,
  skipReason,
  snapshotSave,
  succeeded,
} from './etcd.ts';
import type { EtcdServer, Ports, Version } from './etcd.ts';
import { databaseIn, defragOffline, killUnderLoad, restoreSingle, serve, startQuick } from './healthy.ts';

const OPTIONS: DefragOptions = { timeoutMs: 300 };
/** How much larger than etcdutl's our result may be. */
const EXCESS_MAX = 1.02;

/** Everything a client can see, in a form that compares. */
async function contentOf(server: EtcdServer, heldRevision: number): Promise<unknown> {
  const lines = async (...args: string[]): Promise<string[]> =>
    (await ask(server, args)).stdout.split('\n').filter((line) => line !== '');
  const json = async (...args: string[]): Promise<Record<string, unknown>> =>
    parseEtcdJson((await ask(server, ['--write-out=json', ...args])).stdout) as Record<string, unknown>;
  const leases: unknown[] = [];
  const { leases: rows = [] } = (await json('lease', 'list')) as { leases?: { id: unknown }[] };
  for (const id of rows.map((row) => String(row.id)).sort()) {
    // etcdctl takes a signed number in hex; behind `--` it may begin with a minus.
    const hex = BigInt(id).toString(16);
    const { 'granted-ttl': granted, keys } = await json('lease', 'timetolive', '--keys', '--', hex);
    leases.push({ id, granted, keys: [...((keys ?? []) as string[])].sort() });
  }
  const users = await Promise.all((await lines('user', 'list')).map((name) => lines('user', 'get', name)));
  const roles = await Promise.all((await lines('role', 'list')).map((name) => lines('role', 'get', name)));
  const { members } = (await json('member', 'list')) as { members: Record<string, unknown>[] };
  const { header, kvs } = await getAll(server);
  return {
    revision: header.revision,
    clusterId: header.clusterId,
    kvs,
    hashes: [(await hashKv(server)).hash, (await hashKv(server, heldRevision)).hash],
    leases,
    users,
    roles,
    alarms: await lines('alarm', 'list'),
    members: members.map(({ ID, name, peerURLs }) => ({ ID, name, peerURLs })),
  };
}

/** A stopped directory with keys, history, leases, users and many free pages, and what its server showed. */
interface Stopped {
  dataDir: string;
  backup: string;
  ports: Ports;
  heldRevision: number;
  content: unknown;
}

async function makeStopped(version: Version, folder: string): Promise<Stopped> {
  const dataDir = join(folder, 'data');
  const backup = join(folder, 'backup.db');
  const ports = await freeMemberPorts();
  return serve(version, { dataDir, ports }, async (server) => {
    await runLoad(server, { kind: 'bench', revisions: 2500, keys: 700, valueMax: 2500 });
    await runLoad(server, { kind: 'bench', revisions: 60, keys: 30, valueMax: 40_000, seed: 2 });
    const { revision } = await runLoad(server, { kind: 'mixed', operations: 200, seed: 21, compact: false });
    await compactPhysically(server, revision - 60);
    await snapshotSave(server, backup);
    const heldRevision = revision - 30;
    return { dataDir, backup, ports, heldRevision, content: await contentOf(server, heldRevision) };
  });
}

async function statusBy(version: Version, path: string): Promise<{ hash: number; totalSize: number }> {
  const tool = version === '3.4' ? etcdctl : etcdutl;
  const { stdout } = await succeeded(tool(version, ['snapshot', 'status', path, '--write-out=json']));
  return JSON.parse(stdout) as { hash: number; totalSize: number };
}

/** Without the log, which the offline tools do not read. */
function copyDatabaseOnly(dataDir: string, copy: string): string {
  cpSync(dirname(databaseIn(dataDir)), dirname(databaseIn(copy)), { recursive: true });
  return copy;
}

for (const version of VERSIONS) {
  test(
    `a stopped directory of etcd ${version}, defragmented`,
    { skip: skipReason(version) || skipReason('3.7') },
    async (t) => {
      const folder = scratch(t);
      const { dataDir, backup, ports, heldRevision, content } = await makeStopped(version, folder);
      const database = databaseIn(dataDir);
      const before = await statusBy(version, database);
      const { mode, ino } = statSync(database);

      const theirs = databaseIn(copyDatabaseOnly(dataDir, join(folder, 'theirs')));
      await defragOffline(version, join(folder, 'theirs'));

      const predicted = await unchanged(database, () =>
        defragment({ dataDir }, { ...OPTIONS, isDryRun: true }, plainContext()),
      );
      const report = await defragment({ dataDir }, OPTIONS, plainContext());
      const after = statSync(database);
      assert.equal(after.size, predicted.sizeAfterBytes);
      assert.equal(after.size, report.sizeAfterBytes);
      assert.equal(after.mode, mode);
      assert.notEqual(after.ino, ino, 'it was written in place');
      assert.deepEqual(
        readdirSync(dirname(database)).filter((name) => name.startsWith('db')),
        ['db'],
      );

      const ours = await statusBy(version, database);
      assert.equal(ours.hash, before.hash);
      assert.equal(report.hash, before.hash);
      const { totalSize } = await statusBy(version, theirs);
      t.diagnostic(`${before.totalSize} bytes become ${ours.totalSize}, by etcd's own tool ${totalSize}`);
      assert.ok(
        ours.totalSize <= totalSize * EXCESS_MAX,
        `${ours.totalSize} bytes, of which etcd's own tool makes ${totalSize}`,
      );
      assert.ok(after.size <= statSync(theirs).size);
      assert.equal((await bbolt(['check', database])).stdout, 'OK\n');

      await serve(version, { dataDir, ports, unsafeNoFsync: false }, async (server) => {
        assert.deepEqual(await contentOf(server, heldRevision), content);
        await runLoad(server, { kind: 'bench', revisions: 300, keys: 90, seed: 3 });
        assert.equal((await hashKv(server, heldRevision)).hash, (content as { hashes: number[] }).hashes[1]);
      });
      const { verdict, findings } = await verify(dataDir);
      assert.match(verdict, /^GOOD/, JSON.stringify(findings));
      await compareBackup(version, { folder, backup, content });
    },
  );
}

/** A backup keeps its trailer, a new one, and the version's own tool restores it. */
async function compareBackup(
  version: Version,
  made: { folder: string; backup: string; content: unknown },
): Promise<void> {
  const { folder, backup, content } = made;
  const output = join(folder, 'packed.db');
  const predicted = await defragment(
    { file: backup, output },
    { ...OPTIONS, isDryRun: true },
    plainContext(),
  );
  const report = await unchanged(backup, () => defragment({ file: backup, output }, OPTIONS, plainContext()));
  assert.equal(statSync(output).size, report.sizeAfterBytes);
  assert.equal(report.sizeAfterBytes, predicted.sizeAfterBytes);
  const status = await snapshotStatus(output, plainContext());
  assert.equal(status.digest, 'good');
  assert.equal(status.hash, (await statusBy(version, backup)).hash);

  const dataDir = join(folder, 'restored');
  const ports = await freeMemberPorts();
  await restoreSingle(version, output, { dataDir, ports });
  const { kvs, hashes } = content as { kvs: unknown; hashes: number[] };
  await serve(version, { dataDir, ports }, async (server) => {
    assert.deepEqual((await getAll(server)).kvs, kvs);
    assert.equal((await hashKv(server)).hash, hashes[0]);
  });
}

for (const version of VERSIONS) {
  test(`etcd ${version} at work is left alone`, { skip: skipReason(version) }, async (t) => {
    const dataDir = join(scratch(t), 'data');
    const database = databaseIn(dataDir);
    const server = await startQuick(version, { dataDir });
    t.after(() => server.kill());
    await runLoad(server, { kind: 'mixed', operations: 40 });
    const isHeld = (error: unknown): boolean => error instanceof ToolError && error.code === 'lock.held';
    const { ino } = statSync(database);
    const began = performance.now();
    await assert.rejects(defragment({ dataDir }, OPTIONS, plainContext()), isHeld);
    await assert.rejects(defragment({ file: database, inPlace: true }, OPTIONS, plainContext()), isHeld);
    assert.ok(performance.now() - began < 5000);
    assert.equal(statSync(database).ino, ino);
    assert.deepEqual(
      readdirSync(dirname(database)).filter((name) => name !== 'db'),
      [],
    );
    await ask(server, ['put', 'still', 'there']);
    await server.stop();
    const copy = `${database}-copy`;
    copyFileSync(database, copy);
    const { hash } = await statusBy(version, copy);
    assert.equal((await defragment({ file: copy, inPlace: true }, OPTIONS, plainContext())).hash, hash);
    assert.equal((await statusBy(version, copy)).hash, hash);
  });

  test(`etcd ${version} killed under load, then defragmented`, { skip: skipReason(version) }, async (t) => {
    const dataDir = join(scratch(t), 'data');
    const server = await startQuick(version, { dataDir, snapshotCount: 500 });
    await killUnderLoad(server, 400);
    const copy = `${dataDir}-copy`;
    cpSync(dataDir, copy, { recursive: true });
    await defragment({ dataDir }, OPTIONS, plainContext());
    // The log after the database's last entry is played back in both.
    const contents: unknown[] = [];
    for (const directory of [dataDir, copy]) {
      contents.push(
        await serve(version, { dataDir: directory }, async (one) => {
          const { header, kvs } = await getAll(one);
          return { revision: header.revision, kvs, hash: (await hashKv(one)).hash };
        }),
      );
      rmSync(directory, { recursive: true });
    }
    assert.deepEqual(contents[0], contents[1], basename(dataDir));
  });
}

/** Messages of the backend with the names of their fields. */
function messagesOf(stderr: string): Array<[message: string, fields: string[]]> {
  return stderr
    .split('\n')
    .map((line) => line.split('\t'))
    .filter((columns) => /defragmenting/.test(columns[3] ?? ''))
    .map(([, , , message, fields]) => [message!, Object.keys(JSON.parse(fields!) as object)]);
}

for (const version of ['3.5', '3.6', '3.7'] as const) {
  test(`what is logged, as by etcdutl ${version}`, { skip: skipReason(version) }, async (t) => {
    const folder = scratch(t);
    const logs = ['theirs', 'ours'].map((name) => {
      const dataDir = join(folder, name);
      cpSync(join(memberDir('3.6'), 'snap'), dirname(databaseIn(dataDir)), { recursive: true });
      return dataDir;
    });
    const theirs = messagesOf((await succeeded(etcdutl(version, ['defrag', '--data-dir', logs[0]!]))).stderr);
    const args = ['defrag', '--data-dir', logs[1]!, `--compat=${version}`];
    const { stderr } = spawnSync(process.execPath, [join(projectRoot(), 'bin', 'etcdkit.js'), ...args], {
      encoding: 'utf8',
    });
    // What is in use is known only once the pages have been walked.
    const isKnownLater = (field: string): boolean => field.startsWith('current-db-size-in-use');
    const [begin, ...rest] = theirs;
    assert.deepEqual(messagesOf(stderr), [
      [begin![0], begin![1].filter((field) => !isKnownLater(field))],
      ...rest,
    ]);
    assert.equal(theirs.length, 2);
    const absent = await etcdutl(version, ['defrag', '--data-dir', join(folder, 'absent')]);
    const last = (text: string): string => text.trimEnd().split('\n').at(-1)!;
    const ours = spawnSync(
      process.execPath,
      [
        join(projectRoot(), 'bin', 'etcdkit.js'),
        'defrag',
        '--data-dir',
        join(folder, 'absent'),
        `--compat=${version}`,
      ],
      { encoding: 'utf8' },
    );
    assert.equal(last(ours.stderr), last(absent.stderr));
  });
}
