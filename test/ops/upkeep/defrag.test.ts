import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Disk, realDisk } from '../../../src/bytes/disk.ts';
import { RefusedError, ToolError } from '../../../src/errors.ts';
import { plainContext } from '../../../src/ops/context.ts';
import { hashKV } from '../../../src/ops/inspect/hashkv.ts';
import { snapshotStatus } from '../../../src/ops/snapshot/status.ts';
import { verifySnapshot } from '../../../src/ops/snapshot/verify.ts';
import { defragment, type DefragTarget } from '../../../src/ops/upkeep/defrag.ts';
import { buildDatabase, deletion, put, sealed } from '../../store/database-builder.ts';
import { differingRows, readDatabaseRows } from '../../support/database-rows.ts';
import { memberOf, unpackSparsely } from '../../check/directories.ts';
import { fixture, VERSIONS } from '../../support/fixtures.ts';
import { scratch } from '../../support/scratch.ts';
import { unchanged } from '../../support/unchanged.ts';

type Scope = Parameters<typeof scratch>[0];

const context = plainContext();
const OPTIONS = { timeoutMs: 200 };
const K8S = (): string => unpackSparsely('kubernetes/k8s-small-after-3.6.db.gz');

function fileOf(t: Scope, bytes: Uint8Array): string {
  const path = join(scratch(t), 'test.db');
  writeFileSync(path, bytes);
  return path;
}

/** A data directory with this database in it, which holds free pages. */
function dataDir(t: Scope, database = join(memberOf('3.6'), 'snap', 'db')): { dir: string; db: string } {
  const dir = scratch(t);
  mkdirSync(join(dir, 'member', 'snap'), { recursive: true });
  const db = join(dir, 'member', 'snap', 'db');
  copyFileSync(database, db);
  return { dir, db };
}

async function assertSound(path: string): Promise<void> {
  const { damageCount, findings } = await verifySnapshot(path, {}, context);
  assert.equal(damageCount, 0, findings.map(({ message }) => message).join('\n'));
}

describe('to a new file', () => {
  const inputs: Array<[what: string, path: () => string]> = [
    ...VERSIONS.map((version): [string, () => string] => [
      `snap-${version}.db`,
      () => fixture(`snap/snap-${version}.db`),
    ]),
    ['the database of a stopped member', () => join(memberOf('3.5'), 'snap', 'db')],
    ['what a kube-apiserver wrote', K8S],
  ];
  for (const [what, input] of inputs) {
    test(what, async (t) => {
      const file = input();
      const output = join(scratch(t), 'new.db');
      const report = await unchanged(file, () => defragment({ file, output }, OPTIONS, context));
      assert.deepEqual(differingRows(readDatabaseRows(file), readDatabaseRows(output)), []);
      await assertSound(output);
      const [before, after] = [await snapshotStatus(file, context), await snapshotStatus(output, context)];
      assert.deepEqual(
        [after.hash, after.digest, after.totalRecords],
        [before.hash, before.digest, before.totalRecords],
      );
      assert.deepEqual(
        await hashKV(output, { revision: 0 }, context),
        await hashKV(file, { revision: 0 }, context),
      );
      assert.deepEqual(
        [report.hash, report.recordCount, report.isDryRun],
        [after.hash, after.totalRecords, false],
      );
      assert.deepEqual([report.path, report.output], [file, output]);
      assert.equal(report.sizeBeforeBytes, statSync(file).size);
      assert.equal(report.sizeAfterBytes, statSync(output).size);
      assert.equal(report.sizeInUseBytes, after.totalSize);
      assert.ok(after.totalSize <= before.totalSize);
    });
  }

  test('the trailer of a backup is a new one', async (t) => {
    const output = join(scratch(t), 'new.db');
    await defragment({ file: K8S(), output }, OPTIONS, context);
    const bytes = readFileSync(output);
    assert.equal(bytes.length % 512, 32);
    assert.deepEqual(bytes.subarray(-32), createHash('sha256').update(bytes.subarray(0, -32)).digest());
  });

  test('the mode is that of the old one, and nothing else is left', async (t) => {
    const file = fileOf(t, buildDatabase());
    chmodSync(file, 0o640);
    const folder = scratch(t);
    await defragment({ file, output: join(folder, 'new.db') }, OPTIONS, context);
    assert.equal(statSync(join(folder, 'new.db')).mode & 0o777, 0o640);
    assert.deepEqual(readdirSync(folder), ['new.db']);
  });

  test('takes no lock: a backup has no server', async (t) => {
    const file = fileOf(t, sealed(buildDatabase()));
    await withLockOn(file, () => defragment({ file, output: join(scratch(t), 'new.db') }, OPTIONS, context));
  });
});

