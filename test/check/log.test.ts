import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openFile } from '../../src/bytes/source.ts';
import { verify } from '../../src/check/verify.ts';
import { encodeConfState } from '../../src/format/proto/member-json.ts';
import { SegmentReader } from '../../src/format/wal/segment.ts';
import { encodeIndex } from '../../src/store/schema/rows.ts';
import { MEMBER, memberRow, metaRows, text } from '../store/database-builder.ts';
import { scratch } from '../support/scratch.ts';
import {
  assertLog,
  filesIn,
  logFindings,
  type MemberSpec,
  plant,
  SEGMENT_0,
  SNAP,
  snapFile,
  verifyDirectory,
  WITH_SNAP,
} from './directories.ts';

describe('a torn tail', () => {
  /** The frames of a segment, as [offset, size]. */
  function framesOf(path: string): Array<[offset: number, size: number]> {
    const source = openFile(path);
    const reader = new SegmentReader(source);
    const frames: Array<[number, number]> = [];
    for (let record = reader.next(); record; record = reader.next())
      frames.push([record.offset, record.size]);
    source.close();
    return frames;
  }

  const tears: Array<[what: string, tear: (bytes: Buffer, offset: number, size: number) => Uint8Array]> = [
    ['a length and nothing behind it', (bytes, offset) => Buffer.from(bytes).fill(0, offset + 8)],
    ['cut within the length', (bytes, offset) => bytes.subarray(0, offset + 5)],
    ['cut within the record', (bytes, offset, size) => bytes.subarray(0, offset + size - 3)],
  ];
  for (const [what, tear] of tears) {
    test(`is what a crash leaves, a note: ${what}`, async (t) => {
      const { directory, member } = plant(t);
      const path = join(member, 'wal', SEGMENT_0);
      const [offset, size] = framesOf(path).at(-1)!;
      writeFileSync(path, tear(readFileSync(path), offset, size));
      const report = await verifyDirectory(directory);
      assertLog(report, [
        /^note wal\.torn: the last write is incomplete: .*; a server cuts it off when it starts$/,
      ]);
      assert.deepEqual([report.verdict, report.facts['logEnd']], ['GOOD with notes', 'torn']);
      assert.deepEqual(report.findings[0]!.where, { file: path, offset });
    });
  }

  test('of a segment that is not the last is a break', async (t) => {
    const { directory, member } = plant(t, { log: { cutAt: 12 } });
    const path = join(member, 'wal', SEGMENT_0);
    writeFileSync(path, readFileSync(path).subarray(0, -3));
    const report = await verifyDirectory(directory);
    assert.equal(report.verdict, 'DAMAGED');
    const [finding] = report.findings;
    assert.deepEqual([finding!.severity, finding!.where.file], ['fatal', path]);
  });
});

