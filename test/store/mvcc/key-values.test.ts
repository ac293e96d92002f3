import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Pacer } from '../../../src/bytes/pacer.ts';
import { MemorySource } from '../../../src/bytes/source.ts';
import { CorruptError } from '../../../src/errors.ts';
import { BoltView } from '../../../src/store/backend/bolt-view.ts';
import { Overlay } from '../../../src/store/backend/overlay.ts';
import type { KeyChange } from '../../../src/store/mvcc/key-change.ts';
import { KeyValues, rangeOf } from '../../../src/store/mvcc/key-values.ts';
import { decodeMark } from '../../../src/store/mvcc/marks.ts';
import { latin1 } from '../../support/bolt-spec.ts';
import { buildDatabase, bump, compactedAt, deletion, type Pair, put, text } from '../database-builder.ts';
import { histories, type History, play, type Step } from './histories.ts';

type Rows = Array<[key: string, value: string]>;

interface Opened {
  overlay: Overlay;
  keys: KeyValues;
}

async function openStore(
  records: readonly Pair[] = [],
  marks: Parameters<typeof compactedAt>[0] = {},
): Promise<Opened> {
  const file = buildDatabase({ records, buckets: { meta: compactedAt(marks) }, pageSize: 1024 });
  const overlay = new Overlay(new BoltView(new MemorySource(file)));
  const keys = await KeyValues.open(overlay, new Pacer());
  keys.pending?.finish();
  return { overlay, keys };
}

/** Revisions as `2.0`, with a `t` behind those of tombstones. */
function revisionsOf(overlay: Overlay): string[] {
  return [...overlay.scan('key')].map(({ key }) => {
    const bytes = Buffer.from(key);
    return `${bytes.readBigUInt64BE(0)}.${bytes.readBigUInt64BE(9)}${bytes.length === 18 ? 't' : ''}`;
  });
}

const hexRows = (pairs: readonly Pair[]): Rows =>
  pairs.map(([key, value]) => [Buffer.from(key).toString('hex'), Buffer.from(value).toString('hex')]);
const rowsOf = (overlay: Overlay): Rows =>
  hexRows([...overlay.scan('key')].map(({ key, value }): Pair => [key.slice(), value.slice()]));

function markOf(overlay: Overlay, name: string): number | undefined {
  const value = overlay.get('meta', text(name));
  return value && decodeMark(value, name);
}

const single = (key: string): ReturnType<typeof rangeOf> => rangeOf(text(key), new Uint8Array());
const namesIn = (keys: KeyValues, key: string, end: string): string[] =>
  keys.range(rangeOf(text(key), text(end))).map(({ key: name }) => name);

function runStep(keys: KeyValues, step: Step): void {
  if (step.kind === 'transaction') {
    keys.change((change) => {
      for (const { key, isDeletion } of step.changes) {
        if (isDeletion) change.delete(single(key));
        else change.put(text(key), text('v'), 0n);
      }
    });
    return;
  }
  const revision = keys.revision - step.back;
  if (revision > keys.compactRevision && revision > 0) keys.compact(revision).finish();
}

function liveOf(keys: KeyValues): string[] {
  return keys
    .range(rangeOf(text('\0'), text('\0')))
    .map(
      ({ key, createRevision, modRevision, version }) => `${key} ${createRevision} ${modRevision} ${version}`,
    );
}

function assertLike({ overlay, keys }: Opened, expected: ReturnType<typeof play>): void {
  assert.deepEqual(rowsOf(overlay), hexRows(expected.records.map(({ pair }) => pair)));
  assert.equal(keys.revision, expected.revision);
  assert.equal(markOf(overlay, 'scheduledCompactRev'), expected.scheduled);
  assert.equal(markOf(overlay, 'finishedCompactRev'), expected.finished);
  assert.equal(keys.compactRevision, expected.scheduled ?? -1);
  assert.equal(liveOf(keys).length, expected.liveKeyCount);
}

