import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { realDisk } from '../../../src/bytes/disk.ts';
import { openFile } from '../../../src/bytes/source.ts';
import { ToolError } from '../../../src/errors.ts';
import { readSnapFile } from '../../../src/format/snap/file.ts';
import { scratch } from '../../support/scratch.ts';
import { createLog, failingDisk, fill, openLog, OWNER, put, readLog, stateAt } from './log-fixture.ts';

const SMALL = { segmentBytes: 4096 };
const FULL = new ToolError('io.no-space', 'write: no space left on device');

const codeOf = (code: string) => (error: unknown) => error instanceof ToolError && error.code === code;

test('a new log begins as that of etcd, preallocated and for its owner alone', async (t) => {
  const root = scratch(t);
  const { log, walDir } = createLog(root);
  assert.deepEqual(readdirSync(walDir), ['0.tmp', '0000000000000000-0000000000000000.wal']);
  assert.equal(statSync(walDir).mode & 0o777, 0o700);
  for (const name of readdirSync(walDir)) {
    assert.equal(statSync(join(walDir, name)).size, 64_000_000);
    assert.equal(statSync(join(walDir, name)).mode & 0o777, 0o600);
  }
  const { entries, snapshots, end } = readLog(walDir);
  assert.deepEqual([entries, snapshots, end.verdict, end.offset], [[], [0], 'preallocated', 72]);
  await log.close();
  assert.deepEqual(readdirSync(walDir), ['0000000000000000-0000000000000000.wal']);
});

test('what was appended is read back, entries before the state of their batch', async (t) => {
  const { log, walDir } = createLog(scratch(t), SMALL);
  log.append([put(1), put(2)], stateAt(1));
  log.append([{ type: 0, term: 2, index: 3 }], stateAt(2));
  await log.sync();
  const { entries, state } = readLog(walDir);
  assert.deepEqual(
    entries.map(({ index, data }) => [index, data]),
    [
      [1, 'entry 1'],
      [2, 'entry 2'],
      [3, ''],
    ],
  );
  assert.deepEqual({ ...state }, stateAt(2));
  await log.close();
});

test('a state that says nothing new is not written', async (t) => {
  const { log, walDir } = createLog(scratch(t), SMALL);
  log.append([put(1)], stateAt(1));
  const { offset } = readLog(walDir).end;
  log.append([], stateAt(1));
  assert.equal(readLog(walDir).end.offset, offset);
  log.append([], stateAt(2));
  assert.notEqual(readLog(walDir).end.offset, offset);
  await log.close();
});

test('full segments are cut to their size, and the next begins with CRC, owner and state', async (t) => {
  const { log, walDir } = createLog(scratch(t), SMALL);
  await fill(log, 100);
  const names = readdirSync(walDir).filter((name) => name.endsWith('.wal'));
  assert.ok(names.length >= 3, `${names.length} segments`);
  const { entries, state } = readLog(walDir);
  assert.deepEqual(
    entries.map(({ index }) => index),
    Array.from({ length: 100 }, (_, i) => i + 1),
  );
  assert.equal(state?.commit, 100);
  const [first, second] = names;
  assert.ok(statSync(join(walDir, first!)).size >= 4096 && statSync(join(walDir, first!)).size < 4400);
  const index = Number.parseInt(second!.slice(17, 33), 16);
  assert.ok(index > 1 && second!.startsWith('0000000000000001-'));
  await log.close();
  assert.equal(readLog(walDir).end.verdict, 'preallocated');
});

test('one batch may be larger than a segment', async (t) => {
  const { log, walDir } = createLog(scratch(t), SMALL);
  log.append(
    Array.from({ length: 500 }, (_, i) => put(i + 1)),
    stateAt(500),
  );
  log.append([put(501)], stateAt(501));
  await log.sync();
  assert.equal(readLog(walDir).entries.length, 501);
  assert.equal(readdirSync(walDir).filter((name) => name.endsWith('.wal')).length, 2);
  await log.close();
});