describe('segments', () => {
  const cases: Array<
    [what: string, spec: MemberSpec, change: (wal: string, member: string) => void, expected: RegExp[]]
  > = [
    [
      'none',
      {},
      (wal) => rmSync(join(wal, SEGMENT_0)),
      [/^fatal log\.start: there is no segment in .*wal: a server would begin a new cluster/],
    ],
    [
      'no directory for them',
      { snaps: [{ index: 10, term: 2 }] },
      (wal) => rmSync(wal, { recursive: true }),
      [/^fatal log\.start: there is no log at .*wal/],
    ],
    [
      'the last is lost',
      { log: { cutAt: 12 } },
      (wal) => rmSync(join(wal, '0000000000000001-000000000000000c.wal')),
      [/^lossy log\.tail: the database applied entry 20, but the log ends at 11/],
    ],
    [
      'committed beyond its end',
      { log: { commit: 25 } },
      () => {},
      [/^lossy log\.tail: the log is committed to 25, but ends at entry 20/, /^fatal log\.start/],
    ],
  ];
  for (const [what, spec, change, expected] of cases) {
    test(what, async (t) => {
      const { directory, member } = plant(t, spec);
      change(join(member, 'wal'), member);
      assertLog(await verifyDirectory(directory), expected);
    });
  }

  test('elsewhere', async (t) => {
    const { directory, member } = plant(t);
    const walDir = join(scratch(t), 'wal');
    renameSync(join(member, 'wal'), walDir);
    const report = await verify(directory, { walDir });
    assert.deepEqual([logFindings(report), report.verdict], [[], 'GOOD']);
    assert.equal(report.totalBytes, filesIn(directory).totalBytes + filesIn(walDir).totalBytes);
  });

  test('beside files that are none of etcd’s, which are counted too', async (t) => {
    const { directory, member } = plant(t);
    writeFileSync(join(directory, 'notes.txt'), 'twelve bytes');
    writeFileSync(join(member, '.touch'), '');
    mkdirSync(join(member, 'wal.broken'));
    writeFileSync(join(member, 'wal.broken', '0.wal'), 'seven b');
    for (const layers of [undefined, ['pages'] as const]) {
      const report = await verify(directory, { layers });
      assert.equal(report.verdict, 'GOOD');
      assert.equal(report.totalBytes, filesIn(directory).totalBytes);
      assert.equal(report.bytes.find(({ what }) => what === 'other files')?.bytes, 19);
    }
    const report = await verify(member);
    assert.equal(report.totalBytes, filesIn(member).totalBytes);
  });

  test('that cannot be opened leave the database judged', async (t) => {
    const { directory, member } = plant(t);
    const path = join(member, 'wal', '0000000000000001-0000000000000014.wal');
    mkdirSync(path);
    const report = await verifyDirectory(directory);
    assert.equal(report.verdict, 'DAMAGED');
    const finding = report.findings.find(({ code }) => code === 'io.not-a-file')!;
    assert.deepEqual([finding.layer, finding.severity, finding.where.file], ['log', 'fatal', path]);
    assert.equal(report.facts['revision'], 2);
  });
});

