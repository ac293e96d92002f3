import assert from 'node:assert/strict';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { realDisk } from '../../src/bytes/disk.ts';
import { Pacer } from '../../src/bytes/pacer.ts';
import { MemorySource } from '../../src/bytes/source.ts';
import { CorruptError, RefusedError } from '../../src/errors.ts';
import { encodeMember, type Member } from '../../src/format/proto/member-json.ts';
import { CONF_CHANGE_TYPE, confChange, ENTRY_TYPE } from '../../src/format/proto/raftpb.ts';
import { internalRaftRequest } from '../../src/format/proto/rpcpb.ts';
import { listSegments } from '../../src/format/wal/log.ts';
import { formatSegmentName } from '../../src/format/wal/name.ts';
import { SegmentWriter } from '../../src/format/wal/writer.ts';
import { BoltView } from '../../src/store/backend/bolt-view.ts';
import { Overlay } from '../../src/store/backend/overlay.ts';
import { valueOf } from '../../src/store/mvcc/key-value.ts';
import { KeyValues, rangeOf } from '../../src/store/mvcc/key-values.ts';
import { type Replay, replayLog } from '../../src/store/replay.ts';
import { encodeIndex, indexOf } from '../../src/store/schema/rows.ts';
import { unpackSparsely } from '../check/directories.ts';
import { hurry } from '../check/writer.ts';
import { latin1 } from '../support/bolt-spec.ts';
import { readFixture } from '../support/fixtures.ts';
import { scratch } from '../support/scratch.ts';
import { buildDatabase, MEMBER, memberRow, metaRows, put, text } from './database-builder.ts';

type HexRow = [key: string, value: string];

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('a log with every kind of request, as the server applied it', () => {
  /** Of the server's start itself: it published its URL and began a term. By bucket and key, in this order. */
  const ofStart: Array<[bucket: string, key: RegExp, here: RegExp, there: RegExp]> = [
    ['members', /^[0-9a-f]{15,16}$/, /"clientURLs":\["[^"]+"\]/, /"clientURLs":\["[^"]+"\]/],
    ['meta', /^consistent_index$/, /^0{14}3d$/, /^0{14}40$/],
    ['meta', /^term$/, /^0{15}2$/, /^0{15}3$/],
  ];

  for (const version of ['3.5', '3.6', '3.7']) {
    test(`of ${version}`, async () => {
      const directory = unpackSparsely(`tail/tail-before-${version}.tar.gz`);
      const member = join(directory, 'member');
      const { buckets } = JSON.parse(readFixture(`tail/tail-after-buckets-${version}.json`).toString()) as {
        buckets: Record<string, HexRow[]>;
      };
      const overlay = new Overlay(
        new BoltView(new MemorySource(readFileSync(join(member, 'snap', 'db')), 'db')),
      );
      const from = indexOf(overlay.get('meta', text('consistent_index'))!, 'consistent_index');
      const { segments } = listSegments(join(member, 'wal'));
      const replay = await replayLog(overlay, segments, { hasTerm: true, pacer: new Pacer() });

      const found: Record<string, HexRow[]> = {};
      for (const bucket of Object.keys(buckets))
        found[bucket] = [...overlay.scan(bucket)].map(({ key, value }) => [hex(key), hex(value)]);
      const differing = Object.keys(buckets).flatMap((bucket) =>
        differences(found[bucket]!, buckets[bucket]!).map((row) => ({ bucket, ...row })),
      );
      assert.deepEqual(
        differing.map(({ bucket }) => bucket),
        ofStart.map(([bucket]) => bucket),
      );
      for (const [i, [, key, here, there]] of ofStart.entries()) {
        const row = differing[i]!;
        assert.match(row.key, key);
        assert.match(row.here, here);
        assert.match(row.there, there);
        assert.equal(row.here.replace(here, ''), row.there.replace(there, ''));
      }

      assert.deepEqual([replay.from, replay.to, replay.lastIndex, replay.revision], [from, 61, 61, 25]);
      assert.ok(replay.revisionBefore < 25);
      assert.deepEqual(
        replay.rejected.map(({ index, what, reason }) => `${index} ${what}: ${reason.replace(/^.*: /, '')}`),
        ['33 put: requested lease not found', '55 put: permission denied'],
      );
      assert.equal(
        [...replay.counts.values()].reduce((sum, count) => sum + count, 0),
        61 - from,
      );
    });
  }
});

