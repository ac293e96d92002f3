import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { HistoryCheck } from '../../src/check/history.ts';
import type { Finding } from '../../src/errors.ts';
import { keyValue } from '../../src/format/proto/mvccpb.ts';
import { encodeRevision } from '../../src/store/mvcc/record.ts';
import { LeaseIdSet } from '../../src/store/schema/lease-ids.ts';
import { buildDatabase, bump, deletion, openBytes, type Pair, put, text } from '../store/database-builder.ts';
import { histories, play } from '../store/mvcc/histories.ts';
import { boltFile } from '../support/bolt-spec.ts';

interface Marks {
  scheduled?: number | undefined;
  finished?: number | undefined;
}

interface Checked {
  history: HistoryCheck;
  findings: Finding[];
}

function checkBytes(bytes: Uint8Array, { scheduled, finished }: Marks = {}): Checked {
  const findings: Finding[] = [];
  const bolt = openBytes(bytes, (finding) => findings.push(finding));
  const history = new HistoryCheck(bolt, { scheduled, finished });
  const leaves = bolt.leaves(bolt.bucket('key')!);
  for (let leaf = leaves.next(); leaf; leaf = leaves.next()) history.leaf(leaf);
  return { history, findings };
}

const check = (records: readonly Pair[], marks: Marks = {}): Checked =>
  checkBytes(buildDatabase({ records, pageSize: 1024 }), marks);

/** The next version of a key. */
const next = (main: number, key: string, version: number, create: number, sub = 0): Pair =>
  put(main, key, { version, createRevision: create, sub });
const row = (
  main: number,
  value: Uint8Array | string,
  options: { isTombstone?: boolean; sub?: number } = {},
): Pair => [
  encodeRevision(main, options.sub ?? 0, options.isTombstone),
  typeof value === 'string' ? Buffer.from(value, 'hex') : value,
];
const at = (revision: number): Marks => ({ scheduled: revision, finished: revision });

