import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { readFixture } from '../support/fixtures.ts';
import { scratch } from '../support/scratch.ts';
import {
  assertLog,
  logFindings,
  type MemberSpec,
  plant,
  SEGMENT_0,
  unpackSparsely,
  verifyDirectory,
  WITH_SNAP,
  writeSparsely,
} from './directories.ts';

describe('a sound directory', () => {
  const cases: Array<[what: string, spec: MemberSpec, starts: Array<string | RegExp>]> = [
    ['without snapshots', {}, [/./, /beginning/, /beginning/, /beginning/]],
    ['with one', WITH_SNAP, [/./, 'the snapshot at 10', 'the snapshot at 10', 'the snapshot at 10']],
    ['of two segments', { log: { cutAt: 12 } }, [/./, /beginning/, /beginning/, /beginning/]],
    [
      'whose database is behind the log',
      { consistentIndex: 12 },
      [/./, /beginning/, /beginning/, /beginning/],
    ],
    [
      'whose commit lags, as after a kill',
      { log: { commit: 19 } },
      [/./, /beginning/, /beginning/, /beginning/],
    ],
  ];
  for (const [what, spec, starts] of cases) {
    test(what, async (t) => {
      const report = await verifyDirectory(plant(t, spec).directory);
      assert.deepEqual(logFindings(report), []);
      assert.equal(report.damageCount, 0);
      assert.deepEqual(
        report.starts.map(({ version }) => version),
        ['3.4', '3.5', '3.6', '3.7'],
      );
      for (const [i, start] of starts.entries())
        assert.match(report.starts[i]!.from ?? report.starts[i]!.obstacle!, new RegExp(start));
    });
  }

  test('says what the log holds', async (t) => {
    const { facts } = await verifyDirectory(plant(t, { ...WITH_SNAP, consistentIndex: 12 }).directory);
    const { memberId, clusterId, logEntries, logFirstIndex, logLastIndex, logCommit, logEnd, raftSnapshots } =
      facts;
    assert.deepEqual(
      { memberId, clusterId, logEntries, logFirstIndex, logLastIndex, logCommit, logEnd, raftSnapshots },
      {
        memberId: '8e9e05c52164694d',
        clusterId: 'cdf818194e3a8c32',
        logEntries: 20,
        logFirstIndex: 1,
        logLastIndex: 20,
        logCommit: 20,
        logEnd: 'preallocated',
        raftSnapshots: 1,
      },
    );
  });
});

describe('logs of real etcd 3.7', () => {
  /** The directory of 3.7 with another file as its log. */
  function withLog(t: Parameters<typeof scratch>[0], path: string): string {
    const directory = join(scratch(t), 'data');
    const origin = unpackSparsely('datadir/datadir-3.7.tar.gz');
    for (const name of ['snap', 'wal']) mkdirSync(join(directory, 'member', name), { recursive: true });
    for (const name of readdirSync(join(origin, 'member', 'snap'))) {
      copyFileSync(join(origin, 'member', 'snap', name), join(directory, 'member', 'snap', name));
    }
    writeSparsely(join(directory, 'member', 'wal', SEGMENT_0), gunzipSync(readFixture(path)));
    return directory;
  }

  test('a torn record with an intact one behind it costs something', async (t) => {
    const report = await verifyDirectory(withLog(t, 'wal/torn-tail-3.7.wal.gz'));
    assertLog(report, [
      /^lossy wal\.torn: the last write is incomplete: .*; 1 intact records follow, which a server cuts off too/,
      /^lossy log\.tail: the database applied entry 33, but the log ends at 32/,
    ]);
    assert.equal(report.findings[0]!.where.offset, 12216);
    assert.equal(report.facts['logEnd'], 'torn');
  });

  test('a flipped bit is damage, at its place', async (t) => {
    const directory = withLog(t, 'wal/bitflip-tail-3.7.wal.gz');
    const report = await verifyDirectory(directory);
    assert.equal(report.verdict, 'DAMAGED');
    const crc = report.findings.find(({ code }) => code === 'wal.record.crc')!;
    assert.deepEqual([crc.layer, crc.severity, crc.where.offset], ['log', 'fatal', 12216]);
    assert.equal(crc.where.file, join(directory, 'member', 'wal', SEGMENT_0));
    assert.ok(
      report.starts.every(({ obstacle }) => obstacle !== undefined),
      'no server can start',
    );
  });

  test('three segments, one of them missing', async (t) => {
    const origin = join(unpackSparsely('wal/multisegment-3.7.tar.gz'), 'member', 'wal');
    const { directory, member } = plant(t);
    rmSync(join(member, 'wal', SEGMENT_0));
    const names = readdirSync(origin).sort();
    for (const name of names) writeSparsely(join(member, 'wal', name), readFileSync(join(origin, name)));
    const whole = logFindings(await verifyDirectory(directory));
    assert.ok(!whole.some((finding) => /wal\./.test(finding)), whole.join('\n'));
    rmSync(join(member, 'wal', names[1]!));
    const report = await verifyDirectory(directory);
    const gap = report.findings.find(({ code }) => code === 'wal.sequence')!;
    assert.deepEqual([gap.severity, gap.message], ['fatal', 'segment 0 is followed by 2']);
    assert.equal(report.verdict, 'DAMAGED');
  });
});
