/** Which revisions are compacted when nobody asks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AutoCompaction, AutoCompactor } from '../../src/server/auto-compactor.ts';
import type { Log } from '../../src/server/log.ts';

const HOUR_MS = 3_600_000;

function silentLog(): Log {
  const silent = (): void => {};
  return { debug: silent, info: silent, warn: silent, error: silent };
}

/** A store whose revision grows by ten an interval. */
function compactorWith(retention: AutoCompaction, compact?: (revision: number) => Promise<void>) {
  const store = { revision: 1 };
  const compacted: number[] = [];
  const compactor = new AutoCompactor({
    retention,
    revision: () => store.revision,
    compact:
      compact ??
      (async (revision) => {
        compacted.push(revision);
      }),
    log: silentLog(),
  });
  const pass = async (intervals: number): Promise<void> => {
    for (let i = 0; i < intervals; i++) {
      store.revision += 10;
      await compactor.tick();
    }
  };
  return { compactor, compacted, pass, store };
}

test('a number of revisions is kept, every five minutes', async () => {
  const { compactor, compacted, pass } = compactorWith({ mode: 'revision', revisions: 25 });
  assert.equal(compactor.intervalMs, 300_000);
  await pass(4);
  assert.deepEqual(compacted, [6, 16]);
});

test('nothing is compacted again while nothing is written', async () => {
  const { compactor, compacted, store } = compactorWith({ mode: 'revision', revisions: 5 });
  store.revision = 100;
  for (let i = 0; i < 3; i++) await compactor.tick();
  assert.deepEqual(compacted, [95]);
});

test('half an hour is kept by looking every three minutes, and compacting every half hour', async () => {
  const { compactor, compacted, pass } = compactorWith({ mode: 'periodic', periodMs: HOUR_MS / 2 });
  assert.equal(compactor.intervalMs, HOUR_MS / 20);
  await pass(9);
  assert.deepEqual(compacted, []);
  await pass(1);
  assert.deepEqual(compacted, [1]);
  await pass(10);
  assert.deepEqual(compacted, [1, 101]);
});

test('three hours are kept, but compaction comes every hour once they have passed', async () => {
  const { compacted, pass } = compactorWith({ mode: 'periodic', periodMs: 3 * HOUR_MS });
  await pass(29);
  assert.deepEqual(compacted, []);
  await pass(11);
  assert.deepEqual(compacted, [1, 101]);
});

test('what failed is tried again after one interval', async () => {
  const tried: number[] = [];
  const { pass } = compactorWith({ mode: 'periodic', periodMs: HOUR_MS }, async (revision) => {
    tried.push(revision);
    if (tried.length === 1) throw new TypeError('not now');
  });
  await pass(12);
  assert.deepEqual(tried, [1, 11]);
});
