/** When a raft snapshot is taken, and in which order it is made safe. */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { mock, test } from 'node:test';
import { ToolError } from '../../../src/errors.ts';
import { Snapshots } from '../../../src/server/raft-log/snapshots.ts';
import { MemoryBackend } from '../memory-core.ts';
import { keptLog } from '../monitor/healthy-view.ts';

class Bench {
  readonly did: string[] = [];
  readonly failures: unknown[] = [];
  readonly log = keptLog();
  readonly snapshots: Snapshots;
  index = 100;
  save = async (): Promise<void> => {};

  constructor(everyCount = 10, lastIndex = 100) {
    const backend = new MemoryBackend();
    backend.commit = async () => void this.did.push('commit');
    this.snapshots = new Snapshots({
      backend,
      raftLog: {
        saveSnapshot: async ({ index }) => {
          this.did.push(`save ${index}`);
          await this.save();
        },
        release: (index) => void this.did.push(`release ${index}`),
        purge: () => void this.did.push('purge'),
      },
      lastIndex,
      everyCount,
      current: () => ({
        index: this.index,
        term: 2,
        confState: { voters: [1n], learners: [] },
        data: new Uint8Array(),
      }),
      log: this.log,
      onFailure: (error) => this.failures.push(error),
    });
  }

  /** Applies entries up to `last`, one a turn. */
  async apply(last: number): Promise<void> {
    while (this.index < last) {
      this.snapshots.applied(++this.index);
      await nextTurn();
    }
  }
}

test('the newest snapshot frees the log before it at once', async () => {
  const bench = new Bench();
  assert.deepEqual(bench.did, ['release 100']);
  await bench.snapshots.stop();
});

test('one is taken when more entries than the count came; the database is committed before it', async () => {
  const bench = new Bench();
  await bench.apply(110);
  assert.deepEqual(bench.did, ['release 100']);
  await bench.apply(111);
  assert.deepEqual(bench.did, ['release 100', 'commit', 'save 111', 'release 111']);
  await bench.apply(121);
  assert.equal(bench.did.length, 4);
  await bench.apply(122);
  assert.deepEqual(bench.did.slice(4), ['commit', 'save 122', 'release 122']);
  assert.ok(bench.log.lines.some(({ message }) => message === 'saved snapshot to disk'));
  await bench.snapshots.stop();
});

test('one is taken at a time, and stopping waits for it', async () => {
  const bench = new Bench();
  let end = (): void => {};
  bench.save = () =>
    new Promise((resolve) => {
      end = resolve;
    });
  await bench.apply(150);
  assert.deepEqual(bench.did, ['release 100', 'commit', 'save 111']);
  let isStopped = false;
  const stopped = bench.snapshots.stop().then(() => {
    isStopped = true;
  });
  await nextTurn();
  assert.equal(isStopped, false);
  end();
  await stopped;
  assert.equal(bench.did.at(-1), 'release 111');
});

test('a full disk is waited out: the log keeps what it has, and the next one is tried', async () => {
  const bench = new Bench();
  bench.save = async () => {
    throw new ToolError('io.no-space', 'write: no space left on device');
  };
  await bench.apply(111);
  assert.deepEqual(bench.did, ['release 100', 'commit', 'save 111']);
  assert.deepEqual([bench.failures, bench.log.lines.at(-1)?.level], [[], 'warn']);
  bench.save = async () => {};
  await bench.apply(122);
  assert.equal(bench.did.at(-1), 'release 122');
  await bench.snapshots.stop();
});

test('any other failure is told, and nothing is freed', async () => {
  const bench = new Bench();
  const failure = new ToolError('io.failed', 'fsync: input/output error');
  bench.save = async () => {
    throw failure;
  };
  await bench.apply(111);
  assert.deepEqual([bench.failures, bench.did.at(-1)], [[failure], 'save 111']);
  await bench.snapshots.stop();
});

test('old files are looked for every half minute, until it is stopped', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  t.after(() => mock.timers.reset());
  const bench = new Bench();
  mock.timers.tick(65_000);
  assert.deepEqual(bench.did, ['release 100', 'purge', 'purge']);
  await bench.snapshots.stop();
  mock.timers.tick(65_000);
  assert.equal(bench.did.length, 3);
});
