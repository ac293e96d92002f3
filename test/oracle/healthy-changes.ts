/**
 * More healthy directories: what changes of membership and of version leave behind. `healthy.ts` has the rest.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { plainContext } from '../../src/ops/context.ts';
import { restoreSnapshot } from '../../src/ops/snapshot/restore.ts';
import {
  VERSIONS,
  ask,
  endpointStatus,
  etcdutl,
  freeMemberPorts,
  peerUrlOf,
  runLoad,
  snapshotSave,
  startCluster,
  succeeded,
} from './etcd.ts';
import type { EtcdServer, StartOptions, Version } from './etcd.ts';
import {
  QUICK,
  endCluster,
  recipe,
  restoreSingle,
  serve,
  startQuick,
  untilStorageVersion,
} from './healthy.ts';
import type { Kitchen, Recipe } from './healthy.ts';

/**
 * Flags of a cluster that lets members come and go at once, and whose leader forgets its log soon, so that a new
 * one is sent the database; before 3.6 it keeps 5000 entries.
 */
function hastyArgs(version: Version): string[] {
  const args = [...QUICK, '--strict-reconfig-check=false'];
  if (version === '3.6' || version === '3.7') args.push('--snapshot-catchup-entries=5');
  return args;
}

/** Asks again while etcdctl refuses, as a learner that is not in step is refused its promotion. */
async function askUntilGranted(server: EtcdServer, args: readonly string[]): Promise<void> {
  for (let left = 100; ; left--) {
    try {
      await ask(server, args);
      return;
    } catch (error) {
      if (left === 0) throw error;
      await delay(100);
    }
  }
}

/** Three members and a learner, which is promoted; a member is removed; in the end one is left by force. */
async function members(version: Version, { folder, sample }: Kitchen): Promise<void> {
  const args = hastyArgs(version);
  const place = (name: string) => ({
    name,
    dataDir: join(folder, name),
    unsafeNoFsync: true,
    snapshotCount: 100,
    args,
  });
  const servers = await startCluster(version, ['a', 'b', 'c'].map(place));
  const [a, b, c] = servers as [EtcdServer, EtcdServer, EtcdServer];
  // Not the leader goes: that would cost an election.
  const isLeader = async (server: EtcdServer): Promise<boolean> => {
    const { leader, header } = await endpointStatus(server);
    return leader === header.memberId;
  };
  const gone = (await isLeader(c)) ? b : c;
  try {
    const revisions = version === '3.4' || version === '3.5' ? 6000 : 500;
    await runLoad(a, { kind: 'bench', revisions, keys: 100, valueMax: 200 });
    await addLearner(version, { member: a, others: servers, options: place('d'), sample });
    await askUntilGranted(a, ['member', 'remove', (await endpointStatus(gone)).header.memberId.toString(16)]);
    await runLoad(a, { kind: 'mixed', operations: 60, prefix: 'after/' });
  } finally {
    await endCluster(servers);
  }
  await sample({ name: 'a member', path: a.dataDir });
  await sample({ name: 'a removed member', path: gone.dataDir });
  await sample({ name: 'a promoted member', path: join(folder, 'd') });
  await serve(version, { ...place('a'), forceNewCluster: true }, (server) =>
    ask(server, ['put', 'after', 'force']),
  );
  await sample({ name: 'a new cluster by force', path: a.dataDir, isSingle: true });
}

/** Adds a learner to a cluster, hands it over, and promotes it. It joins `others`, which its caller ends. */
async function addLearner(
  version: Version,
  cluster: {
    member: EtcdServer;
    others: EtcdServer[];
    options: StartOptions & { name: string };
    sample: Kitchen['sample'];
  },
): Promise<void> {
  const { member, others, options, sample } = cluster;
  const ports = await freeMemberPorts();
  const url = peerUrlOf(ports);
  await ask(member, ['member', 'add', options.name, '--learner', `--peer-urls=${url}`]);
  const initialCluster = [
    ...others.map((each) => `${each.name}=${each.peerUrl}`),
    `${options.name}=${url}`,
  ].join(',');
  const args = [...options.args!, '--initial-cluster-state=existing'];
  const joining = { ...options, ports, initialCluster, args };
  const learner = await startQuick(version, joining);
  await ask(member, ['put', 'with', 'learner']);
  const { memberId } = (await endpointStatus(learner)).header;
  await learner.kill();
  await sample({ name: 'a learner', path: options.dataDir });
  others.push(await startQuick(version, joining));
  await askUntilGranted(member, ['member', 'promote', memberId.toString(16)]);
}

