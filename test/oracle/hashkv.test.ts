// `hashkv` gives what the live server gives, at every revision that is still held, from a backup taken then; and
// what etcdutl 3.7 gives where no server can be asked.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { ToolError } from '../../src/errors.ts';
import { plainContext } from '../../src/ops/context.ts';
import { hashKV, type HashKVReport } from '../../src/ops/inspect/hashkv.ts';
import { projectRoot } from '../support/project.ts';
import { scratch } from '../support/scratch.ts';
import { unchanged } from '../support/unchanged.ts';
import {
  VERSIONS,
  ask,
  compactPhysically,
  endpointStatus,
  etcdutl,
  freeMemberPorts,
  hashKv,
  runLoad,
  skipReason,
  snapshotSave,
  succeeded,
} from './etcd.ts';
import type { EtcdServer, Version } from './etcd.ts';
import { databaseIn, killWhileCompacting, restoreSingle, serve } from './healthy.ts';

/** More than so many revisions are sampled. */
const REVISIONS_MAX = 200;
/** etcdctl 3.4 takes a process for each. */
const REVISIONS_MAX_34 = 40;
const COMPACTED = 'mvcc: required revision has been compacted';
const FUTURE = 'mvcc: required revision is a future revision';

const counts = { revisions: 0, moments: 0, byEtcdutl: 0 };

/** Our hash, or upstream's words for why there is none. */
async function ourHash(path: string, revision: number): Promise<HashKVReport | string> {
  try {
    return await hashKV(path, { revision }, plainContext());
  } catch (error) {
    if (error instanceof ToolError && error.upstream !== undefined) return error.upstream;
    throw error;
  }
}

/** The server's, through its HTTP gateway, which is faster than a process for each revision; 3.4's has no such path. */
async function serverHash(server: EtcdServer, revision: number): Promise<HashKVReport | string> {
  if (server.version === '3.4') {
    const { hash, compactRevision, header } = await hashKv(server, revision);
    return { hash, hashRevision: revision === 0 ? header.revision : revision, compactRevision };
  }
  const body = JSON.stringify({ revision: String(revision) });
  const response = await fetch(`${server.endpoint}/v3/maintenance/hashkv`, { method: 'POST', body });
  const answer = (await response.json()) as Record<string, unknown>;
  if (!response.ok) return String(answer['message']).replace('etcdserver: ', '');
  return {
    hash: Number(answer['hash']),
    // Absent before 3.6.
    hashRevision: Number(
      answer['hash_revision'] ??
        (revision === 0 ? (answer['header'] as Record<string, unknown>)['revision'] : revision),
    ),
    compactRevision: Number(answer['compact_revision']),
  };
}

/** The given bounds, and what lies between, or as many of it as `max` allows. */
function revisionsBetween(first: number, last: number, max: number): number[] {
  const step = Math.max(1, Math.ceil((last - first + 1) / max));
  const revisions = [last];
  for (let revision = first; revision < last; revision += step) revisions.push(revision);
  return revisions;
}

/**
 * Whether a server asked for the revision of its last compaction hashes what it has: since 3.5 it remembers the
 * hash from before it compacted, with the compaction before that, and 3.4 refuses.
 */
async function isHashOfNow(server: EtcdServer, compacted: number): Promise<boolean> {
  if (server.version === '3.4') return false;
  const answer = await serverHash(server, compacted);
  return typeof answer !== 'string' && answer.compactRevision === compacted;
}

