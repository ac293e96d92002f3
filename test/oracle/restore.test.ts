// Members that we restore, under the real servers: every version's snapshot for every version's server.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test, type TestContext } from 'node:test';
import { plainContext } from '../../src/ops/context.ts';
import { type RestoreOptions, type RestoreReport, restoreSnapshot } from '../../src/ops/snapshot/restore.ts';
import { snapshotStatus } from '../../src/ops/snapshot/status.ts';
import { scratch } from '../support/scratch.ts';
import {
  ask,
  type EtcdServer,
  freeMemberPorts,
  getAll,
  hashKv,
  type KeyValue,
  peerUrlOf,
  type Ports,
  runLoad,
  skipReason,
  snapshotSave,
  startCluster,
  startEtcd,
  type StartOptions,
  succeeded,
  etcdctl,
  type Target,
  type Version,
  VERSIONS,
} from './etcd.ts';

/** What a server holds, as clients see it. */
interface Content {
  revision: number;
  compactRevision: number;
  hash: number;
  kvs: KeyValue[];
  leases: string[];
  users: string;
  roles: string;
}

async function contentOf(target: Target, revision?: number): Promise<Content> {
  const { header, kvs } = await getAll(target);
  const { hash, compactRevision } = await hashKv(target, revision ?? header.revision);
  const said = async (...args: string[]): Promise<string> => (await ask(target, args)).stdout;
  const users = await said('user', 'list');
  const rolesOf = await Promise.all(
    users
      .split('\n')
      .filter(Boolean)
      .map((user) => said('user', 'get', user)),
  );
  const roles = await said('role', 'list');
  // Of role root each version says something else.
  const named = roles.split('\n').filter((role) => role !== '' && role !== 'root');
  const permissions = await Promise.all(named.map((role) => said('role', 'get', role)));
  return {
    revision: revision ?? header.revision,
    compactRevision,
    hash,
    kvs,
    leases: (await said('lease', 'list')).split('\n').sort(),
    users: [users, ...rolesOf].join(),
    roles: [roles, ...permissions].join(),
  };
}

interface SourceCluster {
  snapshot: string;
  content: Content;
}

// One place for all: the snapshots are made once, by whichever test needs them first.
const cleanups: (() => void)[] = [];
const sourceDir = scratch({ after: (run) => cleanups.push(run) });
after(() => cleanups.forEach((run) => run()));
const sources = new Map<Version, Promise<SourceCluster>>();

function sourceOf(version: Version): Promise<SourceCluster> {
  const known = sources.get(version) ?? makeSource(version);
  sources.set(version, known);
  return known;
}

async function makeSource(version: Version): Promise<SourceCluster> {
  const server = await startEtcd(version, { dataDir: join(sourceDir, version) });
  await runLoad(server, { kind: 'mixed', operations: 300, seed: 11 });
  const content = await contentOf(server);
  const snapshot = join(sourceDir, `${version}.db`);
  await snapshotSave(server, snapshot);
  await server.stop();
  return { snapshot, content };
}

async function started(t: TestContext, version: Version, options: StartOptions): Promise<EtcdServer> {
  const server = await startEtcd(version, options);
  t.after(() => server.kill());
  return server;
}

interface Restored {
  report: RestoreReport;
  start: StartOptions & { name: string; ports: Ports };
}

/** One member, under ports of its own. */
async function restoreOne(
  dir: string,
  snapshot: string,
  over: Partial<RestoreOptions> = {},
  walDir?: string,
): Promise<Restored> {
  const ports = await freeMemberPorts();
  const dataDir = join(dir, 'restored');
  const peerUrls = peerUrlOf(ports);
  const target = { name: 'm1', dataDir, peerUrls, walDir };
  const report = await restoreSnapshot(
    snapshot,
    { target, initialCluster: `m1=${peerUrls}`, ...over },
    plainContext(),
  );
  return { report, start: { name: 'm1', ports, dataDir, ...(walDir === undefined ? {} : { walDir }) } };
}

function skipUnless(...versions: Version[]): string | false {
  return versions.map((version) => skipReason(version)).find((reason) => reason !== false) ?? false;
}

