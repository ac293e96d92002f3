/**
 * Healthy databases and directories, made by the real etcd of each version: what an operator's disk may hold with
 * nothing wrong about it. A recipe hands over each sample at the moment no server is running on it.
 */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openDatabase } from '../../src/store/database.ts';
import { readMarks } from '../../src/store/mvcc/marks.ts';
import {
  OracleError,
  VERSIONS,
  ask,
  compactPhysically,
  endpointStatus,
  etcdctl,
  etcdutl,
  freeMemberPorts,
  parseEtcdJson,
  peerUrlOf,
  runLoad,
  runTool,
  snapshotSave,
  startCluster,
  startEtcd,
  succeeded,
} from './etcd.ts';
import type { EtcdServer, Ports, StartOptions, Version } from './etcd.ts';

/** One healthy thing on disk. */
export interface Sample {
  name: string;
  path: string;
  walDir?: string;
  /** A directory of one voter: a server can be started from a copy of it, alone. */
  isSingle?: boolean;
}

/** Where a recipe works, and whom it gives its samples to. What it gave may be changed as soon as that returns. */
export interface Kitchen {
  folder: string;
  sample: (sample: Sample) => Promise<void>;
}

export interface Recipe {
  name: string;
  versions: readonly Version[];
  make: (kitchen: Kitchen) => Promise<void>;
}

/** Flags for a member that need not wait for slow ones: it elects itself within a fraction of a second. */
export const QUICK = ['--heartbeat-interval=20', '--election-timeout=200'];

export const databaseIn = (dataDir: string): string => join(dataDir, 'member', 'snap', 'db');

/** Starts a server for making data: without fsync, and soon ready. */
export function startQuick(version: Version, options: StartOptions): Promise<EtcdServer> {
  return startEtcd(version, { unsafeNoFsync: true, ...options, args: [...QUICK, ...(options.args ?? [])] });
}