/** Takes a backup, and compares it with the server it was taken from, which must be at rest. */
async function compareMoment(server: EtcdServer, backup: string): Promise<void> {
  await snapshotSave(server, backup);
  const newest = await serverHash(server, 0);
  assert.ok(typeof newest !== 'string');
  assert.deepEqual(await unchanged(backup, () => ourHash(backup, 0)), newest);
  const first = Math.max(1, newest.compactRevision);
  const last = newest.hashRevision;
  const max = server.version === '3.4' ? REVISIONS_MAX_34 : REVISIONS_MAX;
  for (const revision of revisionsBetween(first, last, max)) {
    if (revision === newest.compactRevision && !(await isHashOfNow(server, revision))) {
      await compareWithEtcdutl(backup, [revision]);
      continue;
    }
    assert.deepEqual(
      await ourHash(backup, revision),
      await serverHash(server, revision),
      `revision ${revision} of ${last}`,
    );
    counts.revisions++;
  }
  assert.equal(await ourHash(backup, last + 1), FUTURE);
  if (newest.compactRevision > 1) assert.equal(await ourHash(backup, newest.compactRevision - 1), COMPACTED);
  if (server.version !== '3.4') {
    assert.equal(await serverHash(server, last + 1), FUTURE);
    if (newest.compactRevision > 1) assert.equal(await serverHash(server, 1), COMPACTED);
  }
  counts.moments++;
}

/** A small history whose every step is a revision of its own, compacted at each kind of place in turn. */
async function compareTombstones(server: EtcdServer, nextBackup: () => string): Promise<void> {
  const run = (...args: string[]): Promise<unknown> => ask(server, args);
  const { revision } = (await endpointStatus(server)).header;
  for (const key of ['t/1', 't/2', 't/3']) await run('put', key, 'one'); // +1 to +3
  await run('del', 't/1'); // +4
  await run('put', 't/1', 'again'); // +5
  await run('del', 't/', '--prefix'); // +6
  await run('put', 't/2', 'again'); // +7
  await run('del', 't/2'); // +8
  for (const at of [3, 4, 5, 6, 7, 8]) {
    await compactPhysically(server, revision + at);
    await compareMoment(server, nextBackup());
  }
}

for (const version of VERSIONS) {
  test(`hashkv of a live etcd ${version}, at every revision`, { skip: skipReason(version) }, async (t) => {
    const folder = scratch(t);
    let number = 0;
    const nextBackup = (): string => join(folder, `${number++}.db`);
    await serve(version, { dataDir: join(folder, 'data') }, async (server) => {
      await compareMoment(server, nextBackup());
      await runLoad(server, { kind: 'mixed', operations: 60, seed: 11, compact: false });
      await compareMoment(server, nextBackup());
      const load = { kind: 'mixed', operations: 240, seed: 12, prefix: 'b/', users: false } as const;
      const { revision } = await runLoad(server, load);
      const atRest = nextBackup();
      await compareMoment(server, atRest);
      assert.equal((await hashKv(server)).hash, (await hashKV(atRest, { revision }, plainContext())).hash);
      await compareTombstones(server, nextBackup);
      await ask(server, ['del', '', '--prefix']);
      await compareMoment(server, nextBackup());
      await compactPhysically(server, (await endpointStatus(server)).header.revision);
      await compareMoment(server, nextBackup());
    });
  });
}

/** etcdutl's, on a copy, since it writes to what it looks at. */
async function etcdutlHash(database: string, revision: number): Promise<HashKVReport | string> {
  const copy = `${database}.copy`;
  copyFileSync(database, copy);
  const result = await etcdutl('3.7', ['hashkv', copy, `--rev=${revision}`, '--write-out=json']);
  counts.byEtcdutl++;
  if (result.code !== 0) return /^Error: (.*)$/m.exec(result.stderr)?.[1] ?? result.stderr;
  return JSON.parse(result.stdout) as HashKVReport;
}

async function compareWithEtcdutl(database: string, revisions: readonly number[]): Promise<void> {
  for (const revision of revisions) {
    const ours = await unchanged(database, () => ourHash(database, revision));
    assert.deepEqual(ours, await etcdutlHash(database, revision), `${basename(database)} at ${revision}`);
  }
}

