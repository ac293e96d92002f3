import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { CorruptError } from '../../../src/errors.ts';
import { plainContext } from '../../../src/ops/context.ts';
import { hashKV, type HashKVReport } from '../../../src/ops/inspect/hashkv.ts';
import { buildDatabase, compactedAt, openBytes, put, text } from '../../store/database-builder.ts';
import { memberOf } from '../../check/directories.ts';
import { commit, hurry } from '../../check/writer.ts';
import { fixture, readFixture, VERSIONS } from '../../support/fixtures.ts';
import { scratch } from '../../support/scratch.ts';
import { unchanged } from '../../support/unchanged.ts';

const hashOf = (path: string, revision = 0): Promise<HashKVReport> =>
  hashKV(path, { revision }, plainContext());

function fileOf(t: Parameters<typeof scratch>[0], bytes: Uint8Array): string {
  const path = join(scratch(t), 'test.db');
  writeFileSync(path, bytes);
  return path;
}

for (const version of VERSIONS) {
  test(`the hash a running etcd ${version} gave, of its directory and of its backup`, async () => {
    const [endpoint] = JSON.parse(readFixture(`expected/endpoint-hashkv-${version}.json`).toString());
    const { hash, compact_revision: compactRevision } = endpoint.HashKV;
    for (const path of [join(memberOf(version), 'snap', 'db'), fixture(`snap/snap-${version}.db`)]) {
      const report = await unchanged(path, () => hashOf(path));
      assert.deepEqual([report.hash, report.compactRevision], [hash, compactRevision]);
    }
    const expected = { hash, hashRevision: 19, compactRevision };
    assert.deepEqual(await hashOf(memberOf(version)), expected);
    assert.deepEqual(await hashOf(join(memberOf(version), '..')), expected);
    assert.deepEqual(await hashOf(fixture(`snap/snap-${version}.db`), 19), expected);
  });
}

test('the input stays as it is when a compaction is pending, where etcdutl goes on with it', async (t) => {
  const records = [put(2, 'a'), put(3, 'a', { createRevision: 2, version: 2 }), put(4, 'b')];
  const path = fileOf(t, buildDatabase({ records, buckets: { meta: compactedAt({ scheduled: 3 }) } }));
  const report = await unchanged(path, () => hashOf(path));
  assert.equal(report.compactRevision, 3);
});

describe('refuses', () => {
  const three = buildDatabase({
    records: [put(2, 'a'), put(3, 'b'), put(4, 'c')],
    buckets: { meta: compactedAt({ scheduled: 3, finished: 3 }) },
  });

  const revisions: Array<[revision: number, code: string, upstream: string]> = [
    [1, 'mvcc.compacted', 'mvcc: required revision has been compacted'],
    [2, 'mvcc.compacted', 'mvcc: required revision has been compacted'],
    [5, 'mvcc.future', 'mvcc: required revision is a future revision'],
  ];
  for (const [revision, code, upstream] of revisions) {
    test(`revision ${revision}: ${upstream}`, (t) =>
      assert.rejects(hashOf(fileOf(t, three), revision), { code, upstream }));
  }
  test('a negative revision', (t) => assert.rejects(hashOf(fileOf(t, three), -1), { code: 'usage' }));

  test('a database that is none of etcd', (t) => {
    const path = fileOf(t, buildDatabase({ buckets: { key: undefined } }));
    return assert.rejects(hashOf(path), { code: 'schema.bucket', upstream: 'nil bucket: "key"' });
  });

  test('damage, instead of a hash that is wrong', async (t) => {
    const bytes = buildDatabase({
      records: Array.from({ length: 100 }, (_, i) => put(i + 2, `k${i}`)),
      pageSize: 1024,
    });
    const bolt = openBytes(bytes);
    const leaf = bolt.leaves(bolt.bucket('key')!).next()!;
    const cases: Array<[code: string, offset: number]> = [
      ['bolt.page.id', leaf.id * 1024],
      ['bolt.page.element', leaf.id * 1024 + 16 + 4],
      ['mvcc.value', leaf.fileOffset(leaf.keyStart(1)) + 8],
      ['mvcc.value', leaf.fileOffset(leaf.keyStart(1)) + 17],
    ];
    for (const [code, offset] of cases) {
      const path = fileOf(t, bytes.with(offset, bytes[offset]! ^ 0x80));
      await assert.rejects(
        hashOf(path),
        (error: unknown) => error instanceof CorruptError && error.code === code,
      );
    }
  });

  test('a malformed mark of compaction', (t) => {
    const path = fileOf(t, buildDatabase({ buckets: { meta: [[text('finishedCompactRev'), text('7')]] } }));
    return assert.rejects(hashOf(path), { code: 'mvcc.compaction' });
  });

  test('a file that a writer commits to', async (t) => {
    hurry(t);
    const bytes = buildDatabase({ records: [put(2, 'a')] });
    const path = fileOf(t, bytes);
    const context = plainContext({ progress: () => () => commit(path) });
    const run = hashKV(path, { revision: 0 }, context);
    await assert.rejects(run, { code: 'backup.changing', hint: /snapshot save/ });
    // Whatever else is found of such a file proves nothing.
    const many = buildDatabase({
      records: [
        [put(2, 'a')[0], text('\x0a\xff')],
        ...Array.from({ length: 99 }, (_, i) => put(i + 3, `k${i}`)),
      ],
      pageSize: 1024,
    });
    writeFileSync(path, many);
    const damaged = hashKV(path, { revision: 0 }, context);
    await assert.rejects(damaged, { code: 'backup.changing' });
  });
});