describe('what is wrong with records, each alone', () => {
  const cases: Array<[code: string, message: RegExp, records: Pair[], marks?: Marks]> = [
    ['mvcc.revision-key', /has 5 bytes, expected 17 or 18/, [[text('abcde'), text('x')]]],
    [
      'mvcc.revision-key',
      /negative or larger/,
      [put(2, 'a'), [encodeRevision(3, 0).with(0, 0xff), put(3, 'b')[1]]],
    ],
    ['mvcc.value', /revision 2: .* claims 32 of 1 bytes/, [row(2, '0a2061')]],
    [
      'mvcc.value',
      /revision 3\.1: field 1 .* has wire type 0/,
      [put(2, 'a'), put(3, 'b'), row(3, '0801', { sub: 1 })],
    ],
    ['mvcc.value', /revision 2 has an empty value, but is no mark of --bump-revision/, [row(2, '')]],
    [
      'mvcc.value',
      /revision 2 names no key/,
      [row(2, keyValue.encode({ createRevision: 2, modRevision: 2, version: 1 }))],
    ],
    ['mvcc.value', /revision 3 names no key/, [put(2, 'a'), row(3, '', { isTombstone: true })]],
    ['mvcc.mod-revision', /revision 3 holds mod_revision 4/, [put(2, 'a'), put(3, 'b', { modRevision: 4 })]],
    ['mvcc.mod-revision', /revision 2 holds mod_revision 0/, [put(2, 'a', { modRevision: 0 })]],
    [
      'mvcc.gap',
      /^revision 3 is missing, although the last compaction was at -1$/,
      [put(2, 'a'), put(4, 'b')],
    ],
    ['mvcc.gap', /^revisions 2 to 8 are missing/, [put(9, 'a')]],
    ['mvcc.gap', /^revision 11 is missing, although the last compaction was at 10$/, [put(12, 'a')], at(10)],
    ['mvcc.gap', /a change before revision 2\.1 is missing/, [put(2, 'a', { sub: 1 })]],
    ['mvcc.gap', /a change before revision 2\.2 is missing/, [put(2, 'a'), put(2, 'b', { sub: 2 })]],
    [
      'mvcc.tombstone',
      /the tombstone at revision 3 deletes key "b", which did not exist/,
      [put(2, 'a'), deletion(3, 'b')],
    ],
    [
      'mvcc.tombstone',
      /deletes key "a", which did not exist/,
      [put(2, 'a'), deletion(3, 'a'), deletion(4, 'a')],
    ],
    [
      'mvcc.tombstone',
      /at revision 4 lies below the compaction at 5, which deletes all/,
      [deletion(4, 'a'), put(5, 'b')],
      at(5),
    ],
    ...[
      { createRevision: 2 },
      { modRevision: 3 },
      { version: 1 },
      { value: text('v') },
      { lease: 1n },
      { lease: -(2n ** 63n) },
    ].map((extra): [string, RegExp, Pair[]] => [
      'mvcc.tombstone',
      /the tombstone at revision 3 holds more than a key/,
      [put(2, 'a'), row(3, keyValue.encode({ key: text('a'), ...extra }), { isTombstone: true })],
    ]),
    [
      'mvcc.history',
      /create_revision 1 and version 1, but no record before it/,
      [put(2, 'a', { createRevision: 1 })],
    ],
    ['mvcc.history', /create_revision 2 and version 2, but no record before it/, [next(2, 'a', 2, 2)]],
    [
      'mvcc.history',
      /version 3, after version 1 created at 2 \(revision 2\)/,
      [put(2, 'a'), next(3, 'a', 3, 2)],
    ],
    ['mvcc.history', /version 1, after version 1 created at 2/, [put(2, 'a'), put(3, 'a')]],
    ['mvcc.history', /create_revision 3 and version 2, after/, [put(2, 'a'), next(3, 'a', 2, 3)]],
    [
      'mvcc.history',
      /although the key was deleted before/,
      [put(2, 'a'), deletion(3, 'a'), next(4, 'a', 2, 2)],
    ],
    [
      'mvcc.history',
      /create_revision 9 and version 3, which no history gives/,
      [next(10, 'a', 3, 9)],
      at(10),
    ],
    [
      'mvcc.history',
      /create_revision 0 and version 3, which no history gives/,
      [next(10, 'a', 3, 0)],
      at(10),
    ],
    [
      'mvcc.history',
      /create_revision 9 and version 1, which no history gives/,
      [next(10, 'a', 1, 9)],
      at(10),
    ],
    [
      'mvcc.history',
      /create_revision 12 and version 4, which no history gives/,
      [next(10, 'a', 4, 12)],
      at(10),
    ],
  ];
  for (const [code, message, records, marks] of cases) {
    test(`${code}: ${message.source}`, () => {
      const { findings } = check(records, marks);
      assert.deepEqual(
        findings.map((finding) => finding.code),
        [code],
        findings.map((finding) => finding.message).join('\n'),
      );
      const { message: found, severity, where } = findings[0]!;
      assert.match(found, message);
      assert.equal(severity, 'lossy');
      assert.match(where.unit ?? '', /^page \d+$/);
      assert.deepEqual([where.file, where.field], ['test.db', 'bucket key']);
    });
  }

  test('a bucket among the records', () => {
    const pages = {
      3: { leaf: [{ bucket: 'key', root: 4 }] },
      4: { leaf: [put(2, 'a'), { bucket: encodeRevision(3, 0), inline: [] }] },
    };
    const { findings, history } = checkBytes(boltFile({ root: 3, pages: pages as never }));
    assert.deepEqual(
      findings.map(({ code, message }) => [code, message]),
      [['mvcc.revision-key', 'bucket key holds a bucket']],
    );
    assert.equal(history.isIncomplete, true);
  });

  test('the place is that of the record in the file', () => {
    const records = Array.from({ length: 100 }, (_, i) =>
      put(i + 2, `key-${i}`, i === 80 ? { modRevision: 1 } : {}),
    );
    const bytes = buildDatabase({ records, pageSize: 1024 });
    const [finding] = checkBytes(bytes).findings;
    assert.equal(finding!.where.offset, Buffer.from(bytes).indexOf(records[80]![0]));
    assert.equal(finding!.where.unit, `page ${pageOf(bytes, finding!.where.offset!)}`);
  });
});

