import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { LAYERS, type Layer, type VerifyReport } from '../../src/check/report.ts';
import { verify, type VerifyOptions } from '../../src/check/verify.ts';
import {
  buildDatabase,
  type DatabaseSpec,
  deletion,
  MEMBER,
  put,
  sealed,
  text,
} from '../store/database-builder.ts';
import { fixture, readFixture } from '../support/fixtures.ts';
import { scratch } from '../support/scratch.ts';
import { filesIn, plantMember, unchangedTree, unpackSparsely } from './directories.ts';
import { SOUND_INPUTS } from './sound-inputs.ts';
import { commit, hurry } from './writer.ts';

type Scope = Parameters<typeof scratch>[0];

function fileOf(t: Scope, bytes: Uint8Array): string {
  const path = join(scratch(t), 'test.db');
  writeFileSync(path, bytes);
  return path;
}

/** `layer code` of all findings. */
const codes = ({ findings }: VerifyReport): string[] => findings.map(({ layer, code }) => `${layer} ${code}`);

function assertSums(report: VerifyReport, totalBytes: number): void {
  assert.equal(report.totalBytes, totalBytes);
  assert.equal(
    report.bytes.reduce((sum, { bytes }) => sum + bytes, 0),
    totalBytes,
  );
}

describe('files and directories that real etcd wrote', () => {
  for (const { path, kind, notes } of SOUND_INPUTS) {
    test(`${path}: ${notes.length === 0 ? 'GOOD' : 'GOOD with notes'}`, async () => {
      const input = path.endsWith('.gz') ? unpackSparsely(path) : fixture(path);
      const report = await unchangedTree(input, () => verify(input));
      assert.deepEqual(codes(report), notes, report.findings.map(({ message }) => message).join('\n'));
      assert.ok(report.findings.every(({ severity }) => severity === 'note'));
      assert.deepEqual(
        [report.kind, report.verdict, report.damageCount],
        [kind, notes.length === 0 ? 'GOOD' : 'GOOD with notes', 0],
      );
      assertSums(report, filesIn(input).totalBytes);
      const layers = report.layers.filter(({ status }) => status === 'checked').map(({ layer }) => layer);
      assert.deepEqual(
        layers,
        LAYERS.filter((layer) => layer !== 'log' || kind === 'data directory'),
      );
    });
  }

  test('what is worth knowing stands in the facts', async () => {
    const { facts } = await verify(fixture('snap/snap-3.6.db'));
    const { revision, keys, compactRevision, members, leases, storageVersion, clusterVersion, pageSize } =
      facts;
    assert.deepEqual(
      { revision, keys, compactRevision, members, leases, storageVersion, clusterVersion, pageSize },
      {
        revision: 19,
        keys: 12,
        compactRevision: 12,
        members: 1,
        leases: 1,
        storageVersion: '3.6.0',
        clusterVersion: '3.6.0',
        pageSize: 4096,
      },
    );
  });
});

describe('the file layer', () => {
  const database = buildDatabase({ records: [put(2, 'a'), deletion(3, 'a')] });
  const page = 4096;
  const cases: Array<[what: string, bytes: () => Uint8Array, found: string[], message: RegExp]> = [
    [
      'a byte of the trailer',
      () => flip(sealed(database), database.length),
      ['file backup.digest'],
      /does not match the SHA-256/,
    ],
    [
      'a byte between pages',
      () => flip(sealed(database), 2 * page - 1),
      ['file backup.digest'],
      /does not match/,
    ],
    [
      'bytes between database and trailer',
      () => sealed(Buffer.concat([database, Buffer.alloc(512)])),
      ['file backup.size'],
      /512 bytes lie between/,
    ],
    [
      'a trailer cut in half',
      () => sealed(database).subarray(0, -16),
      ['file backup.size'],
      /ends 16 bytes into a page/,
    ],
  ];
  for (const [what, bytes, found, message] of cases) {
    test(what, async (t) => {
      const path = fileOf(t, bytes());
      const report = await verify(path);
      assert.deepEqual(codes(report), found);
      assert.match(report.findings[0]!.message, message);
      assert.deepEqual([report.verdict, report.damageCount], ['DAMAGED', 1]);
      assert.equal(report.findings[0]!.where.file, path);
      assertSums(report, bytes().length);
    });
  }

  test('a file that was cut says how much is missing, whatever else is found', async (t) => {
    const report = await verify(fileOf(t, database.subarray(0, database.length - page - 100)));
    const finding = report.findings.find(({ code }) => code === 'backup.size');
    assert.equal(finding!.severity, 'fatal');
    assert.match(finding!.message, new RegExp(`${page + 100} bytes are missing`));
    assertSums(report, database.length - page - 100);
  });

  test('a preallocated database is good', async (t) => {
    const report = await verify(fileOf(t, Buffer.concat([database, Buffer.alloc(10 * page)])));
    assert.equal(report.verdict, 'GOOD');
    assertSums(report, database.length + 10 * page);
  });
});

function flip(bytes: Uint8Array, offset: number): Uint8Array {
  return bytes.with(offset, bytes[offset]! ^ 1);
}