/** Rows that are not the same in both, numbers as hex. */
function differences(
  a: readonly HexRow[],
  b: readonly HexRow[],
): Array<{ key: string; here: string; there: string }> {
  const [left, right] = [new Map(a), new Map(b)];
  const textOf = (row = ''): string => Buffer.from(row, 'hex').toString('latin1');
  const shown = (value: string | undefined): string => (value?.length === 16 ? value : textOf(value));
  return [...new Set([...left.keys(), ...right.keys()])]
    .filter((key) => left.get(key) !== right.get(key))
    .sort()
    .map((key) => ({ key: textOf(key), here: shown(left.get(key)), there: shown(right.get(key)) }));
}

/** Of the databases below: they have applied so many entries, and these are not in the log's way. */
const APPLIED = 20;
const OTHER: Member = { ...MEMBER, id: 2n, peerUrls: ['http://127.0.0.1:2382'], name: 'other' };
const LEARNER: Member = { ...OTHER, isLearner: true };

interface LogEntry {
  index: number;
  term?: number;
  type?: number;
  data?: Uint8Array;
}

interface Situation {
  members?: readonly Member[];
  nodeId?: bigint;
  /** As given by {@link puts} and others. */
  entries: readonly LogEntry[];
  commit?: number;
  /** Index where a second segment begins. */
  cutAt?: number;
  hasTerm?: boolean;
}

/** `from` to `to`, each of which puts a key of its own, `k21`, with its term as value. */
function puts(from: number, to: number, term = 2): LogEntry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => {
    const index = from + i;
    const request = { header: { id: 7n }, put: { key: text(`k${index}`), value: text(`term ${term}`) } };
    return { index, term, data: internalRaftRequest.encode(request) };
  });
}

function change(index: number, type: number, member: Member): LogEntry {
  const context = type === CONF_CHANGE_TYPE.removeNode ? undefined : encodeMember(member);
  return {
    index,
    type: ENTRY_TYPE.confChange,
    data: confChange.encode({ id: 9n, type, nodeId: member.id, context }),
  };
}

/** Gives the directory of the log. */
function writeLog(directory: string, { entries, nodeId = MEMBER.id, commit = 0, cutAt }: Situation): string {
  let sequence = 0;
  const begin = (index: number, crc: number): SegmentWriter => {
    const path = join(directory, formatSegmentName({ sequence: sequence++, index }));
    const options = { zeros: 'write', preallocateBytes: 0, crc } as const;
    return SegmentWriter.create(realDisk(), path, options).metadata({ nodeId, clusterId: 5n });
  };
  const first = entries[0]?.index ?? 1;
  let writer = begin(first - 1, 0).snapshot({ index: first - 1, term: first > 1 ? 2 : 0 });
  writer.state({ term: 2, vote: nodeId, commit });
  for (const { index, term = 2, type = ENTRY_TYPE.normal, data } of entries) {
    if (index === cutAt) {
      writer.close();
      writer = begin(index, writer.crc).state({ term: 2, vote: nodeId, commit });
    }
    writer.entry({ index, term, type, data });
  }
  writer.close();
  return directory;
}

function openBackend({ members = [MEMBER] }: Situation): Overlay {
  const meta = metaRows({ consistent_index: encodeIndex(APPLIED) });
  const buckets = { meta, members: members.map(memberRow) };
  return new Overlay(new BoltView(new MemorySource(buildDatabase({ records: [put(2, 'a')], buckets }))));
}

interface Replayed {
  replay: Replay;
  overlay: Overlay;
  /** Keys with their values, but for the one that was there. */
  keys: string;
}

async function run(
  overlay: Overlay,
  directory: string,
  { hasTerm = true, pacer = new Pacer() }: { hasTerm?: boolean | undefined; pacer?: Pacer } = {},
): Promise<Replayed> {
  const replay = await replayLog(overlay, listSegments(directory).segments, { hasTerm, pacer });
  const all = (await KeyValues.open(overlay, new Pacer())).range(rangeOf(text('k'), text('\0')));
  const pairs = all.map(({ key, bytes }) => `${key} ${latin1(valueOf(bytes))}`);
  return { replay, overlay, keys: pairs.join(', ') };
}

function replayed(t: TestContext, situation: Situation): Promise<Replayed> {
  return run(openBackend(situation), writeLog(scratch(t), situation), { hasTerm: situation.hasTerm });
}

const range = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, i) => `k${from + i} term 2`).join(', ');

