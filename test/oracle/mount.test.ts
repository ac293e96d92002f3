// A mount of a backup answers etcd's own client as a real etcd 3.6 does that was started on what etcdutl restored
// from the same backup; and what changes keys works over a scratch layer.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ascending } from '../../src/bytes/order.ts';
import { fixture, unpacked } from '../support/fixtures.ts';
import { scratch } from '../support/scratch.ts';
import { unchanged } from '../support/unchanged.ts';
import {
  ask,
  type EtcdServer,
  etcdctl,
  etcdutl,
  freeMemberPorts,
  getAll,
  hashKv,
  peerUrlOf,
  runTool,
  skipReason,
  startEtcd,
  succeeded,
  type Target,
} from './etcd.ts';
import { type MountProcess, startMountProcess } from './mounted.ts';

const skip = skipReason('3.6');

const BACKUPS = [
  ['etcd 3.6', fixture('snap/snap-3.6.db')],
  ['a kube-apiserver', unpacked('kubernetes/k8s-small-3.6.db.gz', 'k8s-small-3.6.db')],
] as const;

async function mountOf(t: TestContext, path: string, args: readonly string[] = []): Promise<MountProcess> {
  const mount = await startMountProcess(path, args);
  t.after(() => mount.stop());
  return mount;
}

/** Real etcd on what real etcdutl restored. */
async function restoredEtcd(t: TestContext, backup: string): Promise<EtcdServer> {
  const dataDir = join(scratch(t), 'restored');
  const ports = await freeMemberPorts();
  const url = peerUrlOf(ports);
  const args = [
    `--data-dir=${dataDir}`,
    `--initial-cluster=default=${url}`,
    `--initial-advertise-peer-urls=${url}`,
  ];
  await succeeded(etcdutl('3.6', ['snapshot', 'restore', backup, '--name=default', ...args]));
  const server = await startEtcd('3.6', { dataDir, ports });
  t.after(() => server.stop());
  return server;
}

/** What etcdctl prints, without who answered. */
async function said(target: Target, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await etcdctl('3.6', args, { endpoint: target.endpoint });
  return `${code}\n${stdout}\n${stderr}`
    .replaceAll(/127\.0\.0\.1:\d+/g, '<address>')
    .replaceAll(/"(cluster_id|member_id|raft_term)":\d+,?/g, '')
    .replaceAll(/"(?:ts|caller|logger)":"[^"]*",?/g, '')
    .replaceAll(/"target":"[^"]*",?/g, '');
}

/** So many lines of a watch, which does not end by itself. */
async function watched(target: Target, args: readonly string[], count: number): Promise<string[]> {
  const control = new AbortController();
  const lines: string[] = [];
  const onLine = (line: string): void => {
    lines.push(line);
    if (lines.length >= count) control.abort();
  };
  await etcdctl('3.6', ['watch', ...args], {
    endpoint: target.endpoint,
    onLine,
    interrupt: control.signal,
    timeoutMs: 20_000,
  });
  return lines.slice(0, count);
}

for (const [name, backup] of BACKUPS) {
  test(`etcdctl is told the same of a backup of ${name} as by real etcd`, { skip }, async (t) => {
    await unchanged(backup, async () => {
      const [real, mount] = await Promise.all([restoredEtcd(t, backup), mountOf(t, backup)]);
      const { header, kvs } = await getAll(mount);
      const { revision } = header;
      assert.ok(kvs.length > 3);
      const { compactRevision } = await hashKv(real);
      const past = Math.max(compactRevision, revision - 3);
      for (const args of [
        ['get', '', '--prefix'],
        ['get', '', '--prefix', '--write-out=json'],
        ['get', '', '--prefix', '--keys-only', '--order=DESCEND', '--sort-by=MODIFY', '--limit=5'],
        ['get', '', '--prefix', '--count-only', '--write-out=json'],
        ['get', '', '--prefix', `--rev=${past}`],
        ['get', '', '--prefix', `--rev=${revision + 1}`],
        ['get', 'no such key'],
        ...(compactRevision > 1 ? [['get', '', '--prefix', `--rev=${compactRevision - 1}`]] : []),
        ['endpoint', 'hashkv'],
        ['endpoint', 'hashkv', `--rev=${past + 1}`],
        ['endpoint', 'hashkv', '--write-out=json'],
        ['endpoint', 'hashkv', `--rev=${revision + 1}`],
        ['alarm', 'list'],
      ])
        assert.equal(await said(mount, args), await said(real, args), args.join(' '));
      // Real etcd lists them by what is left of each; in a mount time stands still.
      const leases = async (target: Target): Promise<string[]> =>
        (await said(target, ['lease', 'list'])).split('\n').sort(ascending);
      assert.deepEqual(await leases(mount), await leases(real));
      const rev = [`--rev=${past + 1}`, '--prefix', ''];
      const events = await watched(real, rev, 6);
      assert.deepEqual(await watched(mount, rev, 6), events);
      assert.equal(events.length, 6);
    });
  });
}

test('the members of the backup are listed, and a health check passes', { skip }, async (t) => {
  const mount = await mountOf(t, fixture('snap/snap-3.6.db'));
  const { stdout } = await ask(mount, ['member', 'list']);
  assert.match(stdout, /^[0-9a-f]+, started, \S+, http:\/\/\S+, http:\/\/\S+, false\n$/);
  await ask(mount, ['endpoint', 'health']);
  const refused = await etcdctl('3.6', ['put', 'a', 'b'], { endpoint: mount.endpoint });
  assert.match(refused.stderr, /served read-only; serve it with --scratch/);
  assert.notEqual(refused.code, 0);
  assert.equal(await mount.stop(), 0);
});

test(
  'an older revision is the last one for clients, as for an etcd that was stopped there',
  { skip },
  async (t) => {
    const backup = BACKUPS[1][1];
    const whole = await mountOf(t, backup);
    const { revision } = (await getAll(whole)).header;
    const past = revision - 20;
    const mount = await mountOf(t, backup, [`--rev=${past}`]);
    const [shown, expected] = [await getAll(mount), await getAll(whole, past)];
    assert.deepEqual(shown.kvs, expected.kvs);
    assert.equal(shown.header.revision, past);
    assert.equal((await hashKv(mount)).hash, (await hashKv(whole, past)).hash);
  },
);

test('a kube-apiserver’s pattern works over a scratch layer, and the backup stays', { skip }, async (t) => {
  const backup = BACKUPS[1][1];
  await unchanged(backup, async () => {
    const mount = await mountOf(t, backup, ['--scratch']);
    const before = await getAll(mount);
    const args = [`--endpoint=${mount.endpoint}`, '--duration=4s', '--compact=2s', '--relist=1s'];
    const { stdout } = await succeeded(runTool('3.6', 'kube', args, { timeoutMs: 60_000 }));
    const report = JSON.parse(stdout) as { writes: number; events: number; missed: number };
    assert.equal(report.missed, 0);
    assert.ok(report.writes > 50 && report.events > 50, stdout);
    const after = await getAll(mount);
    const kept = new Set(after.kvs.map(({ key }) => key.toString('latin1')));
    assert.deepEqual(
      before.kvs.filter(({ key }) => !kept.has(key.toString('latin1'))),
      [],
    );
    const saved = join(scratch(t), 'saved.db');
    await ask(mount, ['snapshot', 'save', saved]);
    await succeeded(etcdutl('3.6', ['snapshot', 'status', saved]));
    assert.equal(await mount.stop(), 0);
    const again = await mountOf(t, saved);
    assert.deepEqual((await getAll(again)).kvs, after.kvs);
  });
});
