import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Pacer } from '../../src/bytes/pacer.ts';
import {
  accountDatabase,
  type DatabaseSinks,
  type DatabaseWalk,
  splitByLayer,
  walkDatabase,
} from '../../src/check/database.ts';
import type { Finding } from '../../src/errors.ts';
import { MemorySource } from '../../src/bytes/source.ts';
import { BoltFile } from '../../src/format/bolt/file.ts';
import { generateDatabase } from '../fuzz/generated-database.ts';
import {
  buildDatabase,
  bump,
  deletion,
  metaRows,
  openBytes,
  type Pair,
  put,
  text,
} from '../store/database-builder.ts';
import { boltFile } from '../support/bolt-spec.ts';
import { readFixture, VERSIONS } from '../support/fixtures.ts';
import { Random } from '../support/mutate.ts';

interface Walked {
  walk: DatabaseWalk;
  pages: Finding[];
  content: Finding[];
  schema: Finding[];
}

async function walk(bytes: Uint8Array, over: Partial<DatabaseSinks> = {}): Promise<Walked> {
  const found = { pages: [] as Finding[], content: [] as Finding[], schema: [] as Finding[] };
  const sinks: DatabaseSinks = {
    pages: (finding) => found.pages.push(finding),
    content: (finding) => found.content.push(finding),
    schema: (finding) => found.schema.push(finding),
    ...over,
  };
  const bolt = new BoltFile(new MemorySource(bytes, 'test.db'), { report: splitByLayer(sinks) });
  return { walk: await walkDatabase(bolt, sinks, new Pacer()), ...found };
}

const RECORDS: Pair[] = [put(2, 'a'), put(3, 'b'), deletion(4, 'a'), put(5, 'c')];

describe('the walk', () => {
  test('hands keys to the history, leases to their set, all other rows on', async () => {
    const { walk: found, pages, content, schema } = await walk(buildDatabase({ records: RECORDS }));
    assert.deepEqual([pages, content, schema], [[], [], []]);
    assert.equal(found.history!.recordCount, 4);
    assert.equal(found.recordCount, 4 + 4 + 1 + 1);
    assert.equal(found.rows.get('meta')!.length, 4);
    assert.equal(found.rows.get('members')!.length, 1);
    assert.deepEqual([...found.rows.keys()].sort(), [
      'alarm',
      'auth',
      'authRoles',
      'authUsers',
      'cluster',
      'members',
      'members_removed',
      'meta',
    ]);
  });

  test('does not look at records when content is not asked for', async () => {
    const { walk: found, content } = await walk(buildDatabase({ records: [[text('nonsense'), text('x')]] }), {
      content: undefined,
    });
    assert.equal(found.history, undefined);
    assert.deepEqual(content, []);
  });

  const layers: Array<
    [layer: 'pages' | 'content' | 'schema', code: string, spec: Parameters<typeof buildDatabase>[0]]
  > = [
    ['content', 'mvcc.revision-key', { records: [[text('nonsense'), text('x')]] }],
    ['content', 'mvcc.compaction', { buckets: { meta: metaRows({ scheduledCompactRev: text('7') }) } }],
    ['schema', 'schema.lease', { buckets: { lease: [[text('short'), text('')]] } }],
  ];
  for (const [layer, code, spec] of layers) {
    test(`gives ${code} to the layer ${layer}`, async () => {
      const found = await walk(buildDatabase(spec));
      const codes = { pages: found.pages, content: found.content, schema: found.schema };
      for (const [name, findings] of Object.entries(codes)) {
        assert.deepEqual(
          findings.map((finding) => finding.code),
          name === layer ? [code] : [],
          name,
        );
      }
    });
  }

  test('a mark that does not decode says nothing about the history', async () => {
    const records = [put(90, 'a', { createRevision: 7, version: 3 })];
    const { content } = await walk(
      buildDatabase({ records, buckets: { meta: metaRows({ finishedCompactRev: text('7') }) } }),
    );
    assert.deepEqual(
      content.map(({ code }) => code),
      ['mvcc.compaction'],
    );
  });

  test('finds what etcd never makes: a sequence, a bucket in a bucket, a plain key in the root', async () => {
    const bytes = boltFile({
      root: 3,
      pages: {
        3: {
          leaf: [
            { bucket: 'auth', sequence: 5n, inline: [['a', 'b']] },
            { bucket: 'meta', root: 4 },
            ['plain', 'x'],
          ],
        },
        4: { leaf: [{ bucket: 'inner', inline: [['a', 'b']] }] },
      },
    });
    const { pages } = await walk(bytes);
    assert.deepEqual(
      pages.map(({ message }) => message),
      [
        'the root holds a plain key, "plain"',
        'bucket auth has sequence 5, but etcd never sets one',
        'bucket meta holds a bucket, which etcd never makes',
      ],
    );
    assert.ok(pages.every(({ code, severity }) => code === 'bolt.bucket' && severity === 'lossy'));
  });

  test('tells the history that pages were lost, before them, between them and behind them', async () => {
    const records = Array.from({ length: 200 }, (_, i) => put(i + 2, `key-${i}`));
    const sound = buildDatabase({ records, pageSize: 1024 });
    const whole = openBytes(sound);
    const leaves = whole.leaves(whole.bucket('key')!);
    const ids: number[] = [];
    for (let leaf = leaves.next(); leaf; leaf = leaves.next()) ids.push(leaf.id);
    assert.ok(ids.length > 5);
    for (const id of [ids[0]!, ids[3]!, ids.at(-1)!]) {
      const bytes = sound.slice().fill(0, id * 1024, (id + 1) * 1024);
      const { walk: found, pages, content } = await walk(bytes);
      assert.equal(found.history!.isIncomplete, true);
      assert.ok(pages.some(({ where }) => where.unit === `page ${id}`));
      assert.deepEqual(content, [], 'gaps are no findings of their own');
    }
  });
});

