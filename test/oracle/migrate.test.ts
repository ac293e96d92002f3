// What `migrate` makes of real data, started under the real target. Every ordered pair of 3.5, 3.6 and 3.7, each
// with and without a .snap file behind the last version entry and v2 request. Where it refuses, upstream's own
// result must fail to start, and ours must start with the fix.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, rmSync, unlinkSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { plainContext } from '../../src/ops/context.ts';
import { migrate, type MigrateOptions, type MigrateReport } from '../../src/ops/upkeep/migrate.ts';
import { parseTarget } from '../../src/ops/upkeep/migrate-plan.ts';
import { internalRaftRequest } from '../../src/format/proto/rpcpb.ts';
import { unpacked } from '../support/fixtures.ts';
import { appendTo, copyMember } from '../support/member-copy.ts';
import {
  ask,
  type EtcdServer,
  etcdutl,
  freeMemberPorts,
  getAll,
  hashKv,
  type KeyValue,
  OracleError,
  peerUrlOf,
  type Ports,
  runLoad,
  skipReason,
  snapshotSave,
  startCluster,
  startEtcd,
  succeeded,
} from './etcd.ts';

const TESTED = ['3.5', '3.6', '3.7'] as const;
type Tested = (typeof TESTED)[number];

const skip = TESTED.map((version) => skipReason(version)).find((reason) => reason !== false) ?? false;
const BLOCKED = { code: 'migrate.blocked' };

/** A stopped member, and what its server said of its keys. */
interface Source {
  dataDir: string;
  ports: Ports;
  state: KeyState;
}

interface KeyState {
  revision: number;
  hash: number;
  kvs: KeyValue[];
}

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'etcdkit-migrate-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Unless told otherwise up to one revision: later ones are the target's own. */
async function keyState(server: EtcdServer, upTo = 0): Promise<KeyState> {
  const { header, kvs } = await getAll(server, upTo);
  const revision = upTo || header.revision;
  return { revision, hash: (await hashKv(server, revision)).hash, kvs };
}

async function makeSource(
  version: Tested,
  options: { name: string; snapshotCount?: number; isKilled?: boolean },
): Promise<Source> {
  const dataDir = join(folder, options.name);
  const ports = await freeMemberPorts();
  const { snapshotCount } = options;
  const server = await startEtcd(version, {
    dataDir,
    ports,
    unsafeNoFsync: true,
    ...(snapshotCount ? { snapshotCount } : {}),
  });
  await runLoad(server, { kind: 'mixed', operations: 150, seed: 11 });
  const state = await keyState(server);
  await (options.isKilled ? server.kill() : server.stop());
  return { dataDir, ports, state };
}

function copyOf(source: Source, name: string): string {
  const dataDir = join(folder, name);
  cpSync(source.dataDir, dataDir, { recursive: true });
  return dataDir;
}

function run(dataDir: string, to: string, over: Partial<MigrateOptions> = {}): Promise<MigrateReport> {
  return migrate({ dataDir, target: parseTarget(to), timeoutMs: 1000, ...over }, plainContext());
}

/** Fails when upstream's own migration gives something that starts after all: then our refusal would be wrong. */
async function assertUpstreamDies(dataDir: string, from: Tested, to: Tested, ports: Ports): Promise<void> {
  const tool = from === '3.7' || to === '3.7' ? '3.7' : '3.6';
  await succeeded(etcdutl(tool, ['migrate', `--data-dir=${dataDir}`, `--target-version=${to}`]));
  await assert.rejects(async () => {
    const server = await startEtcd(to, { dataDir, ports, timeoutMs: 15_000 });
    await server.kill();
  }, OracleError);
}

/** Boots the target twice: keys as before, members answer, writes go through, the cluster version follows. */
async function assertBoots(
  t: TestContext,
  dataDir: string,
  to: Tested,
  { ports, state }: Pick<Source, 'ports' | 'state'>,
  name?: string,
): Promise<void> {
  for (const round of ['first', 'second']) {
    const server = await startEtcd(to, { dataDir, ports, ...(name ? { name } : {}) });
    t.after(() => server.kill());
    assert.deepEqual(await keyState(server, state.revision), state, `${round} start`);
    const { stdout } = await ask(server, ['member', 'list']);
    assert.match(stdout, new RegExp(`started, ${name ?? 'default'}, ${peerUrlOf(ports)}`));
    await ask(server, ['put', `after/${round}`, 'x']);
    await untilClusterVersion(server, to);
    await server.stop();
  }
}

async function untilClusterVersion(server: EtcdServer, version: Tested): Promise<void> {
  for (let i = 0; ; i++) {
    const text = await new Promise<string>((fulfil, reject) => {
      get(`${server.endpoint}/version`, { agent: false }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (part: string) => (body += part));
        response.once('end', () => fulfil(body));
      }).once('error', reject);
    });
    const { etcdcluster } = JSON.parse(text) as { etcdcluster: string };
    if (etcdcluster === `${version}.0`) return;
    assert.ok(i < 60, `the cluster version stays at ${etcdcluster}`);
    await delay(250);
  }
}

