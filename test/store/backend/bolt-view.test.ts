import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { MemorySource } from '../../../src/bytes/source.ts';
import { CorruptError } from '../../../src/errors.ts';
import { BoltView } from '../../../src/store/backend/bolt-view.ts';
import type { ScanRange } from '../../../src/store/backend/backend.ts';
import { unpackSparsely } from '../../check/directories.ts';
import { boltFile, latin1, readBolt } from '../../support/bolt-spec.ts';
import { readFixture, VERSIONS } from '../../support/fixtures.ts';
import { buildDatabase, openBytes, type Pair, text } from '../database-builder.ts';

type Row = [key: string, value: string];

const viewOf = (content: Uint8Array): BoltView => new BoltView(new MemorySource(content, 'test.db'));

/** The first `count` rows; all unless given. */
function scan(view: BoltView, bucket: string, range: ScanRange = {}, count = Infinity): Row[] {
  const rows: Row[] = [];
  for (const { key, value } of view.scan(bucket, range)) {
    rows.push([latin1(key), latin1(value)]);
    if (rows.length === count) break;
  }
  return rows;
}

/** Sees to it that every key, and what lies right before and behind it, bounds a scan as it does a list. */
function assertLikeList(view: BoltView, bucket: string, rows: readonly Row[]): void {
  assert.deepEqual(scan(view, bucket), rows);
  const keys = rows.map(([key]) => key);
  for (const [i, [key, value]] of rows.entries()) {
    assert.equal(latin1(view.get(bucket, text(key))!), value, `get ${i}`);
    assert.equal(view.get(bucket, text(`${key}\0`)), undefined, `get behind ${i}`);
    const few = (range: ScanRange): Row[] => scan(view, bucket, range, 3);
    assert.deepEqual(few({ from: text(key) }), rows.slice(i, i + 3), `from ${i}`);
    assert.deepEqual(few({ from: text(`${key}\0`) }), rows.slice(i + 1, i + 4), `from behind ${i}`);
    const to = keys[i + 2] ?? '\xff\xff\xff';
    const between = { from: text(key), to: text(to) };
    assert.deepEqual(scan(view, bucket, between), rows.slice(i, i + 2), `from ${i} to its second next`);
    assert.deepEqual(
      scan(view, bucket, { from: text(key), to: text(`${key}\0`) }),
      [[key, value]],
      `only ${i}`,
    );
    assert.deepEqual(scan(view, bucket, { from: text(key), to: text(key) }), [], `from ${i} to itself`);
  }
  for (const at of [0, 1, Math.floor(rows.length / 2), rows.length - 1].filter((i) => keys[i] !== undefined))
    assert.deepEqual(scan(view, bucket, { to: text(keys[at]!) }), rows.slice(0, at), `to ${at}`);
}

describe('what real etcd wrote', () => {
  const files: Array<[name: string, read: () => Uint8Array]> = [
    ...VERSIONS.map((version): [string, () => Uint8Array] => [
      `snap-${version}.db`,
      () => readFixture(`snap/snap-${version}.db`).subarray(0, -32),
    ]),
    ['ps1024.db', () => readFileSync(unpackedFile('bbolt/ps1024.db.gz'))],
  ];
  for (const [name, read] of files) {
    test(name, () => {
      const content = read();
      const view = viewOf(content);
      const { buckets } = readBolt(new MemorySource(content));
      assert.ok(buckets.size > 0);
      for (const [bucket, { pairs }] of buckets) assertLikeList(view, bucket, [...pairs].slice(0, 2000));
    });
  }
});

function unpackedFile(path: string): string {
  return unpackSparsely(path);
}

describe('built databases', () => {
  const rowsOf = (count: number, sizeOf: (i: number) => number): Row[] =>
    Array.from({ length: count }, (_, i) => [
      `key/${String(i).padStart(5, '0')}/${'k'.repeat(40)}`,
      'v'.repeat(sizeOf(i)),
    ]);
  const pairsOf = (rows: readonly Row[]): Pair[] => rows.map(([key, value]) => [text(key), text(value)]);

  const cases: Array<[what: string, rows: Row[]]> = [
    ['no row', []],
    ['an inline bucket', rowsOf(3, () => 5)],
    ['one page', rowsOf(10, () => 10)],
    ['several levels of small pages', rowsOf(3000, (i) => i % 40)],
    ['long values between short ones', rowsOf(200, (i) => (i % 7 === 0 ? 5000 : i % 3))],
  ];
  for (const [what, rows] of cases) {
    test(what, () => {
      const content = buildDatabase({ buckets: { lease: pairsOf(rows) }, pageSize: 1024 });
      assertLikeList(viewOf(content), 'lease', rows);
    });
  }

  test('several levels are what they are called', () => {
    const rows = rowsOf(3000, (i) => i % 40);
    const file = openBytes(buildDatabase({ buckets: { lease: pairsOf(rows) }, pageSize: 1024 }));
    const leaves = file.leaves(file.bucket('lease')!);
    leaves.next();
    assert.ok('depth' in leaves && Number(leaves.depth) >= 3);
  });

  test('a bucket that is missing has no rows', () => {
    const view = viewOf(buildDatabase({ buckets: { auth: undefined } }));
    for (const bucket of ['auth', 'never']) {
      assert.equal(view.get(bucket, text('a')), undefined);
      assert.deepEqual(scan(view, bucket), []);
      assert.deepEqual(scan(view, bucket, { from: text('a'), to: text('b') }), []);
    }
  });

  test('a row is valid until the next one, whatever else is read meanwhile', () => {
    const rows = rowsOf(300, (i) => i % 40);
    const view = viewOf(
      buildDatabase({ buckets: { lease: pairsOf(rows), auth: pairsOf(rows) }, pageSize: 1024 }),
    );
    const seen: Row[] = [];
    for (const { key, value } of view.scan('lease')) {
      const other = rows[(seen.length * 101) % rows.length]!;
      assert.equal(latin1(view.get('auth', text(other[0]))!), other[1]);
      assert.deepEqual(scan(view, 'lease', { from: text(other[0]) }, 1), [other]);
      seen.push([latin1(key), latin1(value)]);
    }
    assert.deepEqual(seen, rows);
  });

  test('a value that was given stays', () => {
    const rows = rowsOf(300, (i) => i % 40);
    const view = viewOf(buildDatabase({ buckets: { lease: pairsOf(rows) }, pageSize: 1024 }));
    const values = rows.map(([key]) => view.get('lease', text(key))!);
    assert.deepEqual(
      values.map(latin1),
      rows.map(([, value]) => value),
    );
  });
});