describe('every byte is accounted for', () => {
  const generated = (pageSize: number, freePages: number): Uint8Array =>
    generateDatabase(new Random(pageSize), { pageSize, keys: 40, changes: 300, freePages });
  const cases: Array<[what: string, bytes: () => Uint8Array]> = [
    ['an empty database', () => buildDatabase()],
    ['a bumped one', () => buildDatabase({ records: [put(2, 'a'), bump(1002)] })],
    ['pages of 1 KiB, with a stored freelist', () => generated(1024, 30)],
    ['pages of 16 KiB, with long values', () => generated(16384, 0)],
    ...VERSIONS.map((version): [string, () => Uint8Array] => [
      `snap-${version}`,
      () => readFixture(`snap/snap-${version}.db`).subarray(0, -32),
    ]),
  ];
  for (const [what, make] of cases) {
    test(what, async () => {
      const bytes = make();
      const whole = (await walk(bytes)).walk;
      for (const extra of [0, 100, 1 << 20]) {
        const lines = accountDatabase(whole, bytes.length + extra);
        assert.equal(sum(lines), bytes.length + extra);
        assert.ok(lines.every((line) => line.bytes > 0));
        const preallocated = lines.filter(({ what: name }) => name === 'preallocated');
        assert.equal(sum(preallocated), bytes.length + extra - whole.bolt.sizeBytes);
      }
    });
  }

  test('line by line', async () => {
    const bytes = generated(1024, 30);
    const whole = (await walk(bytes)).walk;
    const lines = Object.fromEntries(accountDatabase(whole, bytes.length).map((line) => [line.what, line]));
    assert.equal(lines['meta pages']!.bytes, 2048);
    assert.equal(lines['freelist']!.bytes, 1024);
    assert.equal(lines['free pages']!.bytes, 30 * 1024);
    assert.equal(lines['free pages']!.status, 'skipped');
    assert.equal(lines['branch pages']!.status, 'checked');
    assert.equal(
      lines['leaf pages']!.bytes,
      bytes.length - 2048 - 1024 - 30 * 1024 - lines['branch pages']!.bytes,
    );
  });

  test('also when the file ends too early', async () => {
    const bytes = generated(1024, 0);
    for (const size of [3000, 1024 * 20 + 7, bytes.length - 1]) {
      const cut = (await walk(bytes.subarray(0, size))).walk;
      const lines = accountDatabase(cut, size);
      assert.equal(sum(lines), size);
      // What lies behind a page that is gone is not called free.
      assert.ok(cut.incomplete.size > 0, `${size}`);
      assert.ok(!lines.some(({ what }) => what === 'free pages'));
    }
  });
});

test('a layer is incomplete when it may have more in pages that were lost', async () => {
  const snap = readFixture('snap/snap-3.6.db').subarray(0, -32);
  const bolt = new BoltFile(new MemorySource(snap));
  const { pageSize } = bolt.live;
  const without = async (id?: number): Promise<string[]> => {
    const bytes = Buffer.from(snap);
    if (id !== undefined) bytes.fill(0xff, id * pageSize, id * pageSize + 16);
    return [...(await walk(bytes)).walk.incomplete];
  };
  assert.deepEqual(await without(), []);
  assert.deepEqual(await without(bolt.bucket('key')!.root), ['content']);
  assert.deepEqual(await without(bolt.live.root), ['content', 'schema']);
});

const sum = (lines: ReadonlyArray<{ bytes: number }>): number =>
  lines.reduce((total, { bytes }) => total + bytes, 0);
