import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Pacer } from '../../../src/bytes/pacer.ts';
import { Overlay } from '../../../src/store/backend/overlay.ts';
import type { Compaction } from '../../../src/store/mvcc/compaction.ts';
import { KeyValues } from '../../../src/store/mvcc/key-values.ts';
import { decodeMark } from '../../../src/store/mvcc/marks.ts';
import { text } from '../database-builder.ts';
import { NaiveStore } from '../naive-store.ts';

/** The store and what it is held against, changed alike. */
class Pair {
  readonly backend = new Overlay({ get: () => undefined, scan: () => [] });
  readonly naive = new NaiveStore();
  keys = new KeyValues(this.backend);

  put(...names: string[]): void {
    this.#change(
      (name) => this.naive.put(name, 'v'),
      (name, change) => change.put(text(name), text('v'), 0n),
      names,
    );
  }

  delete(...names: string[]): void {
    this.#change(
      (name) => void this.naive.delete(name),
      (name, change) => void change.delete({ key: text(name), end: undefined }),
      names,
    );
  }

  #change(
    naively: (name: string) => void,
    really: (name: string, change: Parameters<Parameters<KeyValues['change']>[0]>[0]) => void,
    names: readonly string[],
  ): void {
    this.naive.change(() => names.forEach(naively));
    this.keys.change((change) => {
      for (const name of names) really(name, change);
    });
  }

  compact(revision: number): Compaction {
    this.naive.compact(revision);
    return this.keys.compact(revision);
  }

  async reopen(): Promise<void> {
    this.keys = await KeyValues.open(this.backend, new Pacer());
  }

  rows(): Array<[string, string]> {
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
    return [...this.backend.scan('key')].map(({ key, value }) => [hex(key), hex(value)]);
  }

  marks(): [scheduled: number | undefined, finished: number | undefined] {
    const mark = (name: string): number | undefined => {
      const value = this.backend.get('meta', text(name));
      return value && decodeMark(value, name);
    };
    return [mark('scheduledCompactRev'), mark('finishedCompactRev')];
  }

  assertAlike(): void {
    assert.deepEqual(this.rows(), this.naive.rows());
    assert.equal(this.keys.revision, this.naive.revision);
  }
}

/** So many that no single step does all. */
function grown(): Pair {
  const pair = new Pair();
  for (let i = 0; i < 5000; i++) pair.put(`k${i % 1700}`);
  for (let i = 0; i < 300; i++) pair.delete(`k${i}`);
  return pair;
}

describe('a compaction', () => {
  test('refuses reads below it at once, and says so at once', () => {
    const pair = grown();
    const compaction = pair.compact(3000);
    assert.equal(compaction.revision, 3000);
    assert.deepEqual(pair.marks(), [3000, undefined]);
    assert.throws(() => pair.keys.range({ key: text('k1'), end: undefined }, { revision: 2999 }), {
      code: 'mvcc.compacted',
    });
    assert.equal(pair.keys.range({ key: text('k1'), end: undefined }, { revision: 3000 }).length, 1);
    assert.equal(pair.keys.pending, compaction);
  });

  test('drops no more than a thousand records a step, and is marked as finished by the last', () => {
    const pair = grown();
    const compaction = pair.compact(4800);
    let before = pair.rows().length;
    for (let steps = 0, more = true; more; steps++) {
      assert.ok(steps < 20);
      assert.deepEqual(pair.marks(), [4800, undefined]);
      more = compaction.step();
      const after = pair.rows().length;
      assert.ok(before - after <= 1000);
      before = after;
    }
    assert.deepEqual(pair.marks(), [4800, 4800]);
    assert.deepEqual([compaction.step(), pair.keys.pending], [false, undefined]);
    pair.assertAlike();
  });

  test('drops records in the order of their revisions', () => {
    const pair = grown();
    const compaction = pair.compact(4800);
    while (pair.rows().length === 5300) compaction.step();
    const left = pair.rows().map(([key]) => key);
    const gone = [...Array(5300).keys()].map((i) => i + 2).filter((main) => main <= 1002);
    const known = new Set(left.map((key) => Number(BigInt(`0x${key.slice(0, 16)}`))));
    assert.deepEqual(
      gone.filter((main) => known.has(main)),
      [1002],
    );
  });

  test('leaves alone what changes meanwhile, also keys that were deleted before', () => {
    const pair = grown();
    const compaction = pair.compact(pair.keys.revision);
    for (let i = 0; compaction.step(); i++) {
      pair.put(`k${i * 7}`, `new${i}`);
      pair.delete(`k${500 + i}`);
    }
    pair.assertAlike();
    const all = { key: text('k'), end: text('l') };
    const names = pair.naive.range('k', 'l').map(({ key }) => key);
    assert.deepEqual(
      pair.keys.range(all).map(({ key }) => key),
      names,
    );
  });

  test('that was interrupted is pending when the store is opened, and ends as if it had not been', async () => {
    for (const steps of [0, 1, 2, 3]) {
      const pair = grown();
      const compaction = pair.compact(4000);
      for (let i = 0; i < steps; i++) compaction.step();
      await pair.reopen();
      assert.deepEqual([pair.keys.pending?.revision, pair.keys.compactRevision], [4000, 4000]);
      pair.put('x');
      pair.keys.pending!.finish();
      pair.assertAlike();
      assert.deepEqual(pair.marks(), [4000, 4000]);
    }
  });

  test('waits for one that was begun before it', () => {
    const pair = grown();
    const first = pair.compact(3000);
    first.step();
    const second = pair.compact(4500);
    assert.deepEqual(pair.marks(), [4500, undefined]);
    assert.equal(second.step(), true);
    while (!first.isFinished) assert.equal(second.step(), true);
    assert.deepEqual(pair.marks(), [4500, 3000]);
    second.finish();
    assert.deepEqual(pair.marks(), [4500, 4500]);
    pair.assertAlike();
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
      const pair = new Pair();
      for (const one of steps) {
        if (one.kind === 'put') pair.put(...one.names);
        else if (one.kind === 'delete') pair.delete(...one.names);
        else if (one.kind === 'reopen') await pair.reopen();
        else {
          const revision = pair.keys.revision - one.back;
          if (revision <= Math.max(pair.keys.compactRevision, 0)) continue;
          const compaction = pair.compact(revision);
          for (let i = 0; i < one.steps; i++) compaction.step();
        }
      }
      pair.keys.pending?.finish();
      pair.assertAlike();
    }),
    { numRuns: 300 },
  );
});