/** Runs `use` beside a server, which is gone afterwards. */
export async function serve<T>(
  version: Version,
  options: StartOptions,
  use: (server: EtcdServer) => Promise<T>,
): Promise<T> {
  const server = await startQuick(version, options);
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

/** Ends a cluster: members stop while a quorum is left, the others are killed; a leader would try to hand over. */
export async function endCluster(servers: readonly EtcdServer[]): Promise<void> {
  const spare = Math.ceil(servers.length / 2) - 1;
  for (const [index, server] of servers.entries()) await (index < spare ? server.stop() : server.kill());
}

/** `snapshot restore` by the version's own tool. */
export async function restoreBackup(
  version: Version,
  backup: string,
  args: readonly string[],
): Promise<void> {
  const tool = version === '3.4' ? etcdctl : etcdutl;
  await succeeded(tool(version, ['snapshot', 'restore', backup, ...args]));
}

/** Restores one member of its own cluster, to be started under `ports`. */
export function restoreSingle(
  version: Version,
  backup: string,
  target: { dataDir: string; ports: Ports; args?: readonly string[] },
): Promise<void> {
  const url = peerUrlOf(target.ports);
  return restoreBackup(version, backup, [
    `--data-dir=${target.dataDir}`,
    `--initial-cluster=default=${url}`,
    `--initial-advertise-peer-urls=${url}`,
    ...(target.args ?? []),
  ]);
}

/** `defrag` of a stopped directory by the version's own tool. */
export async function defragOffline(version: Version, dataDir: string): Promise<void> {
  const tool = version === '3.4' ? etcdctl : etcdutl;
  await succeeded(tool(version, ['defrag', `--data-dir=${dataDir}`]));
}

/** Waits until the server has written that storage version, which it does some seconds after its start. */
export async function untilStorageVersion(server: EtcdServer, expected: string): Promise<void> {
  for (let left = 300; left > 0; left--) {
    const { stdout } = await ask(server, ['endpoint', 'status', '--write-out=json']);
    const [answer] = parseEtcdJson(stdout) as [{ Status: { storageVersion?: string } }];
    if (answer.Status.storageVersion === expected) return;
    await delay(100);
  }
  throw new OracleError(`etcd ${server.version} did not reach storage version ${expected}`);
}

/** Writes until the server is killed under it, some time after the first writes. */
export async function killUnderLoad(server: EtcdServer, afterMs: number): Promise<void> {
  const args = [
    'bench',
    `--endpoint=${server.endpoint}`,
    '--revisions=1000000',
    '--keys=600',
    '--value-max=3000',
  ];
  // The load ends with its server, or else with its own time.
  const load = runTool('3.6', 'load', args, { timeoutMs: afterMs + 2000 }).catch(() => undefined);
  await delay(afterMs);
  await server.kill();
  await load;
}

/** Begins a compaction up to some revisions ago, and kills the server in the middle of it. */
export async function killWhileCompacting(
  version: Version,
  dataDir: string,
  revisionsAgo = 0,
): Promise<void> {
  const flag = version === '3.4' || version === '3.5' ? 'experimental-compaction' : 'compaction';
  const server = await startQuick(version, { dataDir, args: [`--${flag}-batch-limit=10`] });
  const revision = (await endpointStatus(server)).header.revision - revisionsAgo;
  await ask(server, ['compaction', String(revision)]);
  await delay(300);
  await server.kill();
  const database = openDatabase(databaseIn(dataDir));
  const { scheduled, finished } = readMarks(database.bolt);
  database.close();
  if (scheduled === revision && finished !== revision) return;
  throw new OracleError(
    `the compaction to ${revision} is finished at ${finished}, scheduled at ${scheduled}`,
  );
}

async function empty(version: Version, { folder, sample }: Kitchen): Promise<void> {
  const dataDir = join(folder, 'data');
  const backup = join(folder, 'backup.db');
  await serve(version, { dataDir }, (server) => snapshotSave(server, backup));
  await sample({ name: 'a backup', path: backup });
  await sample({ name: 'the directory', path: dataDir, isSingle: true });
}

async function mixed(version: Version, { folder, sample }: Kitchen): Promise<void> {
  const dataDir = join(folder, 'data');
  const backup = join(folder, 'backup.db');
  const copy = join(folder, 'copy.db');
  const seed = 31 + VERSIONS.indexOf(version);
  await serve(version, { dataDir, snapshotCount: 50 }, async (server) => {
    await runLoad(server, { kind: 'mixed', operations: 240, seed, users: false });
    await snapshotSave(server, backup);
  });
  copyFileSync(databaseIn(dataDir), copy);
  await sample({ name: 'a backup', path: backup });
  await sample({ name: 'a bare copy of the database', path: copy });
  await sample({ name: 'the directory', path: dataDir, isSingle: true });
  await defragOffline(version, dataDir);
  await sample({ name: 'defragmented offline', path: dataDir });
  await serve(version, { dataDir }, async (server) => {
    await runLoad(server, { kind: 'mixed', operations: 80, seed, prefix: 'b', compact: false, auth: true });
    await ask({ ...server, user: 'root:root' }, ['defrag']);
    await ask({ ...server, user: 'root:root' }, ['put', 'after', 'defrag']);
  });
  await sample({ name: 'defragmented online, with auth on', path: dataDir, isSingle: true });
}

async function killed(version: Version, { folder, sample }: Kitchen): Promise<void> {
  for (const [number, afterMs] of [60, 250, 700].entries()) {
    const dataDir = join(folder, String(number));
    const isSynced = number === 1;
    const server = await startQuick(version, {
      dataDir,
      unsafeNoFsync: !isSynced,
      snapshotCount: 4 ** (number + 2),
    });
    await killUnderLoad(server, afterMs);
    await sample({ name: `after ${afterMs} ms`, path: dataDir, isSingle: number === 1 });
  }
}

/** A log of several segments, of which only the last is left, and its raft snapshots likewise. */
async function purged(version: Version, { folder, sample }: Kitchen): Promise<void> {
  const dataDir = join(folder, 'data');
  const walDir = join(folder, 'log');
  const options = { dataDir, walDir, snapshotCount: 10, args: ['--max-snapshots=1', '--max-wals=1'] };
  await serve(version, options, async (server) => {
    const { revision } = await runLoad(server, {
      kind: 'bench',
      revisions: 200,
      keys: 6,
      parallel: 4,
      valueMin: 600_000,
      valueMax: 1_000_000,
    });
    await compactPhysically(server, revision);
  });
  await sample({ name: 'large values, separate log', path: dataDir, walDir });
  await serve(version, options, (server) => ask(server, ['put', 'after', 'purge']).then(() => delay(300)));
  await sample({ name: 'after the purge', path: dataDir, walDir });
}

async function bench(version: Version, { folder, sample }: Kitchen): Promise<void> {
  const dataDir = join(folder, 'data');
  const backup = join(folder, 'backup.db');
  await serve(version, { dataDir }, async (server) => {
    await runLoad(server, { kind: 'bench', revisions: 3000, keys: 1200, valueMax: 1500 });
    const { revision } = await runLoad(server, { kind: 'bench', revisions: 100, keys: 50, valueMax: 30_000 });
    await snapshotSave(server, backup);
    await compactPhysically(server, revision);
  });
  await sample({ name: 'a backup', path: backup });
  await sample({ name: 'compacted at its last revision', path: dataDir });
  await serve(version, { dataDir }, (server) =>
    runLoad(server, { kind: 'bench', revisions: 1200, keys: 300, seed: 2 }),
  );
  await killWhileCompacting(version, dataDir);
  await sample({ name: 'killed while it compacted', path: dataDir, isSingle: true });
}

async function restored(version: Version, { folder, sample }: Kitchen): Promise<void> {
  const backup = join(folder, 'backup.db');
  await serve(version, { dataDir: join(folder, 'source') }, async (server) => {
    await runLoad(server, { kind: 'mixed', operations: 160, seed: 5 });
    await snapshotSave(server, backup);
  });
  const cluster = ['a', 'b', 'c'].map((name, index) => `${name}=http://127.0.0.1:${index + 1}`);
  for (const name of ['a', 'c']) {
    const dataDir = join(folder, name);
    const url = cluster.find((each) => each.startsWith(name))!.slice(2);
    const place = [`--data-dir=${dataDir}`, `--name=${name}`, `--initial-advertise-peer-urls=${url}`];
    await restoreBackup(version, backup, [...place, `--initial-cluster=${cluster.join(',')}`]);
    await sample({ name: `member ${name} of three`, path: dataDir });
  }
  const dataDir = join(folder, 'bumped');
  const ports = await freeMemberPorts();
  const args = version === '3.4' ? [] : ['--bump-revision=1000000000', '--mark-compacted'];
  await restoreSingle(version, backup, { dataDir, ports, args });
  await sample({ name: 'alone, bumped', path: dataDir, isSingle: true });
  await serve(version, { dataDir, ports }, async (server) => {
    const load = { kind: 'mixed', operations: 60, prefix: 'later/', users: false, compact: false } as const;
    const { revision } = await runLoad(server, load);
    await compactPhysically(server, revision - 10);
  });
  await sample({ name: 'alone, bumped, started, compacted', path: dataDir, isSingle: true });
}

/** Three members restored by one version and started together. */
async function restoredCluster(version: Version, { folder, sample }: Kitchen): Promise<void> {
  const backup = join(folder, 'backup.db');
  await serve('3.5', { dataDir: join(folder, 'source') }, async (server) => {
    await runLoad(server, { kind: 'mixed', operations: 100, seed: 8 });
    await snapshotSave(server, backup);
  });
  const members: (StartOptions & { name: string; ports: Ports })[] = [];
  for (const name of ['a', 'b', 'c']) {
    members.push({
      name,
      dataDir: join(folder, name),
      ports: await freeMemberPorts(),
      unsafeNoFsync: true,
      args: QUICK,
    });
  }
  const cluster = members.map(({ name, ports }) => `${name}=${peerUrlOf(ports)}`).join(',');
  for (const { name, dataDir, ports } of members) {
    const place = [
      `--name=${name}`,
      `--data-dir=${dataDir}`,
      `--initial-advertise-peer-urls=${peerUrlOf(ports)}`,
    ];
    await restoreBackup(version, backup, [...place, `--initial-cluster=${cluster}`]);
  }
  const servers = await startCluster(version, members);
  try {
    await runLoad(servers[0]!, {
      kind: 'mixed',
      operations: 40,
      prefix: 'later/',
      users: false,
      compact: false,
    });
  } finally {
    await endCluster(servers);
  }
  for (const { name, dataDir } of members) await sample({ name: `member ${name}`, path: dataDir });
}

/** Writes until there is no space. The quota counts what was committed, so a fast load can end before it. */
async function fill(server: EtcdServer): Promise<void> {
  for (let round = 0; round < 20; round++) {
    try {
      await runLoad(server, { kind: 'bench', revisions: 2000, keys: 400 });
    } catch (error) {
      if (error instanceof Error && error.message.includes('space exceeded')) return;
      throw error;
    }
  }
  throw new OracleError('the quota was not reached');
}

/** Leases that ended, then a quota that was reached. */
async function alarmed(version: Version, { folder, sample }: Kitchen): Promise<void> {
  const dataDir = join(folder, 'data');
  const backup = join(folder, 'backup.db');
  await serve(version, { dataDir, args: ['--quota-backend-bytes=400000'] }, async (server) => {
    const [, lease] = /lease (\w+) granted/.exec((await ask(server, ['lease', 'grant', '1'])).stdout)!;
    for (const key of ['short-1', 'short-2']) await ask(server, ['put', `--lease=${lease}`, key, 'lived']);
    while ((await ask(server, ['get', 'short-1', '--print-value-only'])).stdout !== '') await delay(200);
    await fill(server);
    await snapshotSave(server, backup);
  });
  await sample({ name: 'a backup', path: backup });
  await sample({ name: 'the directory', path: dataDir });
}

/** Compactions exactly where a key was deleted, with the deletion first or last in its transaction. */
async function tombstones(version: Version, { folder, sample }: Kitchen): Promise<void> {
  const dataDir = join(folder, 'data');
  const backup = join(folder, 'backup.db');
  await serve(version, { dataDir }, async (server) => {
    const run = (...args: string[]): Promise<unknown> => ask(server, args);
    for (const key of ['p/1', 'p/2', 'p/3', 'q']) await run('put', key, 'one'); // 2 to 5
    await run('del', 'p/', '--prefix'); // 6
    await run('put', 'p/2', 'again'); // 7
    await compactPhysically(server, 6);
    await run('del', 'q'); // 8
    await run('put', 'q', 'again'); // 9
    await run('del', 'q'); // 10
    await compactPhysically(server, 8);
    await snapshotSave(server, backup);
    await run('del', '', '--prefix'); // 11
    await compactPhysically(server, 11);
  });
  await sample({ name: 'a backup', path: backup });
  await sample({ name: 'nothing left', path: dataDir });
}

export const recipe = (name: string, versions: readonly Version[], make: Recipe['make']): Recipe => ({
  name,
  versions,
  make,
});

/** What one server, or a restore, leaves behind. */
export const SINGLE_RECIPES: readonly Recipe[] = [
  ...VERSIONS.flatMap((version) => [
    recipe(`empty ${version}`, [version], (kitchen) => empty(version, kitchen)),
    recipe(`mixed ${version}`, [version], (kitchen) => mixed(version, kitchen)),
    recipe(`killed ${version}`, [version], (kitchen) => killed(version, kitchen)),
    recipe(`purged ${version}`, [version], (kitchen) => purged(version, kitchen)),
    recipe(`bench ${version}`, [version], (kitchen) => bench(version, kitchen)),
    recipe(`restored ${version}`, [version], (kitchen) => restored(version, kitchen)),
    recipe(`alarmed ${version}`, [version], (kitchen) => alarmed(version, kitchen)),
    recipe(`tombstones ${version}`, [version], (kitchen) => tombstones(version, kitchen)),
  ]),
  ...(['3.6', '3.7'] as const).map((version) =>
    recipe(`restored cluster ${version}`, ['3.5', version], (kitchen) => restoredCluster(version, kitchen)),
  ),
];
