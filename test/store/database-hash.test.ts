import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32c } from '../../src/bytes/crc32c.ts';
import { Pacer } from '../../src/bytes/pacer.ts';
import { MemorySource } from '../../src/bytes/source.ts';
import { CorruptError } from '../../src/errors.ts';
import { hashDatabase } from '../../src/store/database-hash.ts';
import { encodeIndex } from '../../src/store/schema/rows.ts';
import { buildDatabase, metaRows, openBytes, type Pair, put, text } from './database-builder.ts';

const records = Array.from({ length: 300 }, (_, i) => put(i + 2, `key${i}`));
const withMeta = (...rows: Pair[]): Uint8Array => {
  const meta = [...metaRows(), ...rows].toSorted(([a], [b]) => Buffer.compare(a, b));
  return buildDatabase({ records, buckets: { meta }, pageSize: 1024 });
};
const hashOf = (file: Uint8Array): Promise<number> => hashDatabase(new MemorySource(file), new Pacer());

test('buckets by name, with all that is in them but what differs from member to member', async () => {
  const file = withMeta([text('other'), text('counts')]);
  const bolt = openBytes(file);
  let expected = 0;
  for (const bucket of bolt.buckets()) {
    expected = crc32c(bucket.name, expected);
    const leaves = bolt.leaves(bucket);
    for (let leaf = leaves.next(); leaf; leaf = leaves.next())
      for (let i = 0; i < leaf.count; i++) {
        if (['consistent_index', 'term', 'storageVersion'].includes(Buffer.from(leaf.key(i)).toString()))
          continue;
        expected = crc32c(leaf.value(i), crc32c(leaf.key(i), expected));
      }
  }
  assert.equal(await hashOf(file), expected);
});

test('another index leaves it as it is, another row of meta or another value does not', async () => {
  const hash = await hashOf(buildDatabase({ records }));
  const moved = metaRows({
    consistent_index: encodeIndex(99),
    term: encodeIndex(7),
    storageVersion: text('3.7.0'),
  });
  assert.equal(await hashOf(buildDatabase({ records, buckets: { meta: moved } })), hash);
  assert.notEqual(await hashOf(withMeta([text('zzz'), text('1')])), hash);
  assert.notEqual(await hashOf(buildDatabase({ records: [...records, put(400, 'a')] })), hash);
});

test('damage is thrown', async () => {
  const file = Buffer.from(buildDatabase({ records, pageSize: 1024 }));
  const bolt = openBytes(file);
  const leaf = bolt.leaves(bolt.bucket('key')!).next()!;
  file.writeUInt16LE(0xffff, leaf.offset + 8);
  await assert.rejects(hashOf(file), CorruptError);
});
