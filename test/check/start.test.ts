import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { verify } from '../../src/check/verify.ts';
import { internalRaftRequest } from '../../src/format/proto/rpcpb.ts';
import { v2Request } from '../../src/format/proto/v2pb.ts';
import { type DatabaseSpec, metaRows, text } from '../store/database-builder.ts';
import { scratch } from '../support/scratch.ts';
import { type MemberSpec, plantMember, SEGMENT_0, unpackSparsely } from './directories.ts';

/** A record at 10, and the log before 12 purged. */
const PURGED: MemberSpec = { log: { cutAt: 12, snapshots: [{ index: 15, term: 2 }] } };

interface Judged {
  /** What 3.4, 3.5, 3.6 and 3.7 would do. */
  starts: string[];
  /** Severity and message of `log.start`. */
  finding: string | undefined;
}

async function judge(t: Parameters<typeof scratch>[0], spec: MemberSpec, isPurged = false): Promise<Judged> {
  const directory = scratch(t);
  const member = plantMember(directory, spec);
  if (isPurged) rmSync(join(member, 'wal', SEGMENT_0));
  const { starts, findings } = await verify(directory);
  const finding = findings.find(({ code }) => code === 'log.start');
  return {
    starts: starts.map(({ from, obstacle }) => from ?? obstacle!),
    finding: finding && `${finding.severity}: ${finding.message}`,
  };
}

const schema = (storageVersion: string | undefined, clusterVersion: string): DatabaseSpec => ({
  buckets: {
    meta: metaRows({ storageVersion: storageVersion === undefined ? undefined : text(storageVersion) }),
    cluster: [[text('clusterVersion'), text(clusterVersion)]],
  },
});

/** The beginning of the log, or the index of a snapshot, or why not: of 3.4, 3.5, 3.6 and 3.7. */
type Outcome = number | RegExp;

function assertStarts(starts: readonly string[], outcomes: readonly Outcome[]): void {
  const texts = outcomes.map((outcome) => {
    if (outcome instanceof RegExp) return outcome;
    return outcome === 0 ? /^the beginning of the log$/ : new RegExp(`^the snapshot at ${outcome}$`);
  });
  assert.equal(starts.length, texts.length);
  for (const [i, text] of texts.entries()) assert.match(starts[i]!, text, starts.join('\n'));
}

describe('directories that real etcd wrote', () => {
  const cases: Array<[path: string, ...outcomes: Outcome[]]> = [
    ['datadir/datadir-3.4.tar.gz', 21, 21, 21, 21],
    ['datadir/datadir-3.5.tar.gz', /cluster version is 3\.5\.0 in .*0015\.snap/, 21, 21, 21],
    ['datadir/datadir-3.6.tar.gz', /3\.6\.0 in .*\.snap/, /3\.6\.0 in .*\.snap/, 21, 21],
    ['datadir/datadir-3.7.tar.gz', /3\.7\.0 in/, /3\.7\.0 in/, /storage version is 3\.7\.0/, 21],
    ['tail/tail-before-3.5.tar.gz', /3\.5\.0 in entry 4/, 0, 0, /v2 requests up to entry 4/],
    ['tail/tail-before-3.6.tar.gz', 0, /3\.6\.0 in entry 4 .* plays back/, 0, 0],
    ['tail/tail-before-3.7.tar.gz', 0, /3\.7\.0 in entry 4/, /storage version is 3\.7\.0/, 0],
  ];
  for (const [path, ...outcomes] of cases) {
    test(path, async () => {
      const { starts } = await verify(unpackSparsely(path));
      assertStarts(
        starts.map(({ from, obstacle }) => from ?? obstacle!),
        outcomes,
      );
    });
  }
});