describe('in its place', () => {
  const targets: Array<[what: string, targetOf: (at: { dir: string; db: string }) => DefragTarget]> = [
    ['a data directory', ({ dir }) => ({ dataDir: dir })],
    ['a file', ({ db }) => ({ file: db, inPlace: true })],
    ['the database of a directory', ({ dir }) => ({ file: dir, inPlace: true })],
  ];
  for (const [what, targetOf] of targets) {
    test(what, async (t) => {
      const at = dataDir(t);
      chmodSync(at.db, 0o600);
      const before = readDatabaseRows(at.db);
      const { ino, size } = statSync(at.db);
      const report = await defragment(targetOf(at), OPTIONS, context);
      assert.deepEqual([report.path, report.output], [at.db, at.db]);
      assert.deepEqual(differingRows(before, readDatabaseRows(at.db)), []);
      const after = statSync(at.db);
      assert.notEqual(after.ino, ino, 'a new file took its place');
      assert.ok(after.size < size / 100, `${after.size} of ${size}`);
      assert.deepEqual([after.mode & 0o777, after.size], [0o600, report.sizeAfterBytes]);
      assert.deepEqual(readdirSync(join(at.dir, 'member', 'snap')), ['db']);
      await assertSound(at.db);
    });
  }

  test('twice gives the same', async (t) => {
    const { dir, db } = dataDir(t);
    await defragment({ dataDir: dir }, OPTIONS, context);
    const once = readFileSync(db);
    const report = await defragment({ dataDir: dir }, OPTIONS, context);
    assert.deepEqual(readFileSync(db), once);
    assert.equal(report.sizeBeforeBytes, report.sizeAfterBytes);
  });
});

describe('a dry run', () => {
  test('says what would come out, and touches nothing', async (t) => {
    const { dir, db } = dataDir(t, K8S());
    const predicted = await unchanged(db, () =>
      defragment({ dataDir: dir }, { ...OPTIONS, isDryRun: true }, context),
    );
    assert.deepEqual(readdirSync(join(dir, 'member', 'snap')), ['db']);
    const done = await defragment({ dataDir: dir }, OPTIONS, context);
    const { isDryRun, tookMs: _, freeBytes, ...same } = predicted;
    assert.deepEqual([isDryRun, freeBytes > 0], [true, true]);
    for (const [name, value] of Object.entries(same))
      assert.equal(done[name as keyof typeof same], value, name);
  });

  test('waits for no lock', async (t) => {
    const { dir, db } = dataDir(t);
    await withLockOn(db, () => defragment({ dataDir: dir }, { ...OPTIONS, isDryRun: true }, context));
  });

  test('fails where the real one would', async (t) => {
    const file = fileOf(t, sealed(buildDatabase()).fill(0, -1));
    const output = join(scratch(t), 'new.db');
    await assert.rejects(defragment({ file, output }, { ...OPTIONS, isDryRun: true }, context), {
      code: 'backup.digest',
    });
  });
});

/** Runs `run` while another process holds the lock that etcd takes. */
async function withLockOn<T>(path: string, run: () => Promise<T>): Promise<T> {
  const holder = spawn('flock', ['-x', path, 'sh', '-c', 'echo locked; read _'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    await once(holder.stdout, 'data');
    return await run();
  } finally {
    const isGone = once(holder, 'close');
    holder.stdin.end();
    await isGone;
  }
}

/** Why a database is not defragmented; fails when it was, or when it is another one afterwards. */
async function refusalOf(
  path: string,
  target: DefragTarget,
  of = context,
  isDryRun = false,
): Promise<ToolError> {
  return unchanged(path, async () => {
    const error = await defragment(target, { ...OPTIONS, isDryRun }, of).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof ToolError, `${String(error)} is an error of ours`);
    return error;
  });
}

