/** A member over a real directory: what is acknowledged is there again, and how it comes to its end. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { verify } from '../../src/check/verify.ts';
import { ToolError } from '../../src/errors.ts';
import type { RangeResponse } from '../../src/format/proto/kvpb.ts';
import { rangeRequest } from '../../src/format/proto/rpcpb.ts';
import { STATUS } from '../../src/rpc/status.ts';
import { MemberCore, type MemberCoreOptions } from '../../src/server/member-core.ts';
import { Stats } from '../../src/server/monitor/stats.ts';
import { answerRange } from '../../src/store/apply/range.ts';
import { put } from '../store/apply/state-machine.ts';
import { beginAll, openAt, rememberingLog } from '../support/opened-member.ts';
import { scratch } from '../support/scratch.ts';
import { failingDisk, readLog } from './raft-log/log-fixture.ts';

type OpenOptions = Parameters<typeof openAt>[1];

interface Begun {
  core: MemberCore;
  failures: unknown[];
  said: ReturnType<typeof rememberingLog>['said'];
  stats: Stats;
}

async function begin(
  t: TestContext,
  dataDir: string,
  { open = {}, core: over = {} }: { open?: OpenOptions; core?: Partial<MemberCoreOptions> } = {},
): Promise<Begun> {
  const { log, said } = rememberingLog();
  const failures: unknown[] = [];
  const stats = new Stats();
  const core = new MemberCore(await openAt(dataDir, open), {
    log,
    snapshotCount: 10_000,
    commitIntervalMs: 20,
    commitChangesMax: 10_000,
    requestSizeMax: 1000,
    waitingBytesMax: 1 << 20,
    requestTimeoutMs: 7000,
    warningApplyMs: 1000,
    onFailure: (error) => failures.push(error),
    stats,
    ...over,
  });
  t.after(() => core.stop().catch(() => {}));
  return { core, failures, said, stats };
}

const walOf = (dataDir: string): string => join(dataDir, 'member', 'wal');
const has = (core: MemberCore, key: string): boolean => core.keys.has(Buffer.from(key));

function valuesOf(core: MemberCore): RangeResponse['kvs'] {
  const request = rangeRequest.encode({ key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) });
  return answerRange(core.keys, rangeRequest.decode(request)).kvs as RangeResponse['kvs'];
}

async function until(isTrue: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (isTrue()) return;
    await delay(10);
  }
  assert.fail(what);
}

async function assertGood(dataDir: string): Promise<void> {
  const { verdict, findings } = await verify(dataDir);
  assert.equal(verdict, 'GOOD', findings.map(({ message }) => message).join('\n'));
}

test('what was proposed is there after a restart, under a term of its own', async (t) => {
  const dataDir = join(scratch(t), 'data');
  const { core } = await begin(t, dataDir);
  const { revision } = await core.propose(put('a', '1'));
  assert.equal(revision, 2);
  const answers = await Promise.all(['b', 'c', 'd'].map((key) => core.propose(put(key, '2'))));
  assert.deepEqual(
    answers.map((one) => one.revision),
    [3, 4, 5],
  );
  assert.deepEqual(
    [core.header().revision, core.header(3).revision, core.header().raftTerm],
    [5, 3, core.term],
  );
  assert.equal(core.committedIndex, core.appliedIndex);
  const [before, index] = [valuesOf(core), core.appliedIndex];
  await core.stop();
  const again = await begin(t, dataDir);
  assert.deepEqual(valuesOf(again.core), before);
  assert.equal(again.core.term, core.term + 1);
  assert.ok(again.core.appliedIndex > index);
  assert.equal(again.stats.writes.leaderChanges, 1);
});

test('stopping leaves a log that says all of it is committed, and a directory that verifies', async (t) => {
  const dataDir = join(scratch(t), 'data');
  const { core } = await begin(t, dataDir);
  const answered = Promise.all(Array.from({ length: 20 }, (_, i) => core.propose(put(`k${i}`))));
  await new Promise((resolve) => setImmediate(resolve));
  await core.stop();
  await answered;
  const { state, lastIndex } = readLog(walOf(dataDir));
  assert.deepEqual([state?.commit, lastIndex], [core.appliedIndex, core.appliedIndex]);
  await assertGood(dataDir);
  await assert.rejects(core.propose(put('late')), { status: STATUS.unavailable });
});

test('what the state refuses is refused in etcd’s words, and takes an entry', async (t) => {
  const { core } = await begin(t, join(scratch(t), 'data'));
  const index = core.appliedIndex;
  await assert.rejects(core.propose(put('a', 'v', 99n)), {
    status: STATUS.notFound,
    message: 'etcdserver: requested lease not found',
  });
  assert.equal(core.appliedIndex, index + 1);
  await assert.rejects(core.propose(put('a', 'x'.repeat(2000))), {
    status: STATUS.invalidArgument,
    message: 'etcdserver: request is too large',
  });
  assert.equal(core.appliedIndex, index + 1);
});

test('every so many entries there is a snapshot, and segments that nobody needs go', async (t) => {
  const dataDir = join(scratch(t), 'data');
  const open = { segmentBytes: 4096, walsMax: 1, snapshotsMax: 1 };
  const { core, said } = await begin(t, dataDir, { open, core: { snapshotCount: 50 } });
  for (let i = 0; i < 250; i++) await core.propose(put(`k${i}`, 'v'.repeat(50)));
  await core.stop();
  const saved = said.filter(({ message }) => message === 'saved snapshot to disk').length;
  assert.ok(saved >= 3 && saved <= 6, `${saved} snapshots`);
  const again = await begin(t, dataDir, { open });
  assert.ok(has(again.core, 'k249') && has(again.core, 'k0'));
  await again.core.stop();
  const snapshots = readdirSync(join(dataDir, 'member', 'snap')).filter((name) => name.endsWith('.snap'));
  assert.ok(snapshots.length >= 1);
  await assertGood(dataDir);
});

test('a compaction drops what it may, and one that was left is gone on with', async (t) => {
  const dataDir = join(scratch(t), 'data');
  const first = await openAt(dataDir);
  for (let i = 0; i < 30; i++) await beginAll(first, [put('a', `${i}`)])();
  // Scheduled, with none of its steps done.
  await beginAll(first, [{ compaction: { revision: 25n } }])();
  await first.backend.commit();
  assert.ok(first.applier.keys.pending);
  await first.release();
  const { core, said } = await begin(t, dataDir);
  await until(() => said.some(({ message }) => message === 'finished scheduled compaction'), 'it ends');
  assert.equal([...core.backend.scan('key')].length, 7, 'revisions 25 to 31');
  const { compacted } = await core.propose({ compaction: { revision: 31n } });
  await compacted;
  assert.equal([...core.backend.scan('key')].length, 1);
  await core.stop();
  await assertGood(dataDir);
});

test('a failed sync is told once, ends all writing, and what was acknowledged before stays', async (t) => {
  const dataDir = join(scratch(t), 'data');
  const { disk, failNext } = failingDisk();
  const { core, failures } = await begin(t, dataDir, { open: { disk }, core: { commitIntervalMs: 100_000 } });
  await core.propose(put('kept'));
  failNext('data sync', new ToolError('io.failed', 'fsync: input/output error'));
  const lost = await Promise.allSettled([core.propose(put('lost')), core.propose(put('lost too'))]);
  assert.deepEqual(
    lost.map((one) => one.status === 'rejected' && one.reason.message),
    ['etcdserver: server stopped', 'etcdserver: server stopped'],
  );
  await assert.rejects(core.propose(put('later')), { status: STATUS.unavailable });
  assert.equal(failures.length, 1);
  assert.equal(has(core, 'lost'), false);
  await core.stop().catch(() => {});
  const again = await begin(t, dataDir);
  assert.ok(has(again.core, 'kept'));
  await again.core.stop();
  await assertGood(dataDir);
});

test('a disk that is full when it stops keeps nobody from the directory', async (t) => {
  const dataDir = join(scratch(t), 'data');
  const { disk, failNext } = failingDisk();
  const { core } = await begin(t, dataDir, { open: { disk }, core: { commitIntervalMs: 100_000 } });
  await core.propose(put('kept'));
  failNext('write', new ToolError('io.no-space', 'write: no space left on device'));
  await core.stop().catch(() => {});
  const again = await begin(t, dataDir);
  assert.ok(has(again.core, 'kept'));
  await again.core.stop();
  await assertGood(dataDir);
});

test('the database is committed by itself, and slow changes are counted', async (t) => {
  const { core, stats } = await begin(t, join(scratch(t), 'data'), { core: { warningApplyMs: -1 } });
  await core.propose(put('a'));
  await until(() => stats.disk.backendCommit.count > 0, 'the change is committed');
  assert.equal(core.backend.pendingCount, 0);
  assert.equal(stats.writes.slowApplies, 1);
  assert.ok(stats.disk.walFsync.count > 0);
});
