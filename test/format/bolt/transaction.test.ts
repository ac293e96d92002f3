import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Disk } from '../../../src/bytes/disk.ts';
import { ToolError } from '../../../src/errors.ts';
import { BoltEditor } from '../../../src/format/bolt/tx.ts';
import { boltFile, latin1 } from '../../support/bolt-spec.ts';
import { contentOfFile } from '../../support/database-content.ts';
import { hastyDisk } from '../../support/faulty-disk.ts';
import { scratch } from '../../support/scratch.ts';
import { text } from '../../store/database-builder.ts';

const BUCKET = text('b');

async function opened(
  t: TestContext,
  disk: Disk = hastyDisk(),
): Promise<{ editor: BoltEditor; path: string }> {
  const path = join(scratch(t), 'db');
  writeFileSync(path, boltFile({ root: 2, pages: { 2: { leaf: [] } } }));
  const editor = await BoltEditor.open(disk, path);
  t.after(() => editor.close());
  return { editor, path };
}

function put(editor: BoltEditor, rows: Record<string, string>): ReturnType<BoltEditor['begin']> {
  const tx = editor.begin();
  for (const [key, value] of Object.entries(rows)) tx.ensureBucket(BUCKET).put(text(key), text(value));
  return tx;
}

function read(editor: BoltEditor, key: string): string | undefined {
  const bucket = editor.bucket('b');
  const value = bucket && editor.reader.get(bucket, text(key));
  return value && latin1(value);
}

test('until a commit has ended the state before it is read, and no other transaction begins', async (t) => {
  const syncs: Array<() => void> = [];
  const disk = { ...hastyDisk(), startDataSync: () => new Promise<void>((resolve) => syncs.push(resolve)) };
  const { editor } = await opened(t, disk);
  put(editor, { k: 'old' }).commit();
  const commit = put(editor, { k: 'new', l: 'x'.repeat(3000) }).startCommit();
  for (let i = 0; i < 2; i++) {
    assert.equal(read(editor, 'k'), 'old');
    assert.equal(read(editor, 'l'), undefined);
    assert.throws(() => editor.begin(), { code: 'unexpected' });
    syncs.shift()!();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const meta = await commit;
  assert.deepEqual(meta, editor.live);
  assert.deepEqual([read(editor, 'k'), read(editor, 'l')], ['new', 'x'.repeat(3000)]);
  assert.equal(editor.begin().isOpen, true);
});

test('both kinds of commit leave the same file', async (t) => {
  const contents: unknown[] = [];
  for (const isStarted of [false, true]) {
    const { editor, path } = await opened(t);
    for (let round = 0; round < 5; round++) {
      const rows = Array.from({ length: 100 }, (_, i) => [
        `k${(i * 7 + round) % 150}`,
        String(round).repeat(50),
      ]);
      const tx = put(editor, Object.fromEntries(rows) as Record<string, string>);
      if (isStarted) await tx.startCommit();
      else tx.commit();
    }
    contents.push([contentOfFile(path), editor.live]);
  }
  assert.deepEqual(contents[0], contents[1]);
});

test('a started commit that fails leaves the editor without further transactions', async (t) => {
  const failure = new ToolError('io.failed', 'the disk is gone');
  const { editor, path } = await opened(t, { ...hastyDisk(), startDataSync: () => Promise.reject(failure) });
  put(editor, { k: 'old' }).commit();
  await assert.rejects(put(editor, { k: 'new' }).startCommit(), failure);
  assert.equal(read(editor, 'k'), 'old');
  assert.throws(() => editor.begin(), { code: 'unexpected' });
  assert.deepEqual(contentOfFile(path).get('b'), new Map([['k', 'old']]));
});

test('the pages of a held state are not written to; those of states nobody holds are', async (t) => {
  const { editor } = await opened(t);
  const commit = (value: string): number => put(editor, { k: value.repeat(2000) }).commit().pageLimit;
  const limits = ['a', 'b', 'c', 'd'].map(commit);
  assert.equal(limits.at(-1), limits[1]);
  const held = editor.hold();
  const later = editor.hold();
  const held4 = commit('e');
  commit('f');
  const grown = commit('g');
  assert.ok(grown > held4, 'the held pages are missing');
  held.release();
  held.release();
  assert.ok(commit('h') > grown, 'the other one holds them still');
  later.release();
  const end = commit('i');
  for (const value of ['j', 'k', 'l']) assert.equal(commit(value), end);
  assert.equal(read(editor, 'k'), 'l'.repeat(2000));
});