test('a log that was closed goes on where it ended, also at a cut', async (t) => {
  const root = scratch(t);
  const { log, walDir } = createLog(root, SMALL);
  await fill(log, 30);
  await log.close();
  for (let round = 0; round < 4; round++) {
    const again = openLog(root, SMALL);
    await fill(again, 30);
    await again.close();
  }
  assert.equal(readLog(walDir).entries.length, 150);
  assert.equal(readLog(walDir).state?.commit, 150);
});

test('an entry whose index is there already takes its place and that of all behind it', async (t) => {
  const { log, walDir } = createLog(scratch(t), SMALL);
  log.append([put(1), put(2), put(3)], stateAt(1));
  log.append([put(2, 'other')], stateAt(2));
  await log.sync();
  assert.deepEqual(
    readLog(walDir).entries.map(({ data }) => data),
    ['entry 1', 'other'],
  );
  assert.equal(log.lastIndex, 2);
  assert.throws(() => log.append([put(4)]), TypeError);
  log.append([put(3)]);
  await log.close();
  assert.equal(readLog(walDir).entries.length, 3);
});

test('3.7 leaves out what 3.6 writes', async (t) => {
  const sizes = [];
  for (const version of ['3.6', '3.7'] as const) {
    const { log, walDir } = createLog(scratch(t), { ...SMALL, version });
    log.append([put(1)], stateAt(1));
    await log.close();
    sizes.push(readLog(walDir).end.offset);
  }
  assert.ok(sizes[1]! < sizes[0]!);
});

test('calls for a sync share the next one, and each covers what was appended before it', async (t) => {
  const real = realDisk();
  let syncs = 0;
  const disk = {
    ...real,
    startDataSync: (fd: number) => {
      syncs++;
      return real.startDataSync(fd);
    },
  };
  const { log } = createLog(scratch(t), { ...SMALL, disk });
  log.append([put(1)], stateAt(1));
  const first = log.sync();
  log.append([put(2)], stateAt(2));
  const others = [log.sync(), log.sync(), log.sync()];
  await Promise.all([first, ...others]);
  assert.equal(syncs, 2);
  await log.sync();
  assert.equal(syncs, 2, 'there was nothing to do');
  await log.close();
});

test('a full disk leaves the log as it was, and it goes on when there is room', async (t) => {
  const { disk, failNext } = failingDisk();
  const root = scratch(t);
  const { log, walDir } = createLog(root, { ...SMALL, disk });
  log.append([put(1)], stateAt(1));
  await log.sync();
  const before = readLog(walDir);
  failNext('write', FULL);
  assert.throws(() => log.append([put(2, 'x'.repeat(3000))], stateAt(2)), codeOf('io.no-space'));
  assert.equal(log.lastIndex, 1);
  assert.equal(log.state.commit, 1);
  const after = readLog(walDir);
  assert.deepEqual(after.entries, before.entries);
  assert.equal(after.end.offset, before.end.offset);
  assert.ok(['end', 'preallocated'].includes(after.end.verdict));
  log.append([put(2, 'small')], stateAt(2));
  await log.sync();
  assert.deepEqual(
    readLog(walDir).entries.map(({ data }) => data),
    ['entry 1', 'small'],
  );
  await log.close();
});

test('a write that can neither be done nor undone ends the log', async (t) => {
  const { disk, failNext } = failingDisk();
  const { log, walDir } = createLog(scratch(t), { ...SMALL, disk });
  log.append([put(1)], stateAt(1));
  await log.sync();
  failNext('write', FULL);
  failNext('truncate', new ToolError('io.failed', 'truncate: input/output error'));
  assert.throws(() => log.append([put(2)], stateAt(2)), codeOf('io.no-space'));
  assert.throws(() => log.append([put(2)], stateAt(2)), codeOf('server.log'));
  await assert.rejects(log.sync(), codeOf('server.log'));
  await log.close();
  // Of what was refused a part may be there, as after a crash.
  assert.equal(readLog(walDir).entries[0]?.data, 'entry 1');
});