test('ranges that begin and end between pages', () => {
  const content = boltFile({
    root: 2,
    pages: {
      2: { leaf: [{ bucket: 'b', root: 3 }] },
      3: {
        branch: [
          ['c', 4],
          ['m', 5],
        ],
      },
      4: {
        leaf: [
          ['c', '1'],
          ['d', '2'],
        ],
      },
      5: {
        leaf: [
          ['m', '3'],
          ['o', '4'],
        ],
      },
    },
  });
  const view = viewOf(content);
  const cases: Array<[range: [from?: string, to?: string], keys: string]> = [
    [[], 'cdmo'],
    [['a'], 'cdmo'],
    [['c'], 'cdmo'],
    [['c\0'], 'dmo'],
    [['d\0'], 'mo'],
    [['m'], 'mo'],
    [['n'], 'o'],
    [['p'], ''],
    [['a', 'c'], ''],
    [['a', 'm'], 'cd'],
    [['e', 'm'], ''],
    [['e', 'o'], 'm'],
    [['z', 'a'], ''],
  ];
  for (const [[from, to], keys] of cases) {
    const found = scan(view, 'b', { from: from && text(from), to: to && text(to) } as ScanRange);
    assert.equal(found.map(([key]) => key).join(''), keys, `from ${from} to ${to}`);
  }
  for (const key of ['a', 'e', 'n', 'z']) assert.equal(view.get('b', text(key)), undefined, key);
  assert.equal(latin1(view.get('b', text('o'))!), '4');
});

describe('damage is thrown when it is met', () => {
  const DAMAGED_PAGE = 5;
  const spec = (page: object): Uint8Array =>
    boltFile({
      root: 2,
      pages: {
        2: {
          leaf: [
            { bucket: 'b', root: 3 },
            { bucket: 'sound', inline: [['a', '1']] },
          ],
        },
        3: {
          branch: [
            ['a', 4],
            ['m', DAMAGED_PAGE],
            ['x', 6],
          ],
        },
        4: { leaf: [['a', '1']] },
        [DAMAGED_PAGE]: { leaf: [['m', '2']], ...page },
        6: { leaf: [['x', '3']] },
      },
    });

  const cases: Array<[what: string, page: object, code: string]> = [
    ['another page in its place', { id: 9 }, 'bolt.page.id'],
    ['a page of another type', { flags: 0x10 }, 'bolt.page.flags'],
    ['more elements than it has', { count: 2000 }, 'bolt.page.element'],
    ['an element more than it has', { count: 2 }, 'bolt.page.element'],
    [
      'keys out of order',
      {
        leaf: [
          ['n', ''],
          ['m', ''],
        ],
      },
      'bolt.page.order',
    ],
    ['keys of another page', { leaf: [['y', '']] }, 'bolt.page.ancestor'],
    ['overflow beyond the file', { overflow: 900 }, 'bolt.page.bounds'],
  ];
  for (const [what, page, code] of cases) {
    test(what, () => {
      const view = viewOf(spec(page));
      const isDamage = (error: unknown): boolean => {
        assert.ok(error instanceof CorruptError, String(error));
        assert.equal(error.code, code);
        return true;
      };
      assert.throws(() => scan(view, 'b'), isDamage);
      assert.throws(() => scan(view, 'b', { from: text('n') }), isDamage);
      assert.throws(() => view.get('b', text('n')), isDamage);
      assert.deepEqual(scan(view, 'b', {}, 1), [['a', '1']]);
      assert.deepEqual(scan(view, 'b', { from: text('x') }), [['x', '3']]);
      assert.equal(latin1(view.get('b', text('x'))!), '3');
      assert.deepEqual(scan(view, 'sound'), [['a', '1']]);
    });
  }

  test('an inline bucket', () => {
    const content = spec({});
    const at = Buffer.from(content.buffer).indexOf(Buffer.from('sound')) + 'sound'.length + 16;
    content[at + 8] = 0x01;
    const view = viewOf(content);
    assert.throws(() => scan(view, 'sound'), { code: 'bolt.bucket' });
    assert.throws(() => view.get('sound', text('a')), { code: 'bolt.bucket' });
    assert.equal(scan(view, 'b').length, 3);
  });

  test('a file that is none', () => {
    assert.throws(() => viewOf(new Uint8Array(8192)), CorruptError);
  });
});
