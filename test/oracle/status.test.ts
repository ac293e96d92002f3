// `snapshot status` says what etcdutl 3.5, 3.6 and 3.7 say of the same file: the numbers in-process, and under
// --compat every byte on stdout.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { plainContext } from '../../src/ops/context.ts';
import { snapshotStatus } from '../../src/ops/snapshot/status.ts';
import { projectRoot } from '../support/project.ts';
import { scratch } from '../support/scratch.ts';
import { BUILT_VERSIONS, VERSIONS, etcdctl, etcdutl, skipReason, succeeded } from './etcd.ts';
import type { Version } from './etcd.ts';
import { SINGLE_RECIPES, databaseIn } from './healthy.ts';
import type { Sample } from './healthy.ts';

const FORMATS = ['simple', 'json', 'fields', 'table'];
/** Recipes whose databases differ most, with the formats in which their backups are compared. */
const KINDS: Record<string, readonly string[]> = {
  empty: FORMATS,
  mixed: FORMATS,
  bench: ['simple'],
  restored: ['simple'],
  tombstones: ['simple'],
};

/** What etcdutl's JSON says; 3.5 knows no version. */
interface Status {
  hash: number;
  revision: number;
  totalKey: number;
  totalSize: number;
  version?: string;
}

/** Our own status in the shape of a version of etcdutl. */
async function ourStatus(path: string, version: Version): Promise<Status> {
  const {
    hash,
    revision,
    totalKey,
    totalRecords,
    totalSize,
    version: stored,
  } = await snapshotStatus(path, plainContext());
  if (version === '3.4' || version === '3.5') return { hash, revision, totalKey: totalRecords, totalSize };
  return { hash, revision, totalKey, totalSize, version: stored };
}

async function theirStatus(path: string, version: Version): Promise<Status> {
  const tool = version === '3.4' ? etcdctl : etcdutl;
  const { stdout } = await succeeded(tool(version, ['snapshot', 'status', path, '--write-out=json']));
  return JSON.parse(stdout) as Status;
}

/** Runs our program to its end. */
function etcdkit(args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((fulfil, reject) => {
    const child = spawn(process.execPath, [join(projectRoot(), 'bin', 'etcdkit.js'), ...args]);
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => fulfil({ code, stdout, stderr }));
  });
}

/** Both programs with the same arguments; ours is told whom to be like. */
async function compareOutput(version: Version, args: readonly string[]): Promise<void> {
  const [ours, theirs] = await Promise.all([
    etcdkit([...args, `--compat=${version}`]),
    etcdutl(version, args),
  ]);
  const what = `${args.join(' ')} as ${version}`;
  assert.equal(ours.stdout, theirs.stdout, what);
  assert.equal(ours.code, theirs.code, `${what}: ${ours.stderr}`);
}

const counts = { databases: 0, numbers: 0, outputs: 0 };

async function compareNumbers(version: Version, path: string): Promise<void> {
  counts.databases++;
  for (const tool of version === '3.4' ? VERSIONS : BUILT_VERSIONS) {
    assert.deepEqual(await ourStatus(path, tool), await theirStatus(path, tool), `${path} as ${tool}`);
    counts.numbers++;
  }
}

async function compareFormats(path: string, formats: readonly string[]): Promise<void> {
  for (const version of BUILT_VERSIONS) {
    for (const format of formats) {
      await compareOutput(version, ['snapshot', 'status', path, `--write-out=${format}`]);
      counts.outputs++;
    }
  }
}

for (const version of VERSIONS) {
  for (const [kind, formats] of Object.entries(KINDS)) {
    const { make } = SINGLE_RECIPES.find(({ name }) => name === `${kind} ${version}`)!;
    test(`status of ${kind} ${version}`, { skip: skipReason(version) }, async (t) => {
      const sample = async ({ path }: Sample): Promise<void> => {
        const isDirectory = statSync(path).isDirectory();
        const database = isDirectory ? databaseIn(path) : path;
        await compareNumbers(version, database);
        if (!isDirectory) await compareFormats(database, formats);
      };
      await make({ folder: scratch(t), sample });
    });
  }
}

test('a file that is not there, and none at all', { skip: skipReason('3.7') }, async (t: TestContext) => {
  const absent = join(scratch(t), 'absent.db');
  for (const version of BUILT_VERSIONS) {
    for (const operands of [[absent], []]) {
      const args = ['snapshot', 'status', ...operands];
      await compareOutput(version, args);
      const [ours, theirs] = await Promise.all([
        etcdkit([...args, `--compat=${version}`]),
        etcdutl(version, args),
      ]);
      const errorOf = (text: string): string | undefined =>
        text.split('\n').find((line) => line.startsWith('Error: '));
      assert.equal(errorOf(ours.stderr), errorOf(theirs.stderr));
    }
  }
});

test('what was compared', (t) => {
  t.diagnostic(
    `${counts.databases} databases, ${counts.numbers} times their numbers, ${counts.outputs} outputs byte for byte`,
  );
});