/** One directory through all versions, each started on what the one before left. */
async function upgraded({ folder, sample }: Kitchen): Promise<void> {
  const dataDir = join(folder, 'data');
  for (const [seed, version] of VERSIONS.entries()) {
    await serve(version, { dataDir, snapshotCount: 10 }, async (server) => {
      const load = { kind: 'mixed', operations: 40, seed, prefix: `${version}/`, compact: false } as const;
      await runLoad(server, { ...load, users: version === '3.4' });
      if (version === '3.6' || version === '3.7') await untilStorageVersion(server, `${version}.0`);
    });
    await sample({ name: `to ${version}`, path: dataDir, isSingle: true });
  }
}

/** Without raft snapshots: everything since the first start is in the log. */
async function upgradedWithoutSnapshots({ folder, sample }: Kitchen): Promise<void> {
  const dataDir = join(folder, 'data');
  await serve('3.5', { dataDir }, (server) => runLoad(server, { kind: 'mixed', operations: 60, seed: 4 }));
  await sample({ name: 'before', path: dataDir, isSingle: true });
  await serve('3.6', { dataDir }, async (server) => {
    await ask(server, ['put', 'by', '3.6']);
    await untilStorageVersion(server, '3.6.0');
  });
  await sample({ name: 'after', path: dataDir, isSingle: true });
}

/** `from` to the version below: while it is enabled, and once the older server runs. */
async function downgraded(from: Version, to: Version, { folder, sample }: Kitchen): Promise<void> {
  const dataDir = join(folder, 'data');
  await serve(from, { dataDir }, async (server) => {
    await runLoad(server, { kind: 'mixed', operations: 60, seed: 6 });
    await untilStorageVersion(server, `${from}.0`);
    await ask(server, ['downgrade', 'enable', to]);
    await untilStorageVersion(server, `${to}.0`);
  });
  await sample({ name: 'enabled', path: dataDir, isSingle: true });
  await serve(to, { dataDir }, async (server) => {
    await runLoad(server, { kind: 'mixed', operations: 40, prefix: 'later/', users: false, compact: false });
    await delay(1000);
  });
  await sample({ name: 'done', path: dataDir, isSingle: true });
}

/** The schema alone taken down by `etcdutl migrate`, and up again. */
async function migrated(from: Version, to: Version, { folder, sample }: Kitchen): Promise<void> {
  const dataDir = join(folder, 'data');
  await serve(from, { dataDir }, async (server) => {
    await runLoad(server, { kind: 'mixed', operations: 60, seed: 6 });
    await untilStorageVersion(server, `${from}.0`);
  });
  for (const version of [to, from]) {
    await succeeded(etcdutl(from, ['migrate', `--data-dir=${dataDir}`, `--target-version=${version}`]));
    await sample({ name: `to ${version}`, path: dataDir, isSingle: version === to });
  }
}

/** A backup of 3.4 restored by the tools of the others, then started. */
async function restoredAcross(version: Version, { folder, sample }: Kitchen): Promise<void> {
  const backup = join(folder, 'backup.db');
  await serve('3.4', { dataDir: join(folder, 'source') }, async (server) => {
    await runLoad(server, { kind: 'mixed', operations: 100, seed: 9 });
    await snapshotSave(server, backup);
  });
  const dataDir = join(folder, 'data');
  const ports = await freeMemberPorts();
  await restoreSingle(version, backup, { dataDir, ports });
  await sample({ name: 'restored', path: dataDir, isSingle: true });
  const server = await startQuick(version, { dataDir, ports });
  await ask(server, ['put', 'after', 'restore']);
  await server.kill();
  await sample({ name: 'started', path: dataDir, isSingle: true });
}

