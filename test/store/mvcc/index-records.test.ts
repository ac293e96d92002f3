import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pacer } from '../../../src/bytes/pacer.ts';
import { CorruptError } from '../../../src/errors.ts';
import type { BackendView } from '../../../src/store/backend/backend.ts';
import { indexNothing, indexRecords } from '../../../src/store/mvcc/index-records.ts';
import { bump, deletion, type Pair, put, text } from '../database-builder.ts';

const viewOf = (records: readonly Pair[]): BackendView => ({
  get: () => undefined,
  scan: (bucket) => (bucket === 'key' ? records.map(([key, value]) => ({ key, value })) : []),
});
const read = (...records: Pair[]): ReturnType<typeof indexRecords> =>
  indexRecords(viewOf(records), new Pacer());

test('all revisions of all keys, and the newest of them', async () => {
  const { keys, revision } = await read(
    put(2, 'a'),
    put(3, 'b', { lease: 9n }),
    deletion(4, 'a'),
    put(7, 'b', { version: 2 }),
  );
  assert.deepEqual([revision, keys.size, keys.deadCount, keys.revisionCount], [7, 2, 1, 4]);
  const a = keys.find(text('a'));
  assert.deepEqual([keys.seek(a, 3), keys.main], [true, 2]);
  assert.equal(keys.seek(a, 4), false);
  assert.equal(keys.leaseOf(keys.find(text('b'))), 0n);
});

test('a tombstone whose puts are compacted stands for a key', async () => {
  const { keys } = await read(deletion(4, 'a'), put(5, 'a', { createRevision: 5 }));
  const id = keys.find(text('a'));
  assert.deepEqual([keys.seek(id, 4), keys.seek(id, 5), keys.deadCount], [false, true, 0]);
});

test('the record of a bump is a key without a name', async () => {
  const { keys, revision } = await read(put(2, 'a'), bump(1003));
  assert.deepEqual([revision, keys.size, keys.seek(keys.find(text(''))), keys.main], [1003, 2, true, 1003]);
});

test('nothing at all is revision 1', async () => {
  assert.deepEqual([(await read()).revision, indexNothing().revision], [1, 1]);
});

test('a sub revision that no transaction reaches is damage', async () => {
  await read(put(2, 'a', { sub: 2 ** 31 - 1 }));
  await assert.rejects(read(put(2, 'a', { sub: 2 ** 31 })), CorruptError);
});

test('a long job can be stopped', async () => {
  const controller = new AbortController();
  controller.abort();
  const slow: BackendView = {
    get: () => undefined,
    *scan() {
      for (let i = 2; ; i++) {
        const [key, value] = put(i, `k${i % 100}`);
        yield { key, value };
      }
    },
  };
  await assert.rejects(indexRecords(slow, new Pacer({ signal: controller.signal })), { code: 'interrupted' });
});
