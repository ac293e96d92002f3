/** When the database is written. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { ToolError } from '../../src/errors.ts';
import { CommitCadence } from '../../src/server/commits.ts';
import type { DurableBackend } from '../../src/store/backend/backend.ts';

function cadenceOver(commit: () => Promise<void>) {
  const state = { pendingCount: 0, commits: 0, failures: [] as unknown[] };
  const backend = {
    get pendingCount() {
      return state.pendingCount;
    },
    async commit() {
      state.commits++;
      state.pendingCount = 0;
      await commit();
    },
  } as Partial<DurableBackend> as DurableBackend;
  const cadence = new CommitCadence(backend, {
    intervalMs: 100,
    changesMax: 10,
    onFailure: (error) => state.failures.push(error),
  });
  return { state, cadence };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a change is committed after the interval, and only once', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const { state, cadence } = cadenceOver(async () => {});
  state.pendingCount = 1;
  cadence.changed();
  cadence.changed();
  mock.timers.tick(99);
  assert.equal(state.commits, 0);
  mock.timers.tick(1);
  await turn();
  assert.equal(state.commits, 1);
  mock.timers.tick(1000);
  assert.equal(state.commits, 1);
});

test('many changes are committed at once', () => {
  const { state, cadence } = cadenceOver(async () => {});
  state.pendingCount = 10;
  cadence.changed();
  assert.equal(state.commits, 1);
});

test('changes that come during a commit are committed after it', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  let end = (): void => {};
  const { state, cadence } = cadenceOver(() => new Promise((resolve) => (end = resolve)));
  state.pendingCount = 10;
  cadence.changed();
  state.pendingCount = 3;
  cadence.changed();
  assert.equal(state.commits, 1);
  end();
  await turn();
  mock.timers.tick(100);
  assert.equal(state.commits, 2);
});

test('a full disk is tried again, any other failure is the last one', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const errors = [new ToolError('io.no-space', 'full'), new ToolError('io.failed', 'broken')];
  const { state, cadence } = cadenceOver(async () => {
    state.pendingCount = 1;
    throw errors[Math.min(state.commits, errors.length) - 1]!;
  });
  state.pendingCount = 1;
  cadence.changed();
  mock.timers.tick(100);
  await turn();
  assert.deepEqual(state.failures, []);
  mock.timers.tick(100);
  await turn();
  assert.deepEqual(state.failures, [errors[1]]);
});

test('once stopped it begins no commit', (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const { state, cadence } = cadenceOver(async () => {});
  state.pendingCount = 1;
  cadence.changed();
  cadence.stop();
  cadence.changed();
  mock.timers.tick(1000);
  assert.equal(state.commits, 0);
});