describe('which entries are applied', () => {
  const two = [MEMBER, OTHER];
  const cases: Array<[what: string, situation: Situation, to: number]> = [
    ['one voter: all', { entries: puts(1, 25), commit: 22 }, 25],
    ['one voter: all, though none is known to be committed', { entries: puts(1, 25) }, 25],
    ['one voter and a learner: all', { members: [MEMBER, LEARNER], entries: puts(1, 25), commit: 22 }, 25],
    ['two voters: the committed', { members: two, entries: puts(1, 25), commit: 22 }, 22],
    ['two voters: none beyond the database', { members: two, entries: puts(1, 25), commit: 18 }, APPLIED],
    ['two voters: as many as there are', { members: two, entries: puts(1, 25), commit: 30 }, 25],
    ['the log of another member: the committed', { nodeId: 2n, entries: puts(1, 25), commit: 23 }, 23],
    [
      'the log of the learner: the committed',
      { members: [MEMBER, LEARNER], nodeId: 2n, entries: puts(1, 25), commit: 23 },
      23,
    ],
    ['the log begins behind the database', { entries: puts(21, 25) }, 25],
    ['the log begins within the database', { entries: puts(15, 25) }, 25],
    ['the log ends with the database', { entries: puts(1, 20), commit: 20 }, APPLIED],
    ['the log ends before the database', { entries: puts(1, 15), commit: 15 }, APPLIED],
    ['the log lies long before the database', { entries: puts(3, 5), commit: 5 }, APPLIED],
    ['the log is empty', { entries: [] }, APPLIED],
    ['two segments', { entries: puts(1, 25), cutAt: 23 }, 25],
    ['two segments, of which the first is applied', { entries: puts(1, 25), cutAt: 18 }, 25],
    ['two segments, two voters', { members: two, entries: puts(1, 25), cutAt: 23, commit: 23 }, 23],
  ];
  for (const [what, situation, to] of cases) {
    test(what, async (t) => {
      const { replay, overlay, keys } = await replayed(t, situation);
      const count = to - APPLIED;
      assert.equal(keys, range(APPLIED + 1, to));
      assert.deepEqual(replay, {
        from: APPLIED,
        to,
        counts: new Map(count > 0 ? [['put', count]] : []),
        rejected: [],
        lastIndex: situation.entries.at(-1)?.index ?? APPLIED,
        revisionBefore: 2,
        revision: 2 + count,
      });
      assert.equal(indexOf(overlay.get('meta', text('consistent_index'))!, 'consistent_index'), to);
    });
  }

  test('a voter that is added among the committed ends it with them', async (t) => {
    const entries = [change(21, CONF_CHANGE_TYPE.addNode, OTHER), ...puts(22, 25)];
    const { replay, keys } = await replayed(t, { entries, commit: 23 });
    assert.deepEqual([replay.to, replay.lastIndex, keys], [23, 25, range(22, 23)]);
    assert.deepEqual(replay.counts, new Map(Object.entries({ confChange: 1, put: 2 })));
  });

  test('a voter that is removed among the committed leaves one', async (t) => {
    const entries = [change(21, CONF_CHANGE_TYPE.removeNode, OTHER), ...puts(22, 25)];
    const { replay, keys } = await replayed(t, { members: two, entries, commit: 22 });
    assert.deepEqual([replay.to, keys], [25, range(22, 25)]);
  });

  test('a voter whose removal is not known to be committed still counts', async (t) => {
    const entries = [...puts(21, 22), change(23, CONF_CHANGE_TYPE.removeNode, OTHER), ...puts(24, 25)];
    const { replay, keys } = await replayed(t, { members: two, entries, commit: 22 });
    assert.deepEqual([replay.to, replay.lastIndex, keys], [22, 25, range(21, 22)]);
  });
});

describe('entries of another leader', () => {
  const cases: Array<[what: string, situation: Situation, to: number, keys: string]> = [
    [
      'replace those from theirs on',
      { entries: [...puts(1, 24), ...puts(22, 23, 3)] },
      23,
      'k21 term 2, k22 term 3, k23 term 3',
    ],
    [
      'replace those of another segment',
      { entries: [...puts(1, 24), ...puts(22, 22, 3)], cutAt: 24 },
      22,
      'k21 term 2, k22 term 3',
    ],
    [
      'are replaced in turn',
      { entries: [...puts(1, 24), ...puts(22, 25, 3), ...puts(23, 23, 4)] },
      23,
      'k21 term 2, k22 term 3, k23 term 4',
    ],
    ['replace all behind the database', { entries: [...puts(1, 24), ...puts(21, 21, 3)] }, 21, 'k21 term 3'],
    [
      'begin within what the database has applied',
      { entries: [...puts(1, 24), ...puts(19, 22, 3)] },
      22,
      'k21 term 3, k22 term 3',
    ],
    [
      'end before what the database has applied',
      { entries: [...puts(1, 24), ...puts(18, 19, 3)] },
      APPLIED,
      '',
    ],
    [
      'count as far as they are committed',
      { members: [MEMBER, OTHER], entries: [...puts(1, 24), ...puts(22, 24, 3)], commit: 23 },
      23,
      'k21 term 2, k22 term 3, k23 term 3',
    ],
  ];
  for (const [what, situation, to, expected] of cases) {
    test(what, async (t) => {
      const { replay, keys } = await replayed(t, situation);
      assert.deepEqual([replay.to, keys], [to, expected]);
      assert.equal(replay.lastIndex, situation.entries.at(-1)!.index);
      assert.equal(replay.revision, 2 + Math.max(0, to - APPLIED));
    });
  }
});