test('after a sync has failed nothing succeeds any more', async (t) => {
  const { disk, failNext } = failingDisk();
  const { log } = createLog(scratch(t), { ...SMALL, disk });
  log.append([put(1)], stateAt(1));
  failNext('data sync', new ToolError('io.failed', 'fdatasync: input/output error'));
  const [first, second] = [log.sync(), log.sync()];
  await assert.rejects(first, codeOf('server.log'));
  await assert.rejects(second, codeOf('server.log'));
  await assert.rejects(log.sync(), codeOf('server.log'));
  assert.throws(() => log.append([put(2)]), codeOf('server.log'));
  const snapshot = { index: 1, term: 2, confState: { voters: [1n] }, data: Buffer.from('{}') };
  await assert.rejects(log.saveSnapshot(snapshot), codeOf('server.log'));
  await log.close();
});

test('a snapshot is a file first, then a record', async (t) => {
  const { log, walDir, snapDir } = createLog(scratch(t), SMALL);
  log.append([put(1), put(2)], stateAt(2));
  const data = Buffer.from('{"Root":1}');
  await log.saveSnapshot({ index: 2, term: 2, confState: { voters: [OWNER.nodeId] }, data });
  assert.deepEqual(readdirSync(snapDir), ['0000000000000002-0000000000000002.snap']);
  const source = openFile(join(snapDir, '0000000000000002-0000000000000002.snap'));
  const { metadata, data: stored } = readSnapFile(source);
  source.close();
  assert.deepEqual([metadata.index, metadata.term, metadata.confState.voters], [2, 2, [OWNER.nodeId]]);
  assert.deepEqual(Buffer.from(stored!), data);
  assert.deepEqual(readLog(walDir).snapshots, [0, 2]);
  await log.close();
});

test('a snapshot for which there is no room leaves no file, and the log as it was', async (t) => {
  const { disk, failNext } = failingDisk();
  const { log, walDir, snapDir } = createLog(scratch(t), { ...SMALL, disk });
  log.append([put(1)], stateAt(1));
  await log.sync();
  failNext('write', FULL);
  const snapshot = { index: 1, term: 2, confState: { voters: [1n] }, data: Buffer.from('{}') };
  await assert.rejects(log.saveSnapshot(snapshot), codeOf('io.no-space'));
  assert.deepEqual(readdirSync(snapDir), []);
  await log.saveSnapshot(snapshot);
  assert.deepEqual(readLog(walDir).snapshots, [0, 1]);
  await log.close();
});

test('what an interrupted start left in the way is removed', async (t) => {
  const root = scratch(t);
  mkdirSync(join(root, 'wal.tmp'));
  writeFileSync(join(root, 'wal.tmp', 'rest'), 'x');
  mkdirSync(join(root, 'wal'));
  const { log, walDir } = createLog(root, SMALL);
  await log.close();
  assert.ok(!existsSync(join(root, 'wal.tmp')));
  assert.equal(readLog(walDir).snapshots.length, 1);
  assert.throws(() => createLog(root, SMALL), ToolError);
});

test('a closed log takes nothing more', async (t) => {
  const { log } = createLog(scratch(t), SMALL);
  await log.close();
  await log.close();
  assert.throws(() => log.append([put(1)]), codeOf('server.stopped'));
  await assert.rejects(log.sync(), codeOf('server.stopped'));
});

test('a sync on this thread covers what was appended, waits for nothing, and its failure is the last', async (t) => {
  const real = realDisk();
  let syncs = 0;
  let isBroken = false;
  const disk = {
    ...real,
    dataSync(fd: number) {
      syncs++;
      if (isBroken) throw new ToolError('io.failed', 'fdatasync: input/output error');
      real.dataSync(fd);
    },
  };
  const { log } = createLog(scratch(t), { ...SMALL, disk });
  log.append([put(1)], stateAt(1));
  assert.equal(log.syncHere(), true);
  assert.equal(log.syncHere(), true);
  assert.equal(syncs, 1, 'the second had nothing to do');
  log.append([put(2)], stateAt(2));
  const under = log.sync();
  assert.equal(log.syncHere(), false);
  await under;
  isBroken = true;
  log.append([put(3)], stateAt(3));
  assert.throws(() => log.syncHere(), codeOf('server.log'));
  isBroken = false;
  assert.throws(() => log.syncHere(), codeOf('server.log'));
  await assert.rejects(log.sync(), codeOf('server.log'));
  await log.close().catch(() => {});
});