for (const from of VERSIONS) {
  describe(`a snapshot of ${from}`, { concurrency: 2 }, () => {
    for (const to of VERSIONS) {
      test(`starts under ${to} with all it held`, { skip: skipUnless(from, to) }, async (t) => {
        const { snapshot, content } = await sourceOf(from);
        const { start } = await restoreOne(scratch(t), snapshot, { targetVersion: to });
        const server = await started(t, to, start);
        assert.deepEqual(await contentOf(server, content.revision), content);
        await ask(server, ['put', 'after', 'restore']);
        await server.stop();

        const again = await started(t, to, start);
        const { kvs, header } = await getAll(again);
        assert.equal(header.revision, content.revision + 1);
        assert.equal(kvs.length, content.kvs.length + 1);
        assert.equal((await hashKv(again, content.revision)).hash, content.hash);
      });
    }
  });
}

describe('a cluster restored in one run', { concurrency: 2 }, () => {
  for (const [i, to] of VERSIONS.entries()) {
    const from = VERSIONS[(i + 1) % VERSIONS.length]!;
    test(`from ${from} to ${to}: the members agree`, { skip: skipUnless(from, to) }, async (t) => {
      const { snapshot, content } = await sourceOf(from);
      const { servers } = await restoreThree(t, { snapshot, to });
      for (const server of servers) assert.deepEqual(await contentOf(server, content.revision), content);
      await ask(servers[0]!, ['put', 'after', 'restore']);
      const hashes = await Promise.all(servers.map((server) => hashKv(server, content.revision + 1)));
      assert.equal(new Set(hashes.map(({ hash }) => hash)).size, 1);
    });

    test(`to ${to} with a learner, which can be promoted`, { skip: skipUnless(from, to) }, async (t) => {
      const { snapshot, content } = await sourceOf(from);
      const { servers, report } = await restoreThree(t, { snapshot, to, learners: ['c'] });
      const listed = (await ask(servers[0]!, ['member', 'list'])).stdout.split('\n');
      const learner = report.members.find((member) => member.isLearner)!.id.toString(16);
      assert.match(
        listed.find((line) => line.startsWith(learner))!,
        /, true$/,
      );
      // A leader has to see the learner caught up first.
      for (let left = 50; ; left--) {
        const { code, stderr } = await etcdctl(to, ['member', 'promote', learner], {
          endpoint: servers[0]!.endpoint,
        });
        if (code === 0) break;
        assert.ok(left > 0, stderr);
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      await ask(servers[2]!, ['put', 'after', 'promotion']);
      const hashes = await Promise.all(servers.map((server) => hashKv(server, content.revision)));
      assert.deepEqual(
        hashes.map(({ hash }) => hash),
        Array(3).fill(content.hash),
      );
    });
  }
});

interface Three {
  snapshot: string;
  to: Version;
  learners?: string[];
}

async function restoreThree(
  t: TestContext,
  { snapshot, to, learners = [] }: Three,
): Promise<{ servers: EtcdServer[]; report: RestoreReport }> {
  const dir = scratch(t);
  const names = ['a', 'b', 'c'];
  const ports = await Promise.all(names.map(() => freeMemberPorts()));
  const initialCluster = names.map((name, i) => `${name}=${peerUrlOf(ports[i]!)}`).join(',');
  const options = { target: { allMembers: join(dir, 'out') }, initialCluster, targetVersion: to, learners };
  const report = await restoreSnapshot(snapshot, options, plainContext());
  const servers = await startCluster(
    to,
    names.map((name, i) => ({ name, dataDir: join(dir, 'out', `${name}.etcd`), ports: ports[i]! })),
  );
  t.after(() => Promise.all(servers.map((server) => server.kill())));
  return { servers, report };
}

describe('a raised revision', { concurrency: 2 }, () => {
  for (const version of VERSIONS) {
    test(`${version}: clients never see a revision again`, { skip: skipReason(version) }, async (t) => {
      const { snapshot, content } = await sourceOf(version);
      const { start } = await restoreOne(scratch(t), snapshot, { bump: 1000 });
      const server = await started(t, version, start);
      const { header, kvs } = await getAll(server);
      assert.equal(header.revision, content.revision + 1000);
      assert.deepEqual(kvs, content.kvs);
      const old = await etcdctl(version, ['get', 'x', `--rev=${content.revision}`], {
        endpoint: server.endpoint,
      });
      assert.match(old.stderr, /required revision has been compacted/);
      await ask(server, ['put', 'after', 'restore']);
      assert.equal((await getAll(server)).header.revision, content.revision + 1001);
    });
  }

  test('found from what is left of the old cluster', { skip: skipReason('3.6') }, async (t) => {
    const dir = scratch(t);
    const snapshot = join(dir, 'backup.db');
    const oldDataDir = join(dir, 'old');
    const old = await started(t, '3.6', { dataDir: oldDataDir });
    await runLoad(old, { kind: 'mixed', operations: 50 });
    await snapshotSave(old, snapshot);
    await runLoad(old, { kind: 'bench', revisions: 3000, keys: 100 });
    const { header } = await getAll(old);
    await old.kill();

    const { report, start } = await restoreOne(dir, snapshot, { bump: 'auto', oldDataDir });
    assert.ok(report.bump!.newRevision > header.revision, JSON.stringify(report.bump));
    assert.ok(report.bump!.newRevision < header.revision + 3000);
    const server = await started(t, '3.6', start);
    assert.equal((await getAll(server)).header.revision, report.bump!.newRevision);
  });
});

describe('other ways to the same member', { concurrency: 2 }, () => {
  for (const [from, to] of [
    ['3.5', '3.7'],
    ['3.7', '3.5'],
    ['3.6', '3.6'],
    ['3.4', '3.4'],
  ] as const) {
    for (const layout of ['preserved', 'quick'] as const) {
      test(
        `${from} to ${to}, ${layout} layout, into a mount point, the log elsewhere`,
        { skip: skipUnless(from, to) },
        async (t) => {
          const { snapshot, content } = await sourceOf(from);
          const dir = scratch(t);
          mkdirSync(join(dir, 'restored/lost+found'), { recursive: true });
          const { start } = await restoreOne(dir, snapshot, { targetVersion: to, layout }, join(dir, 'log'));
          const server = await started(t, to, start);
          assert.deepEqual(await contentOf(server, content.revision), content);
          await server.stop();
          assert.deepEqual(readdirSync(start.dataDir).sort(), ['lost+found', 'member']);
        },
      );
    }
  }

  for (const [from, to] of [
    ['3.5', '3.7'],
    ['3.7', '3.4'],
  ] as const) {
    test(`${from} to ${to} with authentication enabled`, { skip: skipUnless(from, to) }, async (t) => {
      const dir = scratch(t);
      const source = await started(t, from, { dataDir: join(dir, 'source') });
      await runLoad(source, { kind: 'mixed', operations: 80, auth: true });
      const user = 'root:root';
      const content = await contentOf({ ...source, user });
      await snapshotSave({ ...source, user }, join(dir, 'backup.db'));
      await source.stop();
      const { start } = await restoreOne(dir, join(dir, 'backup.db'), { targetVersion: to });
      const server = await started(t, to, start);
      assert.deepEqual(await contentOf({ ...server, user }, content.revision), content);
      assert.notEqual((await etcdctl(to, ['get', 'x'], { endpoint: server.endpoint })).code, 0);
    });
  }

  for (const [from, to] of [
    ['3.5', '3.6'],
    ['3.7', '3.6'],
    ['3.6', '3.7'],
  ] as const) {
    test(
      `${from} to ${to}: the monitor of the storage version finds nothing to change`,
      { skip: skipUnless(from, to) },
      async (t) => {
        const { snapshot } = await sourceOf(from);
        const dir = scratch(t);
        const { start } = await restoreOne(dir, snapshot, { targetVersion: to });
        const server = await started(t, to, start);
        // It looks every four seconds.
        await new Promise((resolve) => setTimeout(resolve, 4500));
        await succeeded(
          etcdctl(to, ['snapshot', 'save', join(dir, 'later.db')], { endpoint: server.endpoint }),
        );
        assert.equal((await snapshotStatus(join(dir, 'later.db'), plainContext())).version, `${to}.0`);
        assert.doesNotMatch(server.log(), /updated storage version/);
      },
    );
  }
});
