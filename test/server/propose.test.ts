/** The write path: nothing is applied or answered before it is durable, and in which company it goes to the disk. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { ToolError } from '../../src/errors.ts';
import { ENTRY_TYPE, type HardState } from '../../src/format/proto/raftpb.ts';
import { requestOf } from '../../src/format/proto/request.ts';
import type { EntryInput } from '../../src/format/wal/frames.ts';
import { Proposer, type ProposerOptions } from '../../src/server/propose.ts';
import { type RpcError, STATUS } from '../../src/rpc/status.ts';
import { WriteStats } from '../../src/server/monitor/stats.ts';

/** A disk whose syncs end when the test says so. */
class SlowLog {
  readonly appended: { entries: readonly EntryInput[]; state: HardState | undefined }[] = [];
  readonly syncs: { end(): void; fail(error: unknown): void }[] = [];
  appendError: unknown;

  append(entries: readonly EntryInput[], state: HardState | undefined): void {
    if (this.appendError !== undefined) throw this.appendError;
    this.appended.push({ entries, state });
  }

  /** How often it was synced on this thread. */
  syncsHere = 0;

  syncHere(): boolean {
    this.syncsHere++;
    return true;
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => this.syncs.push({ end: resolve, fail: reject }));
  }

  indexes(): number[][] {
    return this.appended.map(({ entries }) => entries.map(({ index }) => index));
  }
}

function proposerOver(log: SlowLog, over: Partial<ProposerOptions> = {}) {
  const applied: number[] = [];
  const failures: unknown[] = [];
  let id = 100n;
  const proposer = new Proposer({
    log,
    sink: {
      revisionNow: () => 7,
      apply({ index, type }) {
        applied.push(index);
        return { what: type === ENTRY_TYPE.confChange ? 'confChange' : 'leaseGrant' };
      },
    },
    term: 3,
    lastIndex: 10,
    commit: 10,
    memberId: 5n,
    nextRequestId: () => id++,
    requestSizeMax: 1000,
    zeros: 'write',
    onFailure: (error) => failures.push(error),
    ...over,
  });
  return { proposer, applied, failures };
}

const turns = async (count = 4): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};
const lease = (ttl: bigint): { leaseGrant: { id: bigint; ttl: bigint } } => ({ leaseGrant: { id: 1n, ttl } });

test('requests of one turn become one write, and are applied only once it is durable', async () => {
  const log = new SlowLog();
  const { proposer, applied } = proposerOver(log);
  const all = Promise.all([1n, 2n, 3n].map((ttl) => proposer.propose(lease(ttl))));
  await turns();
  assert.deepEqual(log.indexes(), [[11, 12, 13]]);
  assert.deepEqual(applied, []);
  assert.equal(proposer.committedIndex, 10);
  log.syncs[0]!.end();
  const answers = [11, 12, 13].map((index) => ({ what: 'leaseGrant', index, revision: 7 }));
  assert.deepEqual(await all, answers);
  assert.deepEqual(applied, [11, 12, 13]);
  assert.equal(proposer.appliedIndex, 13);
});

test('what comes during a sync waits for it and goes together, with how far the log was committed', async () => {
  const log = new SlowLog();
  const { proposer } = proposerOver(log);
  const first = proposer.propose(lease(1n));
  await turns();
  const later = Promise.all([proposer.propose(lease(2n)), proposer.propose(lease(3n))]);
  await turns();
  assert.deepEqual(log.indexes(), [[11]]);
  assert.equal(log.appended[0]!.state, undefined);
  log.syncs[0]!.end();
  await first;
  await turns();
  assert.deepEqual(log.indexes(), [[11], [12, 13]]);
  assert.deepEqual(log.appended[1]!.state, { term: 3, vote: 5n, commit: 11 });
  log.syncs[1]!.end();
  await later;
});

test('an entry holds the request under an id of its own', async () => {
  const log = new SlowLog();
  const { proposer } = proposerOver(log);
  const answer = proposer.propose(lease(9n));
  await turns();
  const { term, type, data } = log.appended[0]!.entries[0]!;
  const found = requestOf(data);
  assert.equal(term, 3);
  assert.equal(type, ENTRY_TYPE.normal);
  assert.ok(found.kind === 'v3');
  assert.equal(found.request.header?.id, 100n);
  assert.equal(found.request.leaseGrant?.ttl, 9n);
  log.syncs[0]!.end();
  await answer;
});

test('a failed sync is the last one: who waits is told, and nobody else is let in', async () => {
  const log = new SlowLog();
  const { proposer, applied, failures } = proposerOver(log);
  const first = assert.rejects(proposer.propose(lease(1n)), { status: STATUS.unavailable });
  await turns();
  const second = assert.rejects(proposer.propose(lease(2n)), { status: STATUS.unavailable });
  const broken = new ToolError('io.failed', 'fsync: input/output error');
  log.syncs[0]!.fail(broken);
  await Promise.all([first, second]);
  await assert.rejects(proposer.propose(lease(3n)), { message: 'etcdserver: server stopped' });
  assert.deepEqual(applied, []);
  assert.deepEqual(failures, [broken]);
});