describe('refuses, and leaves everything as it was', () => {
  test('a database that a running etcd holds', async (t) => {
    const { dir, db } = dataDir(t);
    await withLockOn(db, async () => {
      for (const target of [{ dataDir: dir }, { file: db, inPlace: true } as const]) {
        const error = await refusalOf(db, target);
        assert.ok(error instanceof RefusedError);
        assert.equal(error.code, 'lock.held');
        assert.match(error.message, /is locked by process \d+: a running etcd\?/);
      }
    });
    await defragment({ dataDir: dir }, OPTIONS, context);
  });

  test('to write over a file, a directory or a link', async (t) => {
    const file = fileOf(t, buildDatabase());
    const folder = scratch(t);
    writeFileSync(join(folder, 'file'), 'x');
    mkdirSync(join(folder, 'directory'));
    symlinkSync('/nonexistent', join(folder, 'link'));
    for (const name of readdirSync(folder)) {
      const run = defragment({ file, output: join(folder, name) }, OPTIONS, context);
      await assert.rejects(
        run,
        (error: unknown) => error instanceof RefusedError && error.code === 'restore.target-exists',
      );
    }
    assert.equal(readFileSync(join(folder, 'file'), 'utf8'), 'x');
  });

  const records = Array.from({ length: 100 }, (_, i) => put(i + 2, `k${i}`));
  const sound = buildDatabase({ records, pageSize: 1024 });
  const damaged: Array<[what: string, code: string, bytes: Uint8Array]> = [
    ['a digest that does not match', 'backup.digest', sealed(sound).fill(0, -1)],
    ['a page that is not itself', 'bolt.page.id', sound.with(3 * 1024, 0)],
    ['a page that is missing', 'bolt.page.bounds', sound.subarray(0, -2048)],
    [
      'a record that does not decode',
      'mvcc.value',
      buildDatabase({ records: [[put(2, 'a')[0], Buffer.from('0801', 'hex')]] }),
    ],
    ['a history that cannot be', 'mvcc.tombstone', buildDatabase({ records: [deletion(2, 'a')] })],
    ['no database at all', 'bolt.meta.none', new Uint8Array(8192)],
    ['an empty file', 'kind.empty', new Uint8Array()],
  ];
  for (const [what, code, bytes] of damaged) {
    test(`damage: ${what}`, async (t) => {
      const { dir, db } = dataDir(t, fileOf(t, bytes));
      const output = join(scratch(t), 'new.db');
      const targets: DefragTarget[] = [{ dataDir: dir }, { file: db, output }, { file: db, inPlace: true }];
      for (const target of targets) {
        for (const isDryRun of [true, false]) {
          const error = await refusalOf(db, target, context, isDryRun);
          assert.deepEqual([error.code, error.where?.file], [code, db]);
        }
      }
      assert.deepEqual(readdirSync(join(output, '..')), []);
      assert.deepEqual(readdirSync(join(dir, 'member', 'snap')), ['db']);
    });
  }

  const paths: Array<[what: string, code: string, targetOf: (root: string) => DefragTarget]> = [
    ['a directory without database', 'io.not-found', (dataDir) => ({ dataDir })],
    ['the same, given as a file', 'kind.unknown', (file) => ({ file, inPlace: true })],
    [
      'a file that is not there',
      'io.not-found',
      (root) => ({ file: join(root, 'none'), output: join(root, 'new') }),
    ],
    [
      'an output in a directory that is not there',
      'io.not-found',
      (root) => ({ file: fixture('snap/snap-3.6.db'), output: join(root, 'a/b') }),
    ],
  ];
  for (const [what, code, targetOf] of paths) {
    test(what, async (t) => {
      const root = scratch(t);
      await assert.rejects(defragment(targetOf(root), OPTIONS, context), { code });
      assert.deepEqual(readdirSync(root), []);
    });
  }

  test('a result that does not read back as it was written', async (t) => {
    const { dir, db } = dataDir(t);
    const real = realDisk();
    const write: Disk['write'] = (fd, bytes, position) => {
      // One bit of a value, on its way to the disk.
      const at = Buffer.from(bytes).indexOf('again');
      return real.write(fd, at < 0 ? bytes : bytes.slice().with(at, 0x41), position);
    };
    const error = await refusalOf(db, { dataDir: dir }, plainContext({ disk: { ...real, write } }));
    assert.equal(error.code, 'defrag.failed');
    assert.deepEqual(readdirSync(join(dir, 'member', 'snap')), ['db']);
  });

  test('to go on when it is interrupted at the last moment', async (t) => {
    const { dir, db } = dataDir(t);
    const controller = new AbortController();
    const real = realDisk();
    const sync: Disk['sync'] = (fd) => {
      real.sync(fd);
      controller.abort();
    };
    const stopped = plainContext({ disk: { ...real, sync }, signal: controller.signal });
    assert.equal((await refusalOf(db, { dataDir: dir }, stopped)).code, 'interrupted');
    assert.deepEqual(readdirSync(join(dir, 'member', 'snap')), ['db']);
  });

  test('to go on when it is interrupted', async (t) => {
    const { dir, db } = dataDir(t);
    const controller = new AbortController();
    controller.abort();
    const error = await refusalOf(db, { dataDir: dir }, plainContext({ signal: controller.signal }));
    assert.equal(error.code, 'interrupted');
    assert.deepEqual(readdirSync(join(dir, 'member', 'snap')), ['db']);
  });
});
