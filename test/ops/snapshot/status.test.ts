import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { CorruptError } from '../../../src/errors.ts';
import { plainContext } from '../../../src/ops/context.ts';
import { snapshotStatus } from '../../../src/ops/snapshot/status.ts';
import { buildDatabase, bump, deletion, put, sealed, text } from '../../store/database-builder.ts';
import { hurry } from '../../check/writer.ts';
import { fixture, readFixture, unpacked, VERSIONS } from '../../support/fixtures.ts';
import { scratch } from '../../support/scratch.ts';
import { unchanged } from '../../support/unchanged.ts';

const context = plainContext();

function fileOf(t: Parameters<typeof scratch>[0], bytes: Uint8Array): string {
  const path = join(scratch(t), 'test.db');
  writeFileSync(path, bytes);
  return path;
}

describe('the numbers are those of etcdutl', () => {
  for (const version of VERSIONS) {
    for (const etcdutl of ['3.5', '3.6', '3.7']) {
      test(`${etcdutl} of snap-${version}`, async () => {
        const path = fixture(`snap/snap-${version}.db`);
        const report = await unchanged(path, () => snapshotStatus(path, context));
        const json = JSON.parse(
          readFixture(`expected/status-snap-${version}-by-etcdutl-${etcdutl}.json`).toString(),
        );
        const { hash, revision, totalKey, totalSize, version: stored } = json;
        assert.deepEqual(
          [report.hash, report.revision, report.totalSize, report.digest],
          [hash, revision, totalSize, 'good'],
        );
        assert.equal(etcdutl === '3.5' ? report.totalRecords : report.totalKey, totalKey);
        if (etcdutl !== '3.5') assert.equal(report.version, stored ?? '');
      });
    }
  }
});

describe('whatever the file is', () => {
  const database = buildDatabase({ records: [put(2, 'a'), put(3, 'b'), deletion(4, 'b'), put(5, 'c')] });
  const cases: Array<[what: string, bytes: Uint8Array, digest: string]> = [
    ['a backup', sealed(database), 'good'],
    ['a backup with a wrong digest', sealed(database).fill(0, -1), 'mismatch'],
    ['a raw database', database, 'absent'],
    ['a preallocated one', Buffer.concat([database, Buffer.alloc(40960)]), 'absent'],
  ];
  for (const [what, bytes, digest] of cases) {
    test(what, async (t) => {
      const path = fileOf(t, bytes);
      const report = await unchanged(path, () => snapshotStatus(path, context));
      const { revision, totalKey, totalRecords, totalSize, version } = report;
      assert.deepEqual(
        [revision, totalKey, totalRecords, totalSize, version],
        [5, 2, 10, database.length, '3.6.0'],
      );
      assert.equal(report.digest, digest);
    });
  }

  test('a directory', async (t) => {
    const root = scratch(t);
    mkdirSync(join(root, 'member/snap'), { recursive: true });
    writeFileSync(join(root, 'member/snap/db'), database);
    assert.equal((await snapshotStatus(root, context)).revision, 5);
  });

  test('an empty store', async (t) => {
    const { revision, totalKey, version } = await snapshotStatus(
      fileOf(t, buildDatabase({ buckets: { meta: [] } })),
      context,
    );
    assert.deepEqual([revision, totalKey, version], [0, 0, '']);
  });

  test('a database without the buckets of etcd, where etcdutl ends in a panic', async () => {
    const { revision, totalKey, version, totalRecords } = await snapshotStatus(
      unpacked('bbolt/ps1024.db.gz', 'ps1024.db'),
      context,
    );
    assert.deepEqual([revision, totalKey, version], [0, 0, '']);
    assert.ok(totalRecords > 0);
  });

  test('a bump counts as a key, as etcdutl has it', async (t) => {
    const { revision, totalKey } = await snapshotStatus(
      fileOf(t, buildDatabase({ records: [put(2, 'a'), bump(1002)] })),
      context,
    );
    assert.deepEqual([revision, totalKey], [1002, 2]);
  });
});

describe('refuses', () => {
  test('a damaged page: what, where, how many, and what next', async (t) => {
    const bytes = buildDatabase({
      records: Array.from({ length: 100 }, (_, i) => put(i + 2, `k${i}`)),
      pageSize: 1024,
    });
    for (const page of [3, 4]) bytes[page * 1024]! ^= 0xff;
    const path = fileOf(t, bytes);
    await unchanged(path, () =>
      assert.rejects(snapshotStatus(path, context), (error: unknown) => {
        assert.ok(error instanceof CorruptError);
        assert.equal(error.code, 'bolt.page.id');
        assert.match(
          error.message,
          /^snapshot file integrity check failed\. \d+ errors found\.\npage \d: page \d calls itself/,
        );
        assert.deepEqual([error.where?.file, error.hint], [path, `etcdkit snapshot verify ${path}`]);
        return true;
      }),
    );
  });

  test('more damage than can be shown', async (t) => {
    const records = Array.from({ length: 50 }, (_, i) => put(i + 2, `k${i}`));
    for (const [key] of records) key[8] = 0x60;
    const path = fileOf(t, buildDatabase({ records }));
    await assert.rejects(snapshotStatus(path, context), (error: unknown) => {
      assert.ok(error instanceof CorruptError);
      assert.match(error.message, /50 errors found/);
      assert.equal(error.message.split('\n').length, 1 + 20 + 1);
      assert.match(error.message, /\nand 30 more$/);
      return true;
    });
  });

  const values: Array<[code: string, records: Parameters<typeof buildDatabase>[0]]> = [
    ['mvcc.revision-key', { records: [[text('not a revision'), text('')]] }],
    ['mvcc.value', { records: [[put(2, 'a')[0], text('\x0a\xff')]] }],
  ];
  for (const [code, spec] of values) {
    test(`a record that does not decode: ${code}`, async (t) => {
      await assert.rejects(snapshotStatus(fileOf(t, buildDatabase(spec)), context), {
        code,
        message: /1 errors found/,
      });
    });
  }

  const paths: Array<[what: string, code: string, make: (t: Parameters<typeof scratch>[0]) => string]> = [
    ['nothing', 'io.not-found', (t) => join(scratch(t), 'none')],
    ['an empty file', 'kind.empty', (t) => fileOf(t, new Uint8Array())],
    ['some directory', 'kind.unknown', (t) => scratch(t)],
    ['some file', 'bolt.meta.none', (t) => fileOf(t, text('hello'))],
  ];
  for (const [what, code, make] of paths) {
    test(what, (t) => assert.rejects(snapshotStatus(make(t), context), { code }));
  }

  test('to go on when it is interrupted', async (t) => {
    hurry(t);
    const controller = new AbortController();
    controller.abort();
    const path = fixture('snap/snap-3.6.db');
    await assert.rejects(snapshotStatus(path, plainContext({ signal: controller.signal })), {
      code: 'interrupted',
    });
  });
});
