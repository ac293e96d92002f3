import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Disk, realDisk } from '../../src/bytes/disk.ts';
import { Pacer } from '../../src/bytes/pacer.ts';
import { MemorySource, readAt } from '../../src/bytes/source.ts';
import { ToolError } from '../../src/errors.ts';
import {
  editFile,
  fillWithCopy,
  type NewFile,
  outputTo,
  proveCopy,
  proveDatabase,
  proveEdits,
} from '../../src/store/new-file.ts';
import { type Edits, rewriteDatabase } from '../../src/store/rewrite.ts';
import { readRows } from '../../src/store/schema/rows.ts';
import { latin1, readBolt } from '../support/bolt-spec.ts';
import { readFixture } from '../support/fixtures.ts';
import { scratch } from '../support/scratch.ts';
import { openBytes } from './database-builder.ts';

const pacer = new Pacer();
const DATABASE = Uint8Array.from(readFixture('snap/snap-3.6.db').subarray(0, -32));

function newFile(t: Parameters<typeof scratch>[0], over: Partial<Disk> = {}): NewFile {
  const disk = { ...realDisk(), ...over };
  const path = join(scratch(t), 'db');
  const fd = disk.create(path, 0o600);
  t.after(() => disk.close(fd));
  return { disk, fd, path };
}

/** A disk that changes one byte of every write on its way. */
function lying(): Partial<Disk> {
  const { write } = realDisk();
  return { write: (fd, bytes, at) => write(fd, Uint8Array.from(bytes).with(100, 0xee), at) };
}

const copy = (file: NewFile, bytes = DATABASE): ReturnType<typeof fillWithCopy> =>
  fillWithCopy(file, new MemorySource(bytes), bytes.length, pacer);

test('a copy is the same bytes, also when it takes many writes, and only then proven', async (t) => {
  const bytes = Uint8Array.from({ length: 9_000_001 }, (_, i) => (i * 7) >>> 4);
  const file = newFile(t);
  const copied = await copy(file, bytes);
  assert.equal(copied.sizeBytes, bytes.length);
  assert.equal(Buffer.compare(readFileSync(file.path), bytes), 0);
  await proveCopy(file, copied, pacer);

  const wrong = newFile(t, lying());
  await assert.rejects(proveCopy(wrong, await copy(wrong, bytes), pacer), { code: 'defrag.failed' });
});

test('a packed one is proven by what it reads back as', async (t) => {
  const file = newFile(t);
  const write = (to: NewFile): ReturnType<typeof rewriteDatabase> =>
    rewriteDatabase(openBytes(DATABASE), outputTo(to), { pacer });
  const written = await write(file);
  await proveDatabase(file, written, pacer);
  await assert.rejects(proveDatabase(file, { ...written, hash: written.hash ^ 1 }, pacer), {
    code: 'defrag.failed',
  });
  const wrong = newFile(t, lying());
  await assert.rejects(proveDatabase(wrong, await write(wrong), pacer), ToolError);
});

test('edits lie behind what was copied, and one meta names them', async (t) => {
  const file = newFile(t);
  await copy(file);
  const bolt = openBytes(DATABASE);
  const members = readRows(bolt, 'members');
  assert.ok(members.length > 0);
  const edits: Edits = new Map([
    ['members', { clear: true, rows: new Map([['0000000000000abc', Buffer.from('{}')]]) }],
    ['meta', { rows: new Map([['term', undefined]]) }],
    ['fresh', { rows: new Map([['k', Buffer.from('v')]]) }],
  ]);
  const meta = await editFile(file, edits, { pacer, present: new Map([['members', members]]) });
  proveEdits(file, edits);

  const bytes = readFileSync(file.path);
  const { pageSize, pageLimit } = bolt.live;
  const start = 2 * pageSize;
  assert.equal(Buffer.compare(bytes.subarray(start, DATABASE.length), DATABASE.subarray(start)), 0);
  const before = readAt(new MemorySource(DATABASE), (1 - meta.page) * pageSize, pageSize);
  assert.deepEqual(
    bytes.subarray((1 - meta.page) * pageSize, (2 - meta.page) * pageSize),
    Buffer.from(before),
  );
  assert.ok(meta.pageLimit > pageLimit && meta.txid > bolt.live.txid);

  const { buckets, findings } = readBolt(new MemorySource(bytes));
  assert.deepEqual(findings, []);
  assert.deepEqual([...buckets.get('members')!.pairs], [['0000000000000abc', '{}']]);
  assert.deepEqual([...buckets.get('fresh')!.pairs], [['k', 'v']]);
  assert.equal(buckets.get('meta')!.pairs.has('term'), false);
  for (const [label, rows] of edits)
    for (const name of rows.rows!.keys()) {
      const other = new Map([
        [label, { rows: new Map([[name, Buffer.from(latin1(Buffer.from('other')))]]) }],
      ]);
      assert.throws(() => proveEdits(file, other), { code: 'defrag.failed' }, `${label} ${name}`);
    }
});

test('when the sync fails, or what is read back, the other one is waited for', async (t) => {
  const failure = new ToolError('io.failed', 'fsync: input/output error');
  const failing = newFile(t, { startSync: async () => Promise.reject(failure) });
  const copied = await copy(failing);
  await assert.rejects(proveCopy(failing, copied, pacer), failure);

  let isSynced = false;
  const slow = newFile(t, {
    startSync: () =>
      new Promise((resolve) => {
        setTimeout(() => {
          isSynced = true;
          resolve();
        }, 40);
      }),
  });
  await copy(slow);
  await assert.rejects(proveCopy(slow, { ...copied, crc: 1 }, pacer), { code: 'defrag.failed' });
  assert.equal(isSynced, true);
});