test('the term of the last entry is kept where the schema has one', async (t) => {
  const entries = [...puts(1, 21), ...puts(22, 22, 3)];
  for (const [hasTerm, term] of [
    [true, 3],
    [false, 2],
  ] as const) {
    const { overlay } = await replayed(t, { entries, hasTerm });
    assert.equal(indexOf(overlay.get('meta', text('term'))!, 'term'), term);
  }
});

test('a request that is refused counts as applied, and is told, but for one that only asks', async (t) => {
  const lease = internalRaftRequest.encode({ header: { id: 7n }, leaseRevoke: { id: 8n } });
  const question = internalRaftRequest.encode({ header: { id: 8n }, authUserGet: { name: 'nobody' } });
  const odd = [lease, question].map((data, i) => ({ index: 22 + i, data }));
  const { replay, keys } = await replayed(t, { entries: [...puts(1, 21), ...odd, ...puts(24, 24)] });
  const [told, ...others] = replay.rejected;
  assert.deepEqual([told!.index, told!.what, others], [22, 'leaseRevoke', []]);
  assert.match(told!.reason, /requested lease not found/);
  assert.deepEqual(replay.counts, new Map(Object.entries({ put: 2, leaseRevoke: 1, authUserGet: 1 })));
  assert.deepEqual([replay.to, replay.revision, keys], [24, 4, 'k21 term 2, k24 term 2']);
});

describe('refuses', () => {
  const cases: Array<[what: string, situation: Situation]> = [
    ['a log that begins too late', { entries: puts(23, 25), commit: 25 }],
    ['one that misses one entry', { entries: puts(22, 25), commit: 25 }],
    ['one of several voters, with nothing committed', { members: [MEMBER, OTHER], entries: puts(22, 25) }],
  ];
  for (const [what, situation] of cases) {
    test(what, async (t) => {
      const overlay = openBackend(situation);
      const directory = writeLog(scratch(t), situation);
      await assert.rejects(run(overlay, directory), (error) => {
        assert.ok(error instanceof RefusedError);
        assert.equal(error.code, 'log.start');
        assert.match(
          error.message,
          new RegExp(`entry 20, but the log begins with ${situation.entries[0]!.index}`),
        );
        assert.equal(error.where?.file, listSegments(directory).segments[0]!.path);
        return true;
      });
      assert.equal(overlay.edits().size, 0);
    });
  }
});

describe('a log that is not whole', () => {
  const lastSegment = (directory: string): string => listSegments(directory).segments.at(-1)!.path;

  test('a torn tail is as if it were not there', async (t) => {
    const situation = { entries: puts(1, 25) };
    const directory = writeLog(scratch(t), situation);
    const path = lastSegment(directory);
    truncateSync(path, readFileSync(path).length - 8);
    const { replay, keys } = await run(openBackend(situation), directory);
    assert.deepEqual([replay.to, replay.lastIndex, keys], [24, 24, range(21, 24)]);
  });

  test('damage is thrown, and nothing was applied', async (t) => {
    const situation = { entries: puts(1, 25) };
    const directory = writeLog(scratch(t), situation);
    const path = lastSegment(directory);
    const content = readFileSync(path);
    content[content.indexOf('k23')]! ^= 1;
    writeFileSync(path, content);
    const overlay = openBackend(situation);
    await assert.rejects(
      run(overlay, directory),
      (error) => error instanceof CorruptError && error.code === 'wal.record.crc',
    );
    assert.equal(overlay.edits().size, 0);
  });

  test('an entry that no server could read is damage, and says where it lies', async (t) => {
    const situation = { entries: [...puts(1, 21), { index: 22, data: Uint8Array.of(0xff, 0xff) }] };
    const directory = writeLog(scratch(t), situation);
    await assert.rejects(run(openBackend(situation), directory), (error) => {
      assert.ok(error instanceof CorruptError);
      assert.deepEqual([error.code, error.where?.file], ['proto.malformed', lastSegment(directory)]);
      return true;
    });
  });
});

test('it stops when it is told to', async (t) => {
  const situation = { entries: puts(1, 25) };
  const directory = writeLog(scratch(t), situation);
  hurry(t);
  const pacer = new Pacer({ signal: AbortSignal.abort() });
  await assert.rejects(run(openBackend(situation), directory, { pacer }), { code: 'interrupted' });
});
