import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { lockExclusive } from '../../../src/bytes/lock.ts';
import { ENTRY_TYPE } from '../../../src/format/proto/raftpb.ts';
import { internalRaftRequest } from '../../../src/format/proto/rpcpb.ts';
import { plainContext } from '../../../src/ops/context.ts';
import { hashKV } from '../../../src/ops/inspect/hashkv.ts';
import { restoreSnapshot } from '../../../src/ops/snapshot/restore.ts';
import { saveSnapshot } from '../../../src/ops/snapshot/save.ts';
import { snapshotStatus } from '../../../src/ops/snapshot/status.ts';
import { verify } from '../../../src/check/verify.ts';
import { hurry } from '../../check/writer.ts';
import { appendTo, copyFixture, editRows, treeOf } from '../../support/member-copy.ts';
import { scratch } from '../../support/scratch.ts';

type Scope = Parameters<typeof scratch>[0];
const context = plainContext();

interface Given {
  folder: string;
  dataDir: string;
  output: string;
}

/** The fixture, whose database and log both end with entry 33. */
function given(t: Scope): Given {
  const folder = scratch(t);
  return { folder, dataDir: copyFixture(folder, '3.6'), output: join(folder, 'backup.db') };
}

/** Puts `keys` into the log alone, from entry 34 on; `commit` is what the log then knows to be committed. */
function appendPuts(dataDir: string, keys: string[], commit: number): void {
  appendTo(dataDir, (writer) => {
    for (const [i, key] of keys.entries()) {
      const data = internalRaftRequest.encode({
        header: { id: BigInt(i + 1) },
        put: { key: Buffer.from(key), value: Buffer.from('in the log') },
      });
      writer.entry({ type: ENTRY_TYPE.normal, term: 3, index: 34 + i, data });
    }
    writer.state({ term: 3, vote: 1n, commit });
  });
}

test('what only the log holds is in the backup, and the directory stays as it is', async (t) => {
  const { dataDir, output } = given(t);
  appendPuts(dataDir, ['x', 'y', 'z'], 35);
  const before = treeOf(dataDir);
  const report = await saveSnapshot({ dataDir, output }, context);
  assert.deepEqual(treeOf(dataDir), before);
  assert.deepEqual([report.from, report.to, report.lastIndex], [33, 36, 36]);
  assert.deepEqual([report.revisionBefore, report.revision], [19, 22]);
  assert.deepEqual([...report.counts], [['put', 3]]);

  const { verdict, facts } = await verify(output);
  assert.deepEqual([verdict, facts['revision'], facts['consistentIndex']], ['GOOD', 22, 36]);
  const status = await snapshotStatus(output, context);
  assert.deepEqual([status.hash, status.revision, status.digest], [report.hash, 22, 'good']);
});

test('where others vote, what the log does not show to be committed is left out', async (t) => {
  const { dataDir, output } = given(t);
  await editRows(dataDir, 'members', {
    abc: '{"id":2748,"peerURLs":["http://10.0.0.9:2380"],"name":"other"}',
  });
  appendPuts(dataDir, ['x', 'y', 'z'], 35);
  const report = await saveSnapshot({ dataDir, output }, context);
  assert.deepEqual([report.to, report.lastIndex, report.revision], [35, 36, 21]);
});

test('a directory is restored with its log, and nothing is left beside it', async (t) => {
  const { folder, dataDir, output } = given(t);
  appendPuts(dataDir, ['x'], 34);
  const target = join(folder, 'new');
  const report = await restoreSnapshot(dataDir, { target: { dataDir: target } }, context);
  assert.deepEqual([report.path, report.revision], [dataDir, 20]);
  assert.match(report.notes[0]!, /^entries 34 to 34 of the log were applied, 0 of them without effect$/);
  assert.deepEqual(readdirSync(folder).sort(), ['data', 'new']);
  await saveSnapshot({ dataDir, output }, context);
  const hashes = await Promise.all([target, output].map((path) => hashKV(path, { revision: 0 }, context)));
  assert.deepEqual(hashes[0], hashes[1]);
});

test('a directory that cannot be restored leaves nothing behind', async (t) => {
  const { folder, dataDir } = given(t);
  const target = join(folder, 'new');
  const restore = (isDryRun: boolean): Promise<unknown> =>
    restoreSnapshot(dataDir, { target: { dataDir: target, name: 'unknown' }, isDryRun }, context);
  await assert.rejects(restore(false), { code: 'restore.membership' });
  await assert.rejects(restore(true), { code: 'usage' });
  assert.deepEqual(readdirSync(folder), ['data']);
});

test('refuses a member that runs, a file, a log that is gone, and an output that is there', async (t) => {
  const { folder, dataDir, output } = given(t);
  const database = join(dataDir, 'member', 'snap', 'db');
  const lock = await lockExclusive(database, { timeoutMs: 1000 });
  await assert.rejects(saveSnapshot({ dataDir, output }, context), { code: 'lock.held' });
  lock.release();
  await assert.rejects(saveSnapshot({ dataDir: database, output }, context), { code: 'kind.unknown' });
  await assert.rejects(saveSnapshot({ dataDir, output, walDir: folder }, context), { code: 'wal.sequence' });
  writeFileSync(output, 'of somebody else');
  await assert.rejects(saveSnapshot({ dataDir, output }, context), { code: 'restore.target-exists' });
  rmSync(output);
  assert.deepEqual(readdirSync(folder), ['data']);
});

test('an interrupted one leaves nothing', async (t) => {
  const { folder, dataDir, output } = given(t);
  hurry(t);
  const controller = new AbortController();
  controller.abort();
  const stopped = plainContext({ signal: controller.signal });
  await assert.rejects(saveSnapshot({ dataDir, output }, stopped), { code: 'interrupted' });
  assert.deepEqual(readdirSync(folder), ['data']);
});

test('damage in the log or in the database makes no backup', async (t) => {
  for (const spoil of [
    (dataDir: string) => editRows(dataDir, 'key', { 'not a revision': 'x' }),
    async (dataDir: string) => {
      appendTo(dataDir, (writer) => {
        writer.entry({ type: ENTRY_TYPE.normal, term: 3, index: 34, data: Buffer.from([0xff]) });
        writer.state({ term: 3, vote: 1n, commit: 34 });
      });
    },
  ]) {
    const { folder, dataDir, output } = given(t);
    await spoil(dataDir);
    await assert.rejects(saveSnapshot({ dataDir, output }, context), { name: 'CorruptError' });
    assert.equal(existsSync(output), false);
    assert.deepEqual(readdirSync(folder), ['data']);
  }
});