const pageOf = (bytes: Uint8Array, offset: number): number =>
  Number(new DataView(bytes.buffer).getBigUint64(Math.floor(offset / 1024) * 1024, true));

describe('what is right', () => {
  const cases: Array<[what: string, records: Pair[], marks?: Marks]> = [
    ['nothing', []],
    ['nothing, compacted', [], at(7)],
    ['puts, deletions and puts again', [put(2, 'a'), next(3, 'a', 2, 2), deletion(4, 'a'), put(5, 'a')]],
    [
      'several changes in a revision',
      [put(2, 'a'), put(2, 'b', { sub: 1 }), deletion(3, 'a'), deletion(3, 'b', 1)],
    ],
    [
      'a compacted past, its newest versions kept',
      [next(4, 'a', 3, 2), next(9, 'b', 2, 6), put(10, 'c'), put(11, 'd')],
      at(9),
    ],
    ['the most changes a past can hold', [next(10, 'a', 9, 2)], at(10)],
    ['the tombstone of the compacted revision, kept', [put(4, 'b'), deletion(9, 'a'), put(10, 'a')], at(9)],
    ['the same deleted, as old servers did', [put(4, 'b'), put(10, 'a')], at(9)],
    ['compaction of the last revision, a deletion', [put(4, 'b')], at(9)],
    [
      'a compaction begun, nothing deleted',
      [put(2, 'a'), deletion(3, 'a'), put(4, 'a'), put(5, 'b')],
      { scheduled: 4 },
    ],
    ['a compaction begun, some deleted', [deletion(3, 'a'), put(4, 'a'), put(5, 'b')], { scheduled: 4 }],
    [
      'one begun after a finished one',
      [next(5, 'a', 3, 2), next(6, 'a', 4, 2), deletion(7, 'a'), put(8, 'b')],
      { scheduled: 7, finished: 5 },
    ],
    [
      'a restore with bumped revisions',
      [put(2, 'a'), deletion(3, 'a'), put(4, 'b'), bump(1004)],
      { scheduled: 1004 },
    ],
    ['the same, later', [put(4, 'b'), bump(1004), put(1005, 'c')], at(1004)],
    ['and compacted again', [put(4, 'b'), bump(1004), put(1010, 'c')], at(1010)],
  ];
  for (const [what, records, marks] of cases) {
    test(what, () => assert.deepEqual(check(records, marks).findings, []));
  }

  test('any history etcd makes, whatever was compacted', () => {
    fc.assert(
      fc.property(histories({ isStrict: true }), (steps) => {
        const { records, scheduled, finished, revision, liveKeyCount } = play(steps);
        const { findings, history } = check(
          records.map(({ pair }) => pair),
          { scheduled, finished },
        );
        assert.deepEqual(findings, []);
        assert.equal(history.liveKeyCount, liveKeyCount);
        assert.equal(history.recordCount, records.length);
        assert.equal(history.tombstoneCount, records.filter(({ isTombstone }) => isTombstone).length);
        assert.equal(history.revision, records.at(-1)?.main ?? 0);
        assert.ok(history.revision <= revision);
      }),
      { numRuns: 500 },
    );
  });

  test('and what is lost from one is missed', () => {
    const history = histories({ isStrict: true }).filter((one) => play(one).records.length > 3);
    fc.assert(
      fc.property(history, fc.nat(), (steps, n) => {
        const { records, scheduled, finished } = play(steps);
        const compactRevision = Math.max(scheduled ?? -1, finished ?? -1);
        // The last change of a revision may be missing without a trace, and so may what lies below a compaction.
        const traceable = records.filter(({ main, sub }, i) => {
          const isAlone = sub === 0 && records[i + 1]?.main !== main;
          return (
            main > compactRevision && (isAlone ? main < records.at(-1)!.main : records[i + 1]?.main === main)
          );
        });
        fc.pre(traceable.length > 0);
        const lost = traceable[n % traceable.length];
        const { findings } = check(
          records.filter((one) => one !== lost).map(({ pair }) => pair),
          { scheduled, finished },
        );
        assert.ok(findings.some(({ code }) => code === 'mvcc.gap'));
      }),
    );
  });
});

