/** Clearing up in the background. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ToolError } from '../../src/errors.ts';
import { Compactions } from '../../src/server/compactions.ts';
import { CompactionStats } from '../../src/server/monitor/stats.ts';
import type { DurableBackend } from '../../src/store/backend/backend.ts';

function compactionsOver(commit = async (): Promise<void> => {}) {
  const events: string[] = [];
  const backend = {
    async commit() {
      events.push('commit');
      await commit();
    },
  } as Partial<DurableBackend> as DurableBackend;
  const say = (level: string) => (_: object, text: string) => void events.push(`${level}: ${text}`);
  const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
  const of = (revision: number, slices: number) => ({
    revision,
    step() {
      events.push(`slice of ${revision}`);
      return --slices > 0;
    },
  });
  return { compactions: new Compactions({ backend, log, stats: new CompactionStats() }), events, of };
}

test('a compaction runs slice by slice, lets others run between, and is durable when it resolves', async () => {
  const { compactions, events, of } = compactionsOver();
  const done = compactions.run(of(7, 2));
  void nextTurn().then(() => events.push('another turn'));
  await done;
  assert.deepEqual(events, [
    'slice of 7',
    'another turn',
    'slice of 7',
    'commit',
    'info: finished scheduled compaction',
  ]);
});

test('the next one waits for the one before', async () => {
  const { compactions, events, of } = compactionsOver();
  await Promise.all([compactions.run(of(7, 2)), compactions.run(of(9, 1))]);
  assert.deepEqual(
    events.filter((event) => event.startsWith('slice')),
    ['slice of 7', 'slice of 7', 'slice of 9'],
  );
});

test('stopping ends it after a slice and begins no other', async () => {
  const { compactions, events, of } = compactionsOver();
  void compactions.run(of(7, 1000));
  void compactions.run(of(9, 1));
  await nextTurn();
  await compactions.stop();
  assert.ok(events.length < 10);
  assert.ok(!events.includes('slice of 9') && !events.includes('commit'));
});

test('a commit that fails is logged, and the next compaction is run', async () => {
  let isBroken = true;
  const { compactions, events, of } = compactionsOver(async () => {
    if (isBroken) throw new ToolError('io.no-space', 'full');
  });
  await compactions.run(of(7, 1));
  isBroken = false;
  await compactions.run(of(9, 1));
  assert.deepEqual(events, [
    'slice of 7',
    'commit',
    'warn: failed to finish a scheduled compaction',
    'slice of 9',
    'commit',
    'info: finished scheduled compaction',
  ]);
});