test('what cannot be applied is the last that is: those behind it in the batch are turned away', async () => {
  const log = new SlowLog();
  const broken = new ToolError('unexpected', 'no such bucket');
  const applied: number[] = [];
  const stats = new WriteStats();
  const { proposer, failures } = proposerOver(log, {
    stats,
    sink: {
      revisionNow: () => 7,
      apply({ index }) {
        if (index === 12) throw broken;
        applied.push(index);
        return { what: 'leaseGrant' };
      },
    },
  });
  const all = Promise.allSettled([1n, 2n, 3n].map((ttl) => proposer.propose(lease(ttl))));
  await turns();
  log.syncs[0]!.end();
  const [first, second, third] = await all;
  assert.equal(first!.status, 'fulfilled');
  assert.deepEqual(second, { status: 'rejected', reason: broken });
  assert.ok(third?.status === 'rejected' && third.reason.message === 'etcdserver: server stopped');
  assert.deepEqual([applied, failures, proposer.appliedIndex, stats.pending], [[11], [broken], 11, 0]);
});

test('a write that fails for another reason than a full disk is the last one', async () => {
  const log = new SlowLog();
  const { proposer, failures } = proposerOver(log);
  const broken = new ToolError('io.failed', 'write: input/output error');
  log.appendError = broken;
  await assert.rejects(proposer.propose(lease(1n)), { status: STATUS.unavailable });
  log.appendError = undefined;
  await assert.rejects(proposer.propose(lease(2n)), { message: 'etcdserver: server stopped' });
  assert.deepEqual(failures, [broken]);
});

test('a full disk refuses what it cannot take, and the next one may go through under the same index', async () => {
  const log = new SlowLog();
  const { proposer } = proposerOver(log);
  log.appendError = new ToolError('io.no-space', 'write: no space left on device');
  await assert.rejects(proposer.propose(lease(1n)), {
    status: STATUS.resourceExhausted,
    message: 'etcdserver: mvcc: database space exceeded',
  });
  log.appendError = undefined;
  const answer = proposer.propose(lease(2n));
  await turns();
  assert.deepEqual(log.indexes(), [[11]]);
  log.syncs[0]!.end();
  await answer;
});

test('too large and too many are turned away', async () => {
  const log = new SlowLog();
  const { proposer } = proposerOver(log, { requestSizeMax: 10, pendingMax: 1 });
  const put = {
    key: Buffer.from('key'),
    value: Buffer.alloc(20),
    lease: 0n,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
  };
  await assert.rejects(proposer.propose({ put }), { message: 'etcdserver: request is too large' });
  const roomy = proposerOver(log, { pendingMax: 1 }).proposer;
  const first = roomy.propose(lease(1n));
  await assert.rejects(roomy.propose(lease(2n)), (error: RpcError) => {
    return error.status === STATUS.resourceExhausted && error.message === 'etcdserver: too many requests';
  });
  await turns();
  log.syncs[0]!.end();
  await first;
});

test('stopping waits for what was taken and takes no more', async () => {
  const log = new SlowLog();
  const { proposer, applied } = proposerOver(log);
  const first = proposer.propose(lease(1n));
  const stopped = proposer.stop();
  await assert.rejects(proposer.propose(lease(2n)), { status: STATUS.unavailable });
  await turns();
  assert.deepEqual(applied, []);
  log.syncs[0]!.end();
  await Promise.all([first, stopped]);
  assert.deepEqual(applied, [11]);
});

test('who waits too long is told so, and what it asked for is done all the same', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  t.after(() => mock.timers.reset());
  const log = new SlowLog();
  const { proposer, applied } = proposerOver(log, { timeoutMs: 0 });
  const told = assert.rejects(proposer.propose(lease(1n)), {
    status: STATUS.unavailable,
    message: 'etcdserver: request timed out',
  });
  await turns();
  mock.timers.tick(500);
  await told;
  assert.deepEqual(applied, []);
  log.syncs[0]!.end();
  await turns();
  assert.deepEqual(applied, [11]);
});

test('a batch is applied while the next one is on its way to the disk', async () => {
  const log = new SlowLog();
  const { proposer, applied } = proposerOver(log);
  const first = proposer.propose(lease(1n));
  await turns();
  const second = proposer.propose(lease(2n));
  log.syncs[0]!.end();
  await first;
  assert.deepEqual(applied, [11]);
  assert.equal(log.syncs.length, 2);
  log.syncs[1]!.end();
  await second;
});

test('on a quick disk one request alone is synced without another thread, several are not', async () => {
  const log = new SlowLog();
  const { proposer, applied } = proposerOver(log);
  for (let i = 0; i < 40 && log.syncsHere === 0; i++) {
    const answer = proposer.propose(lease(1n));
    await turns(2);
    log.syncs.at(-1)?.end();
    await answer;
  }
  assert.equal(log.syncsHere, 1);
  const syncsBefore = log.syncs.length;
  const both = Promise.all([proposer.propose(lease(1n)), proposer.propose(lease(2n))]);
  await turns();
  assert.equal(log.syncsHere, 1);
  assert.equal(log.syncs.length, syncsBefore + 1);
  log.syncs.at(-1)!.end();
  await both;
  assert.equal(applied.length, proposer.appliedIndex - 10);
});
