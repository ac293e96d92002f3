// The harness itself, on each version: what it starts answers, holds what was written, and goes away again.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import {
  BUILT_VERSIONS,
  OracleError,
  VERSIONS,
  ask,
  bbolt,
  endpointStatus,
  etcdctl,
  etcdutl,
  freeMemberPorts,
  getAll,
  hashKv,
  oracle,
  parseEtcdJson,
  peerUrlOf,
  runLoad,
  skipReason,
  snapshotSave,
  startCluster,
  startEtcd,
  succeeded,
  untilHealthy,
} from './etcd.ts';
import { makeBenchDatabase } from './bench-database.ts';
import type { EtcdServer, StartOptions, Version } from './etcd.ts';

function scratch(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'etcdkit-oracle-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function started(t: TestContext, version: Version, options: StartOptions): Promise<EtcdServer> {
  const server = await startEtcd(version, options);
  t.after(() => server.kill());
  return server;
}

/** What the version's own tool says about a snapshot file. */
async function snapshotStatus(version: Version, file: string): Promise<Record<string, unknown>> {
  const tool = version === '3.4' ? etcdctl : etcdutl;
  const { stdout } = await succeeded(tool(version, ['snapshot', 'status', file, '--write-out=json']));
  return parseEtcdJson(stdout) as Record<string, unknown>;
}

test('what is absent is said aloud', (t) => {
  const { reason } = oracle();
  if (reason !== undefined) t.diagnostic(`NOT COMPARED: ${reason}`);
});

for (const version of VERSIONS) {
  const skip = skipReason(version);

  test(`etcd ${version}: workload, hash, snapshot, stop and start again`, { skip }, async (t) => {
    const folder = scratch(t);
    const dataDir = join(folder, 'data');
    const server = await started(t, version, { dataDir, snapshotCount: 50 });
    const report = await runLoad(server, { kind: 'mixed', operations: 200, seed: 7 });
    assert.ok(report.leasesRevoked > 0 && report.compactions > 0 && report.txns > 0);

    const hash = await hashKv(server);
    assert.deepEqual(await hashKv(server), hash);
    assert.equal(hash.header.revision, report.revision);
    assert.equal(hash.compactRevision, report.compactRevision);
    const { header, kvs } = await getAll(server);
    assert.equal(header.revision, report.revision);
    assert.ok(kvs.length > 10 && kvs.some((kv) => kv.lease !== 0n));
    assert.ok((await getAll(server, report.compactRevision)).kvs.length > 0);

    const snapshot = join(folder, 'snapshot.db');
    await snapshotSave(server, snapshot);
    assert.equal((await snapshotStatus(version, snapshot))['revision'], report.revision);

    await server.stop();
    const again = await started(t, version, { dataDir });
    assert.equal((await hashKv(again)).hash, hash.hash);
    await again.stop();
  });

  test(`etcd ${version}: the same seed makes the same keys`, { skip }, async (t) => {
    const folder = scratch(t);
    const [one, two] = await Promise.all(
      ['one', 'two'].map((name) => started(t, version, { dataDir: join(folder, name) })),
    );
    const load = { kind: 'mixed', operations: 100, seed: 3, users: false } as const;
    assert.equal((await runLoad(one!, load)).revision, (await runLoad(two!, load)).revision);
    assert.equal((await hashKv(one!)).hash, (await hashKv(two!)).hash);
  });
}