describe('entries about versions', () => {
  const version = (ver: string): Uint8Array =>
    internalRaftRequest.encode({ header: { id: 1n }, clusterVersionSet: { ver } });
  const v2Version = (val: string): Uint8Array =>
    v2Request.encode({ id: 1n, method: 'PUT', path: '/0/version', val }, { zeros: 'write' });
  const snap = { snaps: [{ index: 10, term: 2 }] };
  const snapshots = [{ index: 10, term: 2 }];
  const cases: Array<[what: string, spec: MemberSpec, ...outcomes: Outcome[]]> = [
    [
      'of 3.7 in a v3 request',
      { log: { data: { 15: version('3.7.0') } } },
      0,
      /cluster version is 3\.7\.0 in entry 15/,
      /cluster version is 3\.7\.0 in entry 15/,
      0,
    ],
    [
      'of 3.6, which 3.4 has not applied and cannot',
      { consistentIndex: 14, log: { data: { 15: version('3.6.0') } } },
      /entry 15 of the log is a request that it does not know/,
      /3\.6\.0 in entry 15/,
      0,
      0,
    ],
    [
      'of 3.6, the entry that 3.4 would begin with',
      { consistentIndex: 15, log: { data: { 15: version('3.6.0') } } },
      0,
      /3\.6\.0 in entry 15/,
      0,
      0,
    ],
    [
      'of 3.5 in a v2 request',
      { database: schema(undefined, '3.5.0'), log: { data: { 15: v2Version('3.5.0') } } },
      /cluster version is 3\.5\.0 in entry 15 of the log/,
      0,
      0,
      /v2 requests up to entry 15/,
    ],
    [
      'of 3.4 in a v2 request',
      { log: { data: { 15: v2Version('3.4.0') } } },
      0,
      0,
      0,
      /v2 requests up to entry 15/,
    ],
    [
      'before the snapshot: nobody reads them',
      { ...snap, log: { snapshots, data: { 10: v2Version('3.7.0'), 9: version('3.7.0') } } },
      /cluster version is 3\.5\.0 in .*\.snap/,
      10,
      10,
      10,
    ],
  ];
  for (const [what, spec, ...outcomes] of cases) {
    test(what, async (t) => assertStarts((await judge(t, spec)).starts, outcomes));
  }

  test('tell who wrote last, before the buckets do', async (t) => {
    const spec = { log: { data: { 15: version('3.7.0') } }, database: schema('3.6.0', '3.6.0') };
    assert.equal((await judge(t, spec)).finding, undefined);
    const purged = { ...spec, log: { ...spec.log, cutAt: 12 } };
    assert.match((await judge(t, purged, true)).finding ?? '', /^fatal/);
  });
});

test('members without an applied entry would be added twice', async (t) => {
  const members = metaRows({ consistent_index: undefined });
  const { starts } = await judge(t, { database: { buckets: { meta: members } } });
  assertStarts(starts, [0, 0, /would be added twice/, /would be added twice/]);
  const nobody = await judge(t, { database: { buckets: { meta: members, members: [] } } });
  assertStarts(nobody.starts, [0, 0, 0, 0]);
});

test('nobody starts from a log that is damaged before its end', async (t) => {
  const directory = scratch(t);
  const member = plantMember(directory);
  const path = join(member, 'wal', SEGMENT_0);
  const bytes = readFileSync(path);
  bytes[300]! ^= 1;
  writeFileSync(path, bytes);
  const { starts, findings } = await verify(directory);
  assert.ok(starts.every(({ obstacle }) => obstacle === 'the log is damaged before its end'));
  const finding = findings.find(({ code }) => code === 'log.start');
  assert.deepEqual([starts.length, finding?.severity], [4, 'fatal']);
});

describe('a server could start', () => {
  test('from the beginning of a whole log, up to the version of its data', async (t) => {
    const { starts, finding } = await judge(t, {});
    assert.deepEqual(starts.slice(1), [
      'the beginning of the log',
      'the beginning of the log',
      'the beginning of the log',
    ]);
    assert.equal(finding, undefined);
  });

  test('from data of 3.7, unless it is older', async (t) => {
    const { starts, finding } = await judge(t, { database: schema('3.7.0', '3.7.0') });
    assert.match(starts[2]!, /storage version is 3\.7\.0/);
    assert.equal(starts[3], 'the beginning of the log');
    assert.equal(finding, undefined);
  });

  test('of 3.6, when its cluster version is written and the storage version is not yet', async (t) => {
    const { finding } = await judge(t, { database: schema(undefined, '3.6.0') });
    assert.equal(finding, undefined);
  });
});

describe('a server could not start', () => {
  test('of its own version, but a newer one could: something is lost', async (t) => {
    const { starts, finding } = await judge(t, PURGED, true);
    assert.match(starts[2]!, /it would read the log from 0, but the oldest segment begins at 12/);
    assert.equal(starts[3], 'the snapshot at 15');
    assert.match(
      finding ?? '',
      /^lossy: etcd 3\.6 cannot start: it would read the log from 0.* \(3\.7 could\)$/,
    );
  });

  test('of any version', async (t) => {
    const { starts, finding } = await judge(t, { log: { cutAt: 12 } }, true);
    assert.ok(starts.every((start) => /the oldest segment begins at 12/.test(start)));
    assert.match(finding ?? '', /^fatal: no server can start: it would read/);
  });

  test('from data of a version this build does not know', async (t) => {
    const { finding } = await judge(t, { database: schema('3.9.0', '3.9.0') });
    assert.match(finding ?? '', /^lossy: etcd 3\.7 cannot start: the storage version is 3\.9\.0/);
  });
});
