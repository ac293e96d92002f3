import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32c } from '../../src/bytes/crc32c.ts';
import { Pacer } from '../../src/bytes/pacer.ts';
import { FileSource, MemorySource } from '../../src/bytes/source.ts';
import { hashContent, hashKeys } from '../../src/server/content-hash.ts';
import { BUCKETS } from '../../src/store/schema/buckets.ts';
import { buildDatabase, compactedAt, metaRows, type Pair, put, text } from '../store/database-builder.ts';
import { fixture, readFixture, VERSIONS } from '../support/fixtures.ts';

const hashOf = (bytes: Uint8Array): Promise<number> => hashContent(new MemorySource(bytes), new Pacer());

for (const version of VERSIONS) {
  test(`the hash of the keys is the one a running etcd ${version} gave`, async () => {
    const [endpoint] = JSON.parse(readFixture(`expected/endpoint-hashkv-${version}.json`).toString());
    const source = new FileSource(fixture(`snap/snap-${version}.db`));
    try {
      const { hash, compactRevision } = await hashKeys(source, 0, new Pacer());
      assert.deepEqual([hash, compactRevision], [endpoint.HashKV.hash, endpoint.HashKV.compact_revision]);
    } finally {
      source.close();
    }
  });
}

/** Name by name, row by row, as the rule says it. */
function plainly(rows: Readonly<Record<string, readonly Pair[]>>): number {
  let crc = 0;
  for (const name of BUCKETS) {
    crc = crc32c(text(name), crc);
    for (const [key, value] of rows[name] ?? []) crc = crc32c(value, crc32c(key, crc));
  }
  return crc;
}

test('the hash of the content is that of names and rows, over many pages', async () => {
  const records = Array.from({ length: 2000 }, (_, i) =>
    put(i + 2, `key-${i}`, { value: 'v'.repeat(i % 90) }),
  );
  const bytes = buildDatabase({ records, buckets: { meta: [], cluster: [], members: [] } });
  assert.equal(await hashOf(bytes), plainly({ key: records }));
});

test('what differs between members alone does not count', async () => {
  const one = buildDatabase();
  const other = buildDatabase({
    buckets: {
      meta: metaRows({
        consistent_index: text('12345678'),
        term: text('87654321'),
        storageVersion: text('3.7.0'),
      }),
    },
  });
  assert.equal(await hashOf(one), await hashOf(other));
  const compacted = buildDatabase({ buckets: { meta: compactedAt({ finished: 2 }) } });
  assert.notEqual(await hashOf(one), await hashOf(compacted));
});

test('whoever is gone has the hashing stopped', async () => {
  const records = Array.from({ length: 20_000 }, (_, i) => put(i + 2, `key-${i}`));
  const source = new MemorySource(buildDatabase({ records }));
  const pacer = new Pacer({ signal: AbortSignal.abort() });
  pacer.isDue = () => true;
  for (const run of [hashContent(source, pacer), hashKeys(source, 0, pacer)])
    await assert.rejects(run, { code: 'interrupted' });
});