describe('layers', () => {
  /** One thing wrong in each layer. */
  const spec: DatabaseSpec = {
    records: [put(2, 'a', { modRevision: 1 })],
    buckets: { test: [[text('a'), text('b')]] },
  };
  const bytes = sealed(flip(buildDatabase(spec), 4096 + 16));
  bytes[bytes.length - 1]! ^= 1;
  const expected: Record<Layer, string[]> = {
    file: ['file backup.digest'],
    pages: ['pages bolt.meta.invalid'],
    content: ['content mvcc.mod-revision'],
    schema: ['schema schema.bucket'],
    log: [],
  };
  const combinations: Layer[][] = [
    ...LAYERS.map((layer) => [layer]),
    ['pages', 'schema'],
    ['content', 'file'],
    [...LAYERS],
  ];
  for (const layers of combinations) {
    test(layers.join(', '), async (t) => {
      const report = await verify(fileOf(t, bytes), { layers });
      const wanted = LAYERS.filter((layer) => layers.includes(layer)).flatMap((layer) => expected[layer]);
      // The file layer looks at the metas itself when nobody else does.
      const found = codes(report).filter((code) => code !== 'file bolt.meta.invalid');
      assert.deepEqual([...found].sort(), [...wanted].sort());
      assertSums(report, bytes.length);
      const checked = report.layers.filter(({ status }) => status === 'checked').map(({ layer }) => layer);
      assert.deepEqual(
        checked,
        LAYERS.filter((layer) => layers.includes(layer) && layer !== 'log'),
      );
    });
  }

  test('quick looks at the digest and the metas', async (t) => {
    const report = await verify(fileOf(t, bytes), { isQuick: true });
    assert.deepEqual(codes(report).sort(), ['file backup.digest', 'file bolt.meta.invalid']);
    assertSums(report, bytes.length);
    const good = await verify(fixture('snap/snap-3.6.db'), { isQuick: true });
    assert.equal(good.verdict, 'GOOD');
    assertSums(good, readFixture('snap/snap-3.6.db').length);
  });

  for (const options of [
    { isQuick: true },
    { layers: ['pages'] },
    { layers: ['log'] },
    { layers: ['content', 'log'] },
  ] as VerifyOptions[]) {
    test(`of a directory account for all its files: ${JSON.stringify(options)}`, async (t) => {
      const directory = scratch(t);
      plantMember(directory, {
        snaps: [{ index: 10, term: 2 }],
        log: { snapshots: [{ index: 10, term: 2 }] },
      });
      const report = await verify(directory, options);
      assert.equal(report.verdict, 'GOOD');
      assertSums(report, filesIn(directory).totalBytes);
    });
  }
});

describe('what cannot be read', () => {
  const cases: Array<[what: string, make: (t: Scope) => string, kind: string, code: string]> = [
    ['nothing there', (t) => join(scratch(t), 'none'), 'unknown', 'io.not-found'],
    ['an empty file', (t) => fileOf(t, new Uint8Array()), 'database', 'kind.empty'],
    ['a directory with something else', (t) => scratch(t), 'unknown', 'kind.unknown'],
    ['text', (t) => fileOf(t, Buffer.from('kind: Pod\n'.repeat(1000))), 'database', 'bolt.meta.none'],
    [
      'random bytes with a trailer',
      (t) => fileOf(t, Buffer.alloc(8192 + 32, 0xa5)),
      'backup',
      'bolt.meta.none',
    ],
    [
      'both metas destroyed',
      (t) => fileOf(t, buildDatabase().fill(0, 16, 80).fill(0, 4112, 4176)),
      'database',
      'bolt.meta.none',
    ],
    ['a big-endian file', (t) => fileOf(t, bigEndian()), 'database', 'bolt.big-endian'],
    ['a data directory without database', dirWithoutDatabase, 'data directory', 'io.not-found'],
  ];
  for (const [what, make, kind, code] of cases) {
    test(what, async (t) => {
      const path = make(t);
      const streamed: string[] = [];
      const report = await verify(path, { onFinding: (finding) => streamed.push(finding.code) });
      assert.deepEqual(
        [report.verdict, report.kind, report.path, report.damageCount],
        ['UNREADABLE', kind, path, 1],
      );
      assert.deepEqual(codes(report), [`file ${code}`]);
      assert.deepEqual([report.findings[0]!.severity, streamed], ['fatal', [code]]);
      assert.ok(report.next.length > 0);
    });
  }
});

/** A big-endian machine's metas carry the same magic, the other way round. */
function bigEndian(): Uint8Array {
  const bytes = buildDatabase();
  for (const at of [16, 4112]) bytes.subarray(at, at + 4).reverse();
  return bytes;
}

function dirWithoutDatabase(t: Scope): string {
  const directory = scratch(t);
  mkdirSync(join(directory, 'member', 'snap'), { recursive: true });
  return directory;
}