const SNAPS = [
  { label: 'with a .snap behind', snapshotCount: 40 },
  { label: 'without a .snap', snapshotCount: undefined },
];

/** Where upstream's result does not start; everything else must work without the fix. */
function isBlocked(from: Tested, to: Tested, hasSnap: boolean): boolean {
  return TESTED.indexOf(to) < TESTED.indexOf(from) || (from === '3.5' && to === '3.7' && !hasSnap);
}

for (const from of TESTED) {
  for (const { label, snapshotCount } of SNAPS) {
    describe(`from ${from} ${label}`, { skip }, () => {
      const name = `${from}-${snapshotCount ?? 'none'}`;
      let source: Source;
      before(async () => {
        if (skip === false)
          source = await makeSource(from, { name, ...(snapshotCount ? { snapshotCount } : {}) });
      });
      after(() => rmSync(join(folder, name), { recursive: true, force: true }));

      for (const to of TESTED.filter((version) => version !== from)) {
        const hasSnap = snapshotCount !== undefined;
        test(`to ${to}${isBlocked(from, to, hasSnap) ? ', refused without the fix' : ''}`, async (t) => {
          assert.equal(
            readdirSync(join(source.dataDir, 'member', 'snap')).some((file) => file.endsWith('.snap')),
            hasSnap,
          );
          const dataDir = copyOf(source, `${name}-to-${to}`);
          t.after(() => rmSync(dataDir, { recursive: true, force: true }));
          if (isBlocked(from, to, hasSnap)) {
            await assert.rejects(run(dataDir, to), BLOCKED);
            const plain = copyOf(source, `${name}-to-${to}-plain`);
            t.after(() => rmSync(plain, { recursive: true, force: true }));
            await assertUpstreamDies(plain, from, to, source.ports);
            const report = await run(dataDir, to, { fixClusterVersion: true });
            assert.ok(report.fixes.length > 0);
          } else {
            const report = await run(dataDir, to, { fixClusterVersion: hasSnap });
            assert.deepEqual([report.found, report.fixes], [[], []]);
          }
          await assertBoots(t, dataDir, to, source);
        });
      }
    });
  }
}

test('what upstream migrated and could not start is mended', { skip }, async (t) => {
  const source = await makeSource('3.6', { name: 'stuck' });
  await succeeded(etcdutl('3.6', ['migrate', `--data-dir=${source.dataDir}`, '--target-version=3.5']));
  await assert.rejects(run(source.dataDir, '3.5'), BLOCKED);
  const report = await run(source.dataDir, '3.5', { fixClusterVersion: true });
  assert.deepEqual([report.from, report.steps], ['3.5', []]);
  await assertBoots(t, source.dataDir, '3.5', source);
});

test('a killed member, its commit index behind, 3.7 to 3.5', { skip }, async (t) => {
  const source = await makeSource('3.7', { name: 'killed', isKilled: true });
  await run(source.dataDir, '3.5', { fixClusterVersion: true });
  await assertBoots(t, source.dataDir, '3.5', source);
});

test('after `downgrade enable` nothing stands in the way of 3.5', { skip }, async (t) => {
  const dataDir = join(folder, 'downgrading');
  const ports = await freeMemberPorts();
  const server = await startEtcd('3.6', { dataDir, ports });
  await runLoad(server, { kind: 'mixed', operations: 60, seed: 4 });
  await ask(server, ['downgrade', 'enable', '3.5']);
  await untilClusterVersion(server, '3.5');
  const state = await keyState(server);
  await server.stop();
  const report = await run(dataDir, '3.5');
  assert.deepEqual(report.fixes, []);
  await assertBoots(t, dataDir, '3.5', { ports, state });
});

test('a restored member, 3.7 to 3.5 and 3.5 to 3.7', { skip }, async (t) => {
  for (const [from, to] of [
    ['3.7', '3.5'],
    ['3.5', '3.7'],
  ] as const) {
    const source = await makeSource(from, { name: `restored-from-${from}` });
    const backup = join(folder, `${from}.db`);
    const again = await startEtcd(from, { dataDir: source.dataDir, ports: source.ports });
    await snapshotSave(again, backup);
    const state = await keyState(again);
    await again.stop();
    const dataDir = join(folder, `restored-${from}`);
    const urls = [
      `--initial-cluster=m1=${peerUrlOf(source.ports)}`,
      `--initial-advertise-peer-urls=${peerUrlOf(source.ports)}`,
    ];
    await succeeded(
      etcdutl(from, ['snapshot', 'restore', backup, '--name=m1', `--data-dir=${dataDir}`, ...urls]),
    );
    await run(dataDir, to, { fixClusterVersion: true });
    await assertBoots(t, dataDir, to, { ports: source.ports, state }, 'm1');
  }
});