describe('what is counted', () => {
  test('records, tombstones, live keys, bytes of values, and where the history ends', () => {
    const { history } = check([
      put(2, 'a', { value: 'xyz' }),
      put(3, 'b', { value: '' }),
      next(4, 'a', 2, 2),
      deletion(5, 'b'),
      put(5, 'c', { sub: 1 }),
    ]);
    const { recordCount, tombstoneCount, liveKeyCount, valueBytes, revision, bumpCount } = history;
    assert.deepEqual(
      { recordCount, tombstoneCount, liveKeyCount, valueBytes, revision, bumpCount },
      {
        recordCount: 5,
        tombstoneCount: 1,
        liveKeyCount: 2,
        valueBytes: 5,
        revision: 5,
        bumpCount: 0,
      },
    );
  });

  test('an empty value above the last compaction is no mark of --bump-revision', () => {
    const { history } = check([put(2, 'a'), row(3, '')]);
    assert.deepEqual([history.bumpCount, history.recordCount], [0, 2]);
  });

  test('marks of --bump-revision are no keys', () => {
    const { history } = check([put(4, 'b'), bump(1004)], { scheduled: 1004 });
    assert.deepEqual([history.bumpCount, history.liveKeyCount, history.revision], [1, 1, 1004]);
  });
});

describe('after pages were lost', () => {
  const records = [
    put(9, 'a', { createRevision: 3, version: 2 }),
    deletion(12, 'b'),
    put(13, 'c', { modRevision: 12 }),
  ];

  test('what is missing proves nothing, but a contradiction within a record does', () => {
    const findings: Finding[] = [];
    const bolt = openBytes(buildDatabase({ records }), (finding) => findings.push(finding));
    const history = new HistoryCheck(bolt, { scheduled: undefined, finished: undefined });
    history.lost();
    history.leaf(bolt.leaves(bolt.bucket('key')!).next()!);
    assert.deepEqual(
      findings.map(({ code }) => code),
      ['mvcc.mod-revision'],
    );
    assert.equal(history.isIncomplete, true);
  });

  test('and so it is behind a record that does not decode', () => {
    const { findings } = check([put(2, 'a'), row(3, '0801'), next(4, 'a', 7, 2), put(9, 'b')]);
    assert.deepEqual(
      findings.map(({ code }) => code),
      ['mvcc.value'],
    );
  });
});

describe('leases', () => {
  const lost = (records: Pair[], ids: readonly bigint[]): unknown[] => {
    const leases = new LeaseIdSet();
    for (const id of ids) leases.add(Number(BigInt.asUintN(32, id)), Number(BigInt.asUintN(64, id) >> 32n));
    const found: unknown[] = [];
    check(records).history.forEachLostLease(leases, (key, lease, revision) =>
      found.push([Buffer.from(key).toString(), lease, revision]),
    );
    return found;
  };

  test('that a live key names and nobody holds', () => {
    const records = [
      put(2, 'a', { lease: 7n }),
      put(3, 'b', { lease: 2n ** 33n + 7n }),
      put(4, 'c', { lease: -1n }),
      put(5, 'd'),
    ];
    assert.deepEqual(lost(records, []), [
      ['a', 7n, 2],
      ['b', 2n ** 33n + 7n, 3],
      ['c', 2n ** 64n - 1n, 4],
    ]);
    assert.deepEqual(lost(records, [7n, -1n]), [['b', 2n ** 33n + 7n, 3]]);
  });

  test('of old versions and of deleted keys do not matter', () => {
    const old = put(2, 'a', { lease: 7n });
    assert.deepEqual(lost([old, next(3, 'a', 2, 2)], []), []);
    assert.deepEqual(lost([old, deletion(3, 'a')], []), []);
    assert.deepEqual(lost([old, deletion(3, 'a'), put(4, 'a', { lease: 8n })], []), [['a', 8n, 4]]);
  });
});