for (const version of VERSIONS) {
  test(
    `hashkv of etcd ${version} killed in the middle of a compaction`,
    { skip: skipReason(version) || skipReason('3.7') },
    async (t) => {
      const dataDir = join(scratch(t), 'data');
      const last = await serve(version, { dataDir }, async (server) => {
        await runLoad(server, { kind: 'mixed', operations: 60, seed: 13 });
        return (await runLoad(server, { kind: 'bench', revisions: 2000, keys: 300, valueMax: 300 })).revision;
      });
      await killWhileCompacting(version, dataDir, 100);
      const held = revisionsBetween(last - 100, last, 12);
      await compareWithEtcdutl(databaseIn(dataDir), [0, 1, last - 101, ...held, last + 1]);
    },
  );
}

for (const version of ['3.5', '3.6', '3.7'] as const) {
  test(
    `hashkv after etcdutl ${version} raised the revision`,
    { skip: skipReason(version) || skipReason('3.7') },
    async (t) => {
      const folder = scratch(t);
      const backup = join(folder, 'backup.db');
      const dataDir = join(folder, 'bumped');
      const ports = await freeMemberPorts();
      const { revision } = await serve(version, { dataDir: join(folder, 'data') }, async (server) => {
        const report = await runLoad(server, { kind: 'mixed', operations: 120, seed: 14 });
        await snapshotSave(server, backup);
        return report;
      });
      await restoreSingle(version, backup, {
        dataDir,
        ports,
        args: ['--bump-revision=5000', '--mark-compacted'],
      });
      const raised = revision + 5000;
      await compareWithEtcdutl(databaseIn(dataDir), [0, revision, raised - 1, raised, raised + 1]);
      await serve(version, { dataDir, ports }, async (server) => {
        await ask(server, ['put', 'after', 'bump']);
        await compareMoment(server, join(folder, 'after.db'));
      });
    },
  );
}

test('the bumped fixtures', { skip: skipReason('3.7') }, async (t: TestContext) => {
  const fixtures = join(projectRoot(), 'fixtures', 'restore');
  const archives = readdirSync(fixtures).filter((name) => name.startsWith('restored-bump1000-by-'));
  assert.ok(archives.length > 0);
  for (const archive of archives) {
    const folder = scratch(t);
    assert.equal(spawnSync('tar', ['-xzf', join(fixtures, archive), '-C', folder]).status, 0);
    const [database] = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
      (name) => basename(name) === 'db',
    );
    const path = join(folder, database!);
    assert.deepEqual(await ourHash(path, 0), { hash: 1416159962, hashRevision: 1019, compactRevision: 1019 });
    await compareWithEtcdutl(path, [0, 19, 1019, 1020]);
  }
});

test(
  'hashkv is printed as etcdutl prints it',
  { skip: skipReason('3.7') || skipReason('3.6') },
  async (t) => {
    const folder = scratch(t);
    const backup = join(folder, 'backup.db');
    // Without leases, on which etcdutl 3.6 ends in a panic.
    await serve('3.6', { dataDir: join(folder, 'data') }, async (server) => {
      await runLoad(server, { kind: 'mixed', operations: 100, leases: false });
      await snapshotSave(server, backup);
    });
    const program = join(projectRoot(), 'bin', 'etcdkit.js');
    for (const version of ['3.6', '3.7'] satisfies Version[]) {
      for (const format of ['simple', 'json', 'fields', 'table']) {
        const args = ['hashkv', `--write-out=${format}`];
        copyFileSync(backup, `${backup}.copy`);
        const theirs = await succeeded(etcdutl(version, [...args, `${backup}.copy`]));
        const ours = spawnSync(process.execPath, [program, ...args, backup, `--compat=${version}`], {
          encoding: 'utf8',
        });
        assert.equal(ours.stdout, theirs.stdout, `${format} as ${version}: ${ours.stderr}`);
      }
    }
  },
);

test('how much was compared', (t) => {
  t.diagnostic(
    `${counts.revisions} revisions at ${counts.moments} moments with servers, ${counts.byEtcdutl} with etcdutl`,
  );
});
