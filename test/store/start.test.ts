import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { VERSIONS } from '../../src/store/schema/buckets.ts';
import { type Directory, startOf } from '../../src/store/start.ts';

/** A member that has run for a while: a snapshot at 21 in the log and in snap/, everything applied. */
const SOUND: Directory = {
  segments: [{ sequence: 0, index: 0 }],
  records: [
    { term: 0, index: 0 },
    { term: 2, index: 21 },
  ],
  commit: 40,
  snaps: [{ term: 2, index: 21 }],
  lastIndex: 40,
  consistentIndex: 40,
  snapNames: ['0000000000000002-0000000000000015.snap', 'db'],
};

/** Where 3.4, 3.5, 3.6 and 3.7 start, or why they do not. */
type Outcome = number | RegExp;

function assertStarts(directory: Partial<Directory>, outcomes: readonly Outcome[]): void {
  for (const [i, version] of VERSIONS.entries()) {
    const { index, obstacle } = startOf(version, { ...SOUND, ...directory });
    const expected = outcomes[outcomes.length === 1 ? 0 : i]!;
    if (typeof expected === 'number')
      assert.deepEqual([index, obstacle], [expected, undefined], `etcd ${version}`);
    else assert.match(obstacle ?? `starts at ${index}`, expected, `etcd ${version}`);
  }
}

type Case = [what: string, directory: Partial<Directory>, ...outcomes: Outcome[]];

function describeCases(what: string, cases: readonly Case[]): void {
  describe(what, () => {
    for (const [name, directory, ...outcomes] of cases) test(name, () => assertStarts(directory, outcomes));
  });
}

const LATER = { segments: [{ sequence: 1, index: 15 }], records: [{ term: 2, index: 21 }] };

describeCases('the snapshot to start from', [
  ['the one that file and record agree on', {}, 21],
  ['without .snap, 3.7 takes the record and the others the beginning', { snaps: [] }, 0, 0, 0, 21],
  ['without record, the beginning', { records: [{ term: 0, index: 0 }] }, 0],
  ['a .snap of another term does not count', { snaps: [{ term: 3, index: 21 }] }, 0, 0, 0, 21],
  [
    'an older .snap does when the newer has no record',
    {
      snaps: [
        { term: 2, index: 30 },
        { term: 2, index: 21 },
      ],
    },
    21,
  ],
  ['a record that is not committed does not', { commit: 20, lastIndex: 20 }, 0],
  [
    '3.7 takes the last record, the others the newest .snap',
    { records: [...SOUND.records, { term: 2, index: 35 }] },
    21,
    21,
    21,
    35,
  ],
  [
    'an empty log begins at the beginning',
    { records: [{ term: 0, index: 0 }], snaps: [], commit: 0, lastIndex: 0, consistentIndex: 0 },
    0,
  ],
]);

describeCases('the log', [
  ['begins at the snapshot: fine', { ...LATER, segments: [{ sequence: 3, index: 21 }] }, 21],
  [
    'begins behind it',
    { ...LATER, segments: [{ sequence: 3, index: 22 }] },
    /from 21, but the oldest segment begins at 22/,
  ],
  [
    'purged, and no .snap',
    { ...LATER, snaps: [] },
    /from 0, but the oldest segment begins at 15/,
    /from 0/,
    /from 0/,
    21,
  ],
  ['without record of the beginning', { records: [], snaps: [] }, /no record of the snapshot at 0/],
  ['ends before what is committed', { commit: 41 }, /committed to 41, but ends at 40/],
  ['is cut behind the snapshot, which reaches as far', { commit: 21, lastIndex: 0, consistentIndex: 21 }, 21],
  ['no segments', { segments: [] }, /oldest segment begins at none/],
]);

describeCases('the database', [
  ['at the snapshot', { consistentIndex: 21 }, 21],
  [
    'behind it',
    { consistentIndex: 20 },
    /snapshot is at 21, but the database only reaches 20, and 0000000000000015\.snap\.db is not there/,
  ],
  ['behind it, but one was received', { consistentIndex: 20, snapNames: ['0000000000000015.snap.db'] }, 21],
  ['unreadable: nothing is known against it', { consistentIndex: undefined }, 21],
]);