for (const version of BUILT_VERSIONS) {
  test(
    `etcd ${version}: restore starts under the ports it was made for`,
    { skip: skipReason(version) },
    async (t) => {
      const folder = scratch(t);
      const snapshot = join(folder, 'snapshot.db');
      const source = await started(t, version, { dataDir: join(folder, 'source') });
      await runLoad(source, { kind: 'bench', revisions: 300, keys: 60 });
      await snapshotSave(source, snapshot);
      const { hash } = await hashKv(source);
      await source.stop();

      const ports = await freeMemberPorts();
      const dataDir = join(folder, 'restored');
      const urls = [
        `--initial-cluster=m1=${peerUrlOf(ports)}`,
        `--initial-advertise-peer-urls=${peerUrlOf(ports)}`,
      ];
      const args = ['snapshot', 'restore', snapshot, '--name=m1', `--data-dir=${dataDir}`, ...urls];
      await succeeded(etcdutl(version, args));
      const restored = await started(t, version, { dataDir, name: 'm1', ports });
      assert.equal((await hashKv(restored)).hash, hash);
    },
  );
}

test('a cluster of three, auth on, a follower killed', { skip: skipReason('3.6') }, async (t) => {
  const folder = scratch(t);
  const members = ['a', 'b', 'c'].map((name) => ({ name, dataDir: join(folder, name) }));
  const servers = await startCluster('3.6', members);
  t.after(() => Promise.all(servers.map((server) => server.kill())));
  await runLoad(servers[0]!, { kind: 'mixed', operations: 60, auth: true });
  await assert.rejects(getAll(servers[0]!), OracleError);
  // A follower: killing the leader fails whatever is under way until there is a new one.
  const user = 'root:root';
  const states = await Promise.all(servers.map((server) => endpointStatus({ ...server, user })));
  const follower = states.findIndex((state) => state.header.memberId !== state.leader);
  await servers[follower]!.kill();
  const other = servers[(follower + 1) % 3]!;
  await untilHealthy(other);
  const asRoot = { ...other, user };
  await ask(asRoot, ['put', 'after', 'the kill']);
  assert.ok((await getAll(asRoot)).kvs.some((kv) => kv.value.toString() === 'the kill'));
});

test('a server that cannot start says why', { skip: skipReason('3.6') }, async (t) => {
  const starting = startEtcd('3.6', { dataDir: scratch(t), args: ['--no-such-flag'] });
  await assert.rejects(starting, /exited before it was healthy[^]*no-such-flag/);
});

test('bbolt checks and compacts a stopped database', { skip: skipReason('3.7') }, async (t) => {
  const folder = scratch(t);
  const server = await started(t, '3.7', { dataDir: folder });
  await runLoad(server, { kind: 'bench', revisions: 300, keys: 60 });
  await server.stop();
  const db = join(folder, 'member', 'snap', 'db');
  assert.deepEqual(await bbolt(['check', db]), { code: 0, stdout: 'OK\n', stderr: '' });
  assert.match((await bbolt(['compact', '-o', join(folder, 'compacted'), db])).stdout, /gain=/);
  const shortened = await bbolt(['chec', db]);
  assert.equal(shortened.code, 1);
});

test('a bench database has the asked size and is half empty', { skip: skipReason('3.6') }, async (t) => {
  const sizeBytes = 8e6;
  const report = await makeBenchDatabase(join(scratch(t), 'bench.db'), { sizeBytes });
  assert.ok(Math.abs(report.sizeBytes / sizeBytes - 1) < 0.25, JSON.stringify(report));
  assert.ok(report.usedBytes < report.sizeBytes * 0.7, JSON.stringify(report));
  const status = await snapshotStatus('3.6', report.targetPath);
  assert.equal(status['revision'], report.revision);
});

test('a tool that takes too long is ended', { skip: skipReason('3.6') }, async () => {
  const forEver = etcdctl('3.6', ['watch', 'key'], { endpoint: 'http://127.0.0.1:9', timeoutMs: 200 });
  await assert.rejects(forEver, /took over 200 ms/);
});

test('numbers beyond 2^53 are not rounded', () => {
  const text =
    '[{"id":14841639068965178418,"lease":-7587890245135411234,"n":5,"text":"a\\":1234567890123456789"}]';
  assert.deepEqual(parseEtcdJson(text), [
    { id: '14841639068965178418', lease: '-7587890245135411234', n: 5, text: 'a":1234567890123456789' },
  ]);
});