test('the log in a directory of its own, 3.5 to 3.7 and back', { skip }, async (t) => {
  const [dataDir, walDir] = [join(folder, 'apart'), join(folder, 'apart-wal')];
  const ports = await freeMemberPorts();
  const server = await startEtcd('3.5', { dataDir, walDir, ports });
  await runLoad(server, { kind: 'mixed', operations: 60, seed: 5 });
  const state = await keyState(server);
  await server.stop();
  for (const version of ['3.7', '3.5'] as const) {
    await run(dataDir, version, { walDir, fixClusterVersion: true });
    const next = await startEtcd(version, { dataDir, walDir, ports });
    t.after(() => next.kill());
    assert.deepEqual(await keyState(next, state.revision), state);
    await next.stop();
  }
});

test('three members, 3.7 to 3.5, one of them behind', { skip }, async (t) => {
  const members: { name: string; dataDir: string; ports: Ports }[] = [];
  for (const name of ['a', 'b', 'c'])
    members.push({ name, dataDir: join(folder, `cluster-${name}`), ports: await freeMemberPorts() });
  const servers = await startCluster('3.7', members);
  t.after(() => Promise.all(servers.map((server) => server.kill())));
  await runLoad(servers[0]!, { kind: 'mixed', operations: 80, seed: 6 });
  await servers[2]!.stop();
  await runLoad(servers[0]!, { kind: 'mixed', operations: 40, seed: 7, prefix: 'more/', users: false });
  const state = await keyState(servers[0]!);
  await Promise.all(servers.slice(0, 2).map((server) => server.stop()));

  for (const { dataDir } of members) await run(dataDir, '3.5', { fixClusterVersion: true });
  const older = await startCluster('3.5', members);
  t.after(() => Promise.all(older.map((server) => server.kill())));
  await ask(older[2]!, ['put', 'after', 'x']);
  for (const server of older) {
    // A linearizable read on each first: then all of them have applied the put.
    await ask(server, ['get', 'after']);
    assert.deepEqual(await keyState(server, state.revision), state, server.name);
  }
  await untilClusterVersion(older[0]!, '3.5');
  await Promise.all(older.map((server) => server.stop()));
});

// Real directories whose log goes on for 43 entries of every kind behind what the database has applied.
const TAILS = [
  { from: '3.5', to: '3.7', hash: 1157068168 },
  { from: '3.6', to: '3.5', hash: 1621837206 },
  { from: '3.7', to: '3.6', hash: 1327882513 },
] as const;

const tailOf = (version: Tested): string => unpacked(`tail/tail-before-${version}.tar.gz`, `tail-${version}`);

async function assertTailBoots(
  t: TestContext,
  version: Tested,
  dataDir: string,
  hash: number,
): Promise<void> {
  const server = await startEtcd(version, { dataDir });
  t.after(() => server.kill());
  assert.equal((await hashKv(server, 25)).hash, hash);
  await server.stop();
}

for (const { from, to, hash } of TAILS) {
  test(`a database behind its log, ${from} to ${to}, killed between any two renames`, { skip }, async (t) => {
    const done = join(folder, `tail-${from}-to-${to}`);
    cpSync(tailOf(from), done, { recursive: true });
    await run(done, to, { fixClusterVersion: true });
    const snap = readdirSync(join(done, 'member', 'snap')).find((name) => name.endsWith('.snap'))!;
    const segment = readdirSync(join(done, 'member', 'wal')).find((name) => name.endsWith('.wal'))!;
    // The old database with the new .snap alone, then with the new segment as well: still the old version's.
    for (const files of [[`snap/${snap}`], [`snap/${snap}`, `wal/${segment}`]]) {
      const between = `${done}-${files.length}`;
      cpSync(tailOf(from), between, { recursive: true });
      for (const file of files) cpSync(join(done, 'member', file), join(between, 'member', file));
      await assertTailBoots(t, from, between, hash);
    }
    await assertTailBoots(t, to, done, hash);
  });
}

test('a version entry that the database has not seen: refused, since 3.5 dies of it', { skip }, async () => {
  const dataDir = copyMember(folder, join(tailOf('3.6'), 'member'), 'unseen');
  const data = internalRaftRequest.encode({ header: { id: 1n }, clusterVersionSet: { ver: '3.6.0' } });
  appendTo(dataDir, (writer) => writer.entry({ type: 0, term: 2, index: 62, data }));
  await assert.rejects(run(dataDir, '3.5', { fixClusterVersion: true }), BLOCKED);
  await run(dataDir, '3.5', { fixClusterVersion: true, force: true });
  await assert.rejects(
    startEtcd('3.5', { dataDir, timeoutMs: 15_000 }),
    /server version is lower than determined cluster version/,
  );
});

test('a member without its .snap files, 3.7 to 3.6', { skip }, async (t) => {
  const source = await makeSource('3.7', { name: 'snapless', snapshotCount: 40 });
  const snapDir = join(source.dataDir, 'member', 'snap');
  for (const file of readdirSync(snapDir)) if (file.endsWith('.snap')) unlinkSync(join(snapDir, file));
  await run(source.dataDir, '3.6', { fixClusterVersion: true });
  await assertBoots(t, source.dataDir, '3.6', source);
});