describe('a file with a writer', () => {
  const database = buildDatabase({
    records: Array.from({ length: 300 }, (_, i) => put(i + 2, `key-${i}`)),
    pageSize: 1024,
  });
  const damaged = flip(database, 5 * 1024 + 8);

  for (const [what, bytes] of [
    ['sound', database],
    ['damaged', damaged],
  ] as const) {
    test(`that never rests is neither good nor damaged: ${what}`, async (t) => {
      hurry(t);
      const path = fileOf(t, bytes);
      const streamed: string[] = [];
      const report = await verify(path, {
        progress: () => commit(path),
        onFinding: ({ code }) => streamed.push(code),
      });
      assert.deepEqual(
        [report.verdict, report.damageCount, codes(report)],
        ['CHANGED WHILE READ', 0, ['file backup.changing']],
      );
      assert.match(report.findings[0]!.message, /3 times in a row/);
      assert.match(`${report.findings[0]!.hint} ${report.next}`, /snapshot save/);
      assert.deepEqual(streamed, ['backup.changing']);
    });
  }

  for (const [commits, verdict] of [
    [0, 'GOOD'],
    [1, 'GOOD'],
    [2, 'GOOD'],
    [3, 'CHANGED WHILE READ'],
  ] as const) {
    test(`that writes while it is read ${commits} times: ${verdict}`, async (t) => {
      hurry(t);
      const path = fileOf(t, database);
      let left: number = commits;
      let last = Infinity;
      const progress = (done: number): void => {
        // Once in each walk: where it begins anew.
        if (done < last && left-- > 0) commit(path);
        last = done;
      };
      assert.equal((await verify(path, { progress })).verdict, verdict);
    });
  }

  test('is damaged when it is, once the writer rests', async (t) => {
    hurry(t);
    const path = fileOf(t, damaged);
    let isFirst = true;
    const streamed: string[] = [];
    const progress = (): void => {
      if (isFirst) commit(path);
      isFirst = false;
    };
    const report = await verify(path, { progress, onFinding: ({ code }) => streamed.push(code) });
    assert.equal(report.verdict, 'DAMAGED');
    assert.deepEqual(
      streamed,
      report.findings.map(({ code }) => code),
      'what the first walk found was held back',
    );
  });

  test('that goes away half-way leaves no stack trace', async (t) => {
    hurry(t);
    const path = fileOf(t, database);
    const report = await verify(path, { progress: () => truncateSync(path, 2048) });
    assert.notEqual(report.verdict, 'GOOD');
    assert.notEqual(report.verdict, 'GOOD with notes');
  });

  test('is given up when the caller does not want to wait', async (t) => {
    hurry(t);
    const controller = new AbortController();
    const path = fileOf(t, database);
    const run = verify(path, { progress: () => controller.abort(), signal: controller.signal });
    await assert.rejects(run, { code: 'interrupted' });
  });
});

describe('findings', () => {
  test('of a backup are streamed while it is read', async (t) => {
    const path = fileOf(t, sealed(flip(buildDatabase({ records: [put(2, 'a')] }), 8192)));
    const order: string[] = [];
    const report = await verify(path, { onFinding: ({ layer, code }) => order.push(`${layer} ${code}`) });
    assert.deepEqual(order, codes(report));
    assert.ok(order.length > 0);
  });

  test('of other files are told once, when the file was quiet', async (t) => {
    const path = fileOf(t, flip(buildDatabase({ records: [put(2, 'a')] }), 8192));
    const order: string[] = [];
    const report = await verify(path, { onFinding: ({ layer, code }) => order.push(`${layer} ${code}`) });
    assert.deepEqual(order, codes(report));
    assert.ok(order.length > 0);
  });
});

describe('the next step', () => {
  const member = (t: Scope, spec: DatabaseSpec): string => {
    const directory = scratch(t);
    plantMember(directory, { database: spec });
    return directory;
  };
  const bad: DatabaseSpec = { records: [put(2, 'a', { modRevision: 1 })] };
  const cases: Array<[verdict: string, make: (t: Scope) => string, next: RegExp]> = [
    ['GOOD', () => fixture('snap/snap-3.6.db'), /can be restored/],
    ['GOOD', (t) => member(t, {}), /a server can start/],
    ['GOOD with notes', () => fixture('snap/snap-3.4.db'), /can be restored/],
    ['DAMAGED', (t) => fileOf(t, buildDatabase(bad)), /do not rely on it/],
    ['DAMAGED', (t) => member(t, bad), /do not start a server/],
    ['UNREADABLE', (t) => fileOf(t, Buffer.from('x')), /use another backup/],
  ];
  for (const [verdict, make, next] of cases) {
    test(`${verdict}: ${next.source}`, async (t) => {
      const report = await verify(make(t));
      assert.equal(report.verdict, verdict, codes(report).join());
      assert.match(report.next, next);
    });
  }
});

test('a member directory is checked like the data directory around it', async (t) => {
  const directory = scratch(t);
  const member = plantMember(directory);
  const [outer, inner] = [await verify(directory), await verify(member)];
  assert.deepEqual([outer.kind, inner.kind], ['data directory', 'member directory']);
  assert.deepEqual({ ...inner, path: '', kind: '' }, { ...outer, path: '', kind: '' });
  assert.equal(outer.facts['memberId'], MEMBER.id.toString(16));
  assert.ok(readFileSync(join(member, 'snap', 'db')).length > 0);
});
