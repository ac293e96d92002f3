import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { text } from '../database-builder.ts';
import { TwinStore } from '../twin-store.ts';

/** So many that no single step does all. */
function grown(): TwinStore {
  const twins = new TwinStore();
  for (let i = 0; i < 5000; i++) twins.put(`k${i % 1700}`);
  for (let i = 0; i < 300; i++) twins.delete(`k${i}`);
  return twins;
}

describe('a compaction', () => {
  test('refuses reads below it at once, and says so at once', () => {
    const twins = grown();
    const compaction = twins.compact(3000);
    assert.equal(compaction.revision, 3000);
    assert.deepEqual(twins.marks(), [3000, undefined]);
    assert.throws(() => twins.keys.range({ key: text('k1'), end: undefined }, { revision: 2999 }), {
      code: 'mvcc.compacted',
    });
    assert.equal(twins.keys.range({ key: text('k1'), end: undefined }, { revision: 3000 }).length, 1);
    assert.equal(twins.keys.pending, compaction);
  });

  test('drops no more than a thousand records a step, and is marked as finished by the last', () => {
    const twins = grown();
    const compaction = twins.compact(4800);
    let before = twins.rows().length;
    for (let steps = 0, more = true; more; steps++) {
      assert.ok(steps < 20);
      assert.deepEqual(twins.marks(), [4800, undefined]);
      more = compaction.step();
      const after = twins.rows().length;
      assert.ok(before - after <= 1000);
      before = after;
    }
    assert.deepEqual(twins.marks(), [4800, 4800]);
    assert.deepEqual([compaction.step(), twins.keys.pending], [false, undefined]);
    twins.assertAlike();
  });

  test('drops records in the order of their revisions', () => {
    const twins = grown();
    const compaction = twins.compact(4800);
    while (twins.rows().length === 5300) compaction.step();
    const left = twins.rows().map(([key]) => key);
    const gone = [...Array(5300).keys()].map((i) => i + 2).filter((main) => main <= 1002);
    const known = new Set(left.map((key) => Number(BigInt(`0x${key.slice(0, 16)}`))));
    assert.deepEqual(
      gone.filter((main) => known.has(main)),
      [1002],
    );
  });

  test('leaves alone what changes meanwhile, also keys that were deleted before', () => {
    const twins = grown();
    const compaction = twins.compact(twins.keys.revision);
    for (let i = 0; compaction.step(); i++) {
      twins.put(`k${i * 7}`, `new${i}`);
      twins.delete(`k${500 + i}`);
    }
    twins.assertAlike();
    const all = { key: text('k'), end: text('l') };
    const names = twins.naive.range('k', 'l').map(({ key }) => key);
    assert.deepEqual(
      twins.keys.range(all).map(({ key }) => key),
      names,
    );
  });

  test('that was interrupted is pending when the store is opened, and ends as if it had not been', async () => {
    for (const steps of [0, 1, 2, 3]) {
      const twins = grown();
      const compaction = twins.compact(4000);
      for (let i = 0; i < steps; i++) compaction.step();
      await twins.reopen();
      assert.deepEqual([twins.keys.pending?.revision, twins.keys.compactRevision], [4000, 4000]);
      twins.put('x');
      twins.keys.pending!.finish();
      twins.assertAlike();
      assert.deepEqual(twins.marks(), [4000, 4000]);
    }
  });

  test('waits for one that was begun before it', () => {
    const twins = grown();
    const first = twins.compact(3000);
    first.step();
    const second = twins.compact(4500);
    assert.deepEqual(twins.marks(), [4500, undefined]);
    assert.equal(second.step(), true);
    while (!first.isFinished) assert.equal(second.step(), true);
    assert.deepEqual(twins.marks(), [4500, 3000]);
    second.finish();
    assert.deepEqual(twins.marks(), [4500, 4500]);
    twins.assertAlike();
  });
});

test('any history leaves the records that a plain list would, also read again', async () => {
  const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { minLength: 1, maxLength: 3 });
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('put' as const), names }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), names }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('compact' as const), back: fc.nat(5), steps: fc.nat(3) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const twins = new TwinStore();
      for (const one of steps) {
        if (one.kind === 'put') twins.put(...one.names);
        else if (one.kind === 'delete') twins.delete(...one.names);
        else if (one.kind === 'reopen') await twins.reopen();
        else {
          const revision = twins.keys.revision - one.back;
          if (revision <= Math.max(twins.keys.compactRevision, 0)) continue;
          const compaction = twins.compact(revision);
          for (let i = 0; i < one.steps; i++) compaction.step();
        }
      }
      twins.keys.pending?.finish();
      twins.assertAlike();
    }),
    { numRuns: 300 },
  );
});