/** As servers of today compact: a tombstone at the compacted revision stays. */
const ofToday = (steps: readonly Step[]): Step[] =>
  steps.map((step) => (step.kind === 'compaction' ? { ...step, isOld: false } : step));

describe('any history', () => {
  test('leaves the records that etcd would have', async () => {
    await fc.assert(
      fc.asyncProperty(histories({ isStrict: true }), async ({ steps }) => {
        const opened = await openStore();
        for (const step of steps) runStep(opened.keys, step);
        assertLike(opened, play({ steps: ofToday(steps) }));
      }),
      { numRuns: 300 },
    );
  });

  test('goes on where another left off, and is read again as it was', async () => {
    await fc.assert(
      fc.asyncProperty(histories({ isStrict: true }), fc.nat(25), async ({ steps: all }, at) => {
        const steps = ofToday(all);
        const first = play({ steps: steps.slice(0, at) });
        const { scheduled, finished } = first;
        const marks = { ...(scheduled ? { scheduled } : {}), ...(finished ? { finished } : {}) };
        const { overlay, keys } = await openStore(
          first.records.map(({ pair }) => pair),
          marks,
        );
        // The oldest records are gone when they were compacted, and the number of the newest with them.
        fc.pre(keys.revision === first.revision);
        for (const step of steps.slice(at)) runStep(keys, step);
        assertLike({ overlay, keys }, play({ steps }));
        assert.deepEqual(liveOf(await KeyValues.open(overlay, new Pacer())), liveOf(keys));
      }),
      { numRuns: 300 },
    );
  });

  test('has its pending compaction finished when it is opened', async () => {
    await fc.assert(
      fc.asyncProperty(
        histories({ isStrict: true }),
        fc.integer({ min: 0, max: 4 }),
        fc.nat(12),
        async ({ steps: all }, back, deletedCount) => {
          const steps = ofToday(all);
          const history: History = { steps, pending: { back, deletedCount } };
          const { records, scheduled, finished } = play(history);
          fc.pre(scheduled !== undefined && scheduled !== finished);
          const marks = { scheduled: scheduled!, ...(finished ? { finished } : {}) };
          const opened = await openStore(
            records.map(({ pair }) => pair),
            marks,
          );
          assertLike(opened, play({ steps: [...steps, { kind: 'compaction', back, isOld: false }] }));
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('compaction', () => {
  /** The example of upstream: put x@2, y@3, delete x@4, y@5, put z@6, x@7. */
  const example: Pair[] = [
    put(2, 'x'),
    put(3, 'y'),
    deletion(4, 'x'),
    deletion(5, 'y'),
    put(6, 'z'),
    put(7, 'x'),
  ];
  const kept: Array<[revision: number, revisions: string]> = [
    [1, '2.0 3.0 4.0t 5.0t 6.0 7.0'],
    [2, '2.0 3.0 4.0t 5.0t 6.0 7.0'],
    [4, '3.0 4.0t 5.0t 6.0 7.0'],
    [5, '5.0t 6.0 7.0'],
    [6, '6.0 7.0'],
    [7, '6.0 7.0'],
  ];
  for (const [revision, revisions] of kept) {
    test(`at ${revision} keeps ${revisions}`, async () => {
      const { overlay, keys } = await openStore(example);
      keys.compact(revision).finish();
      assert.equal(revisionsOf(overlay).join(' '), revisions);
      assert.deepEqual(
        [
          keys.compactRevision,
          markOf(overlay, 'scheduledCompactRev'),
          markOf(overlay, 'finishedCompactRev'),
          keys.revision,
        ],
        [revision, revision, revision, 7],
      );
      assert.deepEqual(liveOf(keys), ['x 7 7 1', 'z 6 6 1']);
    });
  }

  test('a tombstone that was kept goes with the next one', async () => {
    const { overlay, keys } = await openStore(example);
    keys.compact(5).finish();
    keys.compact(6).finish();
    assert.equal(revisionsOf(overlay).join(' '), '6.0 7.0');
  });

  const refused: Array<[revision: number, code: string]> = [
    [5, 'mvcc.compacted'],
    [4, 'mvcc.compacted'],
    [-1, 'mvcc.compacted'],
    [8, 'mvcc.future'],
  ];
  for (const [revision, code] of refused) {
    test(`at ${revision} after one at 5 is refused, and changes nothing`, async () => {
      const { overlay, keys } = await openStore(example);
      keys.compact(5).finish();
      const before = rowsOf(overlay);
      assert.throws(() => keys.compact(revision), { code });
      assert.deepEqual([rowsOf(overlay), keys.compactRevision], [before, 5]);
    });
  }

  test('what can be read is what is not compacted', async () => {
    const { keys } = await openStore(example);
    keys.compact(5).finish();
    assert.throws(() => keys.assertHeld(4), { code: 'mvcc.compacted' });
    assert.throws(() => keys.assertHeld(8), { code: 'mvcc.future' });
    keys.assertHeld(5);
    keys.assertHeld(7);
  });

  test('a revision of which no record is left is that of the pending compaction', async () => {
    const { overlay, keys } = await openStore([put(2, 'a'), deletion(3, 'a')], { scheduled: 9, finished: 2 });
    assert.deepEqual([keys.revision, keys.compactRevision, revisionsOf(overlay)], [9, 9, []]);
    keys.change((change) => change.put(text('a'), text('v'), 0n));
    assert.deepEqual(liveOf(keys), ['a 10 10 1']);
  });
});

describe('the record of a bump', () => {
  test('counts as a revision, but not as a key, and is kept', async () => {
    const { overlay, keys } = await openStore([put(2, 'a'), put(3, 'b'), bump(1003)], { scheduled: 1003 });
    assert.deepEqual([keys.revision, keys.compactRevision], [1003, 1003]);
    assert.deepEqual(revisionsOf(overlay), ['2.0', '3.0', '1003.0']);
    assert.deepEqual(liveOf(keys), ['a 2 2 1', 'b 3 3 1']);
    assert.equal(keys.has(new Uint8Array()), false);
    keys.change((change) => change.put(text('a'), text('v'), 0n));
    keys.compact(1004).finish();
    assert.deepEqual(revisionsOf(overlay), ['3.0', '1003.0', '1004.0']);
    assert.equal(overlay.get('key', bump(1003)[0])!.length, 0);
  });

  test('gives way to a later one when both are compacted, as a key without a name does', async () => {
    const { overlay, keys } = await openStore([put(2, 'a'), bump(10), put(11, 'b'), bump(20)]);
    keys.compact(11).finish();
    assert.deepEqual(revisionsOf(overlay), ['2.0', '10.0', '11.0', '20.0']);
    keys.compact(20).finish();
    assert.deepEqual(revisionsOf(overlay), ['2.0', '11.0', '20.0']);
  });
});

describe('changes', () => {
  const played = async (run: (change: KeyChange) => void, records: readonly Pair[] = []): Promise<Opened> => {
    const opened = await openStore(records);
    opened.keys.change(run);
    return opened;
  };

  test('of one transaction share a revision and see each other', async () => {
    const { overlay, keys } = await played(
      (change) => {
        change.put(text('b'), text('1'), 0n);
        assert.equal(change.delete(rangeOf(text('a'), text('c'))), 2);
        assert.equal(change.delete(rangeOf(text('a'), text('c'))), 0);
        change.put(text('a'), text('2'), 7n);
        assert.equal(change.count, 4);
      },
      [put(2, 'a'), put(3, 'c')],
    );
    assert.deepEqual(revisionsOf(overlay), ['2.0', '3.0', '4.0', '4.1t', '4.2t', '4.3']);
    assert.deepEqual(liveOf(keys), ['a 4 4 1', 'c 3 3 1']);
    assert.equal(keys.range(single('a'))[0]!.lease, 7n);
  });

  test('that change nothing take no revision', async () => {
    const { overlay, keys } = await played(
      (change) => assert.equal(change.delete(single('b')), 0),
      [put(2, 'a')],
    );
    assert.deepEqual([keys.revision, revisionsOf(overlay)], [2, ['2.0']]);
  });

  test('deletions of a range come in byte order', async () => {
    const { overlay } = await played(
      (change) => change.delete(rangeOf(text('a'), text('\0'))),
      [put(2, 'b'), put(3, 'a\xff'), put(4, 'a'), put(5, '\x80'), put(6, 'A')],
    );
    const deleted = [...overlay.scan('key')].slice(5).map(({ value }) => latin1(value.slice(2)));
    assert.deepEqual(deleted, ['a', 'a\xff', 'b', '\x80']);
  });

  test('ranges: one key, up to an end, and all from a key on', async () => {
    const { keys } = await openStore([put(2, 'a'), put(3, 'b'), put(4, 'b\0'), put(5, 'c')]);
    assert.deepEqual(
      [
        namesIn(keys, 'b', ''),
        namesIn(keys, 'bb', ''),
        namesIn(keys, 'a', 'c'),
        namesIn(keys, 'b', '\0'),
        namesIn(keys, 'c', 'b'),
        namesIn(keys, 'a', '\0\0'),
      ],
      [['b'], [], ['a', 'b', 'b\0'], ['b', 'b\0', 'c'], [], []],
    );
  });
});

describe('leases', () => {
  const leased: Pair[] = [
    put(2, 'a', { lease: 1n }),
    put(3, 'b', { lease: -5n }),
    put(4, 'c'),
    put(5, 'd', { lease: 1n }),
    deletion(6, 'd'),
    put(7, 'e', { lease: 1n }),
    put(8, 'e', { createRevision: 7, version: 2 }),
  ];

  test('hang on what each key was put with last', async () => {
    assert.deepEqual(
      [...(await openStore(leased)).keys.leased()],
      [
        ['a', 1n],
        ['b', -5n],
      ],
    );
  });

  const moves: Array<[what: string, run: (change: KeyChange) => void, told: string[]]> = [
    ['put with one', (change) => change.put(text('c'), text('v'), 9n), ['c 0 9']],
    ['put with another', (change) => change.put(text('a'), text('v'), 9n), ['a 1 9']],
    ['put without', (change) => change.put(text('b'), text('v'), 0n), ['b -5 0']],
    ['put with the same', (change) => change.put(text('a'), text('v'), 1n), []],
    ['a new key', (change) => change.put(text('x'), text('v'), 1n), ['x 0 1']],
    ['a new key without', (change) => change.put(text('x'), text('v'), 0n), []],
    ['deleted', (change) => void change.delete(rangeOf(text('a'), text('d'))), ['a 1 0', 'b -5 0']],
    [
      'put and deleted at once',
      (change) => {
        change.put(text('x'), text('v'), 3n);
        change.delete(single('x'));
      },
      ['x 0 3', 'x 3 0'],
    ],
  ];
  for (const [what, run, expected] of moves) {
    test(`${what}: told once for each key that moves`, async () => {
      const { keys } = await openStore(leased);
      const told: string[] = [];
      keys.onLease = (key, from, to) => void told.push(`${key} ${from} ${to}`);
      keys.change(run);
      assert.deepEqual(told, expected);
    });
  }
});

describe('damage', () => {
  const cases: Array<[what: string, record: Pair, code: string]> = [
    ['a malformed revision', [text('not a revision key'), text('')], 'mvcc.value'],
    ['a malformed value', [put(5, 'd')[0], text('\x0a\xff')], 'mvcc.value'],
  ];
  for (const [what, record, code] of cases) {
    test(what, async () => {
      await assert.rejects(
        openStore([put(2, 'a'), record]),
        (error) => error instanceof CorruptError && error.code === code,
      );
    });
  }

  test('a malformed mark', async () => {
    const file = buildDatabase({ buckets: { meta: [[text('finishedCompactRev'), text('x')]] } });
    await assert.rejects(KeyValues.open(new Overlay(new BoltView(new MemorySource(file))), new Pacer()), {
      code: 'mvcc.compaction',
    });
  });
});