/** A backup that we restored: for each version a member of its own, and three together, one of them a learner. */
async function restoredByUs(version: Version, { folder, sample }: Kitchen): Promise<void> {
  const backup = join(folder, 'backup.db');
  await serve(version, { dataDir: join(folder, 'source') }, async (server) => {
    await runLoad(server, { kind: 'mixed', operations: 100, seed: 10 });
    await snapshotSave(server, backup);
  });
  const allMembers = join(folder, 'all');
  const initialCluster = ['a', 'b', 'c']
    .map((name, index) => `${name}=http://127.0.0.1:${index + 1}`)
    .join(',');
  await restoreSnapshot(backup, { target: { allMembers }, initialCluster, learners: ['c'] }, plainContext());
  for (const name of ['a', 'c'])
    await sample({ name: `member ${name} of three`, path: join(allMembers, `${name}.etcd`) });
  for (const targetVersion of VERSIONS) {
    const dataDir = join(folder, targetVersion);
    await restoreSnapshot(backup, { target: { dataDir }, targetVersion, bump: 1000 }, plainContext());
    await sample({ name: `for ${targetVersion}`, path: dataDir, isSingle: true });
  }
}

/** Rows of every small bucket: users and roles of all kinds, alarms, changed peer URLs, a downgrade called off. */
async function settings(version: Version, { folder, sample }: Kitchen): Promise<void> {
  const dataDir = join(folder, 'data');
  await serve(version, { dataDir, snapshotCount: 20 }, async (server) => {
    const run = (...args: string[]): Promise<unknown> => ask(server, args);
    for (const name of ['root', 'reader', 'writer', 'all', 'none']) await run('role', 'add', name);
    await run('role', 'grant-permission', 'reader', 'read', 'a', 'b');
    await run('role', 'grant-permission', 'reader', 'read', 'key');
    await run('role', 'grant-permission', 'writer', 'write', 'b/', '--prefix');
    await run('role', 'grant-permission', 'all', 'readwrite', '', '--from-key');
    await run('role', 'grant-permission', 'all', 'read', 'zz', '--from-key');
    await run('role', 'revoke-permission', 'reader', 'key');
    for (const name of ['root:root', 'ann:secret', 'bob:secret', 'eve:secret'])
      await run('user', 'add', name);
    await run('user', 'add', 'certificate', '--no-password');
    for (const role of ['writer', 'reader', 'all']) await run('user', 'grant-role', 'ann', role);
    await run('user', 'revoke-role', 'ann', 'reader');
    await run('user', 'delete', 'eve');
    await run('role', 'delete', 'none');
    await run('user', 'grant-role', 'root', 'root');
    const { memberId } = (await endpointStatus(server)).header;
    await run(
      'member',
      'update',
      memberId.toString(16),
      '--peer-urls=http://127.0.0.1:9,http://127.0.0.1:10',
    );
    for (const alarm of ['NOSPACE', 'CORRUPT']) {
      const body = JSON.stringify({ action: 'ACTIVATE', memberID: String(memberId), alarm });
      await fetch(`${server.endpoint}/v3/maintenance/alarm`, { method: 'POST', body });
    }
    if (version !== '3.6' && version !== '3.7') return;
    await untilStorageVersion(server, `${version}.0`);
    await run('alarm', 'disarm');
    await run('downgrade', 'enable', version === '3.6' ? '3.5' : '3.6');
    await run('downgrade', 'cancel');
  });
  await sample({ name: 'the directory', path: dataDir });
}

const steps: readonly [Version, Version][] = [
  ['3.6', '3.5'],
  ['3.7', '3.6'],
];

export const CHANGE_RECIPES: readonly Recipe[] = [
  ...VERSIONS.map((version) =>
    recipe(`members ${version}`, [version], (kitchen) => members(version, kitchen)),
  ),
  ...VERSIONS.map((version) =>
    recipe(`settings ${version}`, [version], (kitchen) => settings(version, kitchen)),
  ),
  ...(['3.4', '3.7'] as const).map((version) =>
    recipe(`${version} restored by us`, [version], (kitchen) => restoredByUs(version, kitchen)),
  ),
  recipe('upgraded', VERSIONS, upgraded),
  recipe('upgraded without snapshots', ['3.5', '3.6'], upgradedWithoutSnapshots),
  ...steps.flatMap(([from, to]) => [
    recipe(`downgraded ${from} to ${to}`, [from, to], (kitchen) => downgraded(from, to, kitchen)),
    recipe(`migrated ${from} to ${to}`, [from], (kitchen) => migrated(from, to, kitchen)),
  ]),
  ...(['3.5', '3.6', '3.7'] as const).map((version) =>
    recipe(`3.4 restored by ${version}`, ['3.4', version], (kitchen) => restoredAcross(version, kitchen)),
  ),
];