describe('other names in the log directory', () => {
  const names: Array<[name: string, expected: RegExp[]]> = [
    ['0.tmp', []],
    ['1.tmp', []],
    ['2.tmp', [/^note wal\.name: 2\.tmp is none of etcd's/]],
    [
      '0000000000000003-0000000000000003.wal.broken',
      [/^note log\.leftover: .*\.broken was set aside by a repair/],
    ],
    ['readme.txt', [/^note wal\.name: readme\.txt is none of etcd's/]],
    ['0000000000000001-14.wal', [/^note wal\.name/]],
  ];
  for (const [name, expected] of names) {
    test(name, async (t) => {
      const { directory, member } = plant(t);
      writeFileSync(join(member, 'wal', name), 'some bytes');
      const report = await verifyDirectory(directory);
      assertLog(report, expected);
      assert.equal(report.damageCount, 0);
      const line = report.bytes.find(({ bytes }) => bytes === 10);
      assert.deepEqual(
        [line?.status, line?.what],
        ['skipped', name.endsWith('.tmp') ? 'next segment, preallocated' : 'other files'],
      );
    });
  }

  test('directories hold no bytes of their own', async (t) => {
    const { directory, member } = plant(t);
    for (const place of ['wal', 'snap']) mkdirSync(join(member, place, 'lost+found'));
    const report = await verifyDirectory(directory);
    assert.deepEqual([report.verdict, logFindings(report)], ['GOOD', []]);
  });
});

describe('files beside the database', () => {
  const names: Array<[name: string, expected: RegExp[]]> = [
    ['0000000000000015.snap.db', []],
    [
      '0000000000000002-000000000000000b.snap.broken',
      [/^note log\.leftover: .* was set aside because it could not be read/],
    ],
    ['db.tmp.123', [/^note log\.leftover: db\.tmp\.123 was left behind by an interrupted run/]],
    ['tmp4711', [/^note log\.leftover: tmp4711 was left behind/]],
    ['notes.txt', [/^note log\.leftover: notes\.txt is none of etcd's/]],
    ['2-b.snap', [/^note log\.leftover: 2-b\.snap is none of etcd's/]],
  ];
  for (const [name, expected] of names) {
    test(name, async (t) => {
      const { directory, member } = plant(t);
      writeFileSync(join(member, 'snap', name), 'some bytes');
      const report = await verifyDirectory(directory);
      assertLog(report, expected);
      assert.equal(report.damageCount, 0);
    });
  }
});

describe('raft snapshots', () => {
  const cases: Array<[what: string, spec: MemberSpec, change: (path: string) => void, expected: RegExp[]]> = [
    [
      'a file without record',
      { snaps: [{ index: 10, term: 2 }] },
      () => {},
      [/^note snap\.orphan: .*000a\.snap has no record in the log/],
    ],
    ['a record without file', { log: { snapshots: [{ index: 10, term: 2 }] } }, () => {}, []],
    [
      'a file of another term than its record',
      { snaps: [{ index: 10, term: 3 }], log: { snapshots: [{ index: 10, term: 2 }] } },
      () => {},
      [/^lossy wal\.snapshot\.mismatch: .* is of term 3, but its record in the log of 2/],
    ],
    [
      'a damaged file',
      WITH_SNAP,
      (path) => writeFileSync(path, flipLast(readFileSync(path))),
      [/^lossy snap\.crc: the file says 0x/],
    ],
    [
      'an empty file',
      WITH_SNAP,
      (path) => writeFileSync(path, ''),
      [/^lossy snap\.empty: the file is empty/],
    ],
    [
      'a cut file',
      WITH_SNAP,
      (path) => writeFileSync(path, readFileSync(path).subarray(0, 40)),
      [/^lossy snap\./],
    ],
    [
      'a cut file that the log does not know, as a crash leaves it',
      { snaps: [{ index: 10, term: 2 }] },
      (path) => writeFileSync(path, readFileSync(path).subarray(0, 40)),
      [/^note snap\.malformed: .*left by a crash/],
    ],
    [
      'a file with the name of another',
      WITH_SNAP,
      (path) => writeFileSync(path, snapFile({ index: 11, term: 2 })),
      [/^lossy snap\.name: .* holds term 2, index 11/, /^note snap\.orphan/],
    ],
  ];
  for (const [what, spec, change, expected] of cases) {
    test(what, async (t) => {
      const { directory, member } = plant(t, spec);
      const path = readdirSync(join(member, 'snap')).find((name) => name.endsWith('.snap')) ?? SNAP;
      change(join(member, 'snap', path));
      assertLog(await verifyDirectory(directory), expected);
    });
  }
});

const flipLast = (bytes: Buffer): Uint8Array =>
  new Uint8Array(bytes).with(bytes.length - 1, bytes.at(-1)! ^ 1);

describe('log and database', () => {
  const meta = (over: Parameters<typeof metaRows>[0]): MemberSpec => ({
    database: { buckets: { meta: metaRows(over) } },
  });
  const other = { ...MEMBER, id: 0xabcn };
  const cases: Array<[what: string, spec: MemberSpec, expected: RegExp[]]> = [
    [
      'a database ahead of its log',
      { consistentIndex: 21 },
      [
        /^lossy log\.tail: the database applied entry 21, but the log ends at 20: they do not belong together/,
      ],
    ],
    [
      'of another term at the same entry',
      meta({ term: encodeIndex(3) }),
      [/^lossy log\.tail: the database applied entry 20 of term 3, but in the log it is of term 2/],
    ],
    [
      'a log of another member',
      { log: { nodeId: other.id } },
      [/^lossy schema\.membership: the log belongs to member abc, which the database does not list/],
    ],
    [
      'a log of a member that was removed',
      {
        log: { nodeId: other.id },
        database: { buckets: { members_removed: [[text('abc'), text('removed')]] } },
      },
      [/^note schema\.membership: the log belongs to member abc, which was removed/],
    ],
    [
      'a database behind the snapshot',
      { ...WITH_SNAP, consistentIndex: 9 },
      [/^fatal log\.start: no server can start: its snapshot is at 10, but the database only reaches 9/],
    ],
  ];
  for (const [what, spec, expected] of cases) {
    test(what, async (t) => {
      const report = await verifyDirectory(plant(t, spec).directory);
      assertLog(report, expected);
    });
  }

  test('of three members, one log', async (t) => {
    const voters = [
      MEMBER,
      { ...MEMBER, id: 0xabcn, peerUrls: ['http://b:2380'] },
      { ...MEMBER, id: 0xdefn, peerUrls: ['http://c:2380'] },
    ];
    const buckets = {
      members: voters.map(memberRow),
      meta: metaRows({ confState: encodeConfState({ voters: voters.map(({ id }) => id) }) }),
    };
    for (const { id } of voters) {
      const report = await verifyDirectory(
        plant(t, { database: { buckets }, log: { nodeId: id } }).directory,
      );
      assert.deepEqual([report.verdict, report.facts['memberId']], ['GOOD', id.toString(16)]);
    }
  });
});
