import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { closeSync, openSync, renameSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { CorruptError, type Finding, ToolError } from '../../src/errors.ts';
import { encodeMetaPage } from '../../src/format/bolt/meta.ts';
import {
  assertUnmoved,
  type Database,
  hasMoved,
  openDatabase,
  startDigest,
} from '../../src/store/database.ts';
import { scratch } from '../support/scratch.ts';
import { unchanged } from '../support/unchanged.ts';
import { buildDatabase, put, sealed } from './database-builder.ts';

const DATABASE = buildDatabase({ records: [put(2, 'a')] });

type Scope = Parameters<typeof scratch>[0];

function fileOf(t: Scope, bytes: Uint8Array): string {
  const path = join(scratch(t), 'test.db');
  writeFileSync(path, bytes);
  return path;
}

function opened(t: Scope, bytes: Uint8Array): Database {
  const database = openDatabase(fileOf(t, bytes));
  t.after(() => database.close());
  return database;
}

describe('a file', () => {
  test('with a trailer is split', async (t) => {
    const file = sealed(DATABASE);
    const { contentSize, trailer, ...database } = opened(t, file);
    assert.equal(contentSize, DATABASE.length);
    assert.deepEqual(trailer, new Uint8Array(createHash('sha256').update(DATABASE).digest()));
    const digest = startDigest({ contentSize, trailer, ...database });
    assert.deepEqual(Buffer.from(await digest!.result), Buffer.from(trailer!));
  });

  test('without one is all database, and nothing vouches for it', (t) => {
    const database = opened(t, DATABASE);
    assert.equal(database.contentSize, DATABASE.length);
    assert.equal(database.trailer, undefined);
    assert.equal(startDigest(database), undefined);
  });

  test('that ends with something else than 32 bytes has no trailer', (t) => {
    assert.equal(opened(t, Buffer.concat([DATABASE, Buffer.alloc(31)])).trailer, undefined);
  });

  test('is not changed by opening it', async (t) => {
    const path = fileOf(t, sealed(DATABASE));
    await unchanged(path, () => openDatabase(path).close());
  });

  test('passes its damage on', (t) => {
    const findings: Finding[] = [];
    const bytes = DATABASE.slice();
    // The number that page 2 gives itself.
    bytes[2 * 4096]! ^= 1;
    const database = openDatabase(fileOf(t, bytes), (finding) => findings.push(finding));
    t.after(() => database.close());
    for (const bucket of database.bolt.buckets()) {
      const leaves = database.bolt.leaves(bucket);
      while (leaves.next());
    }
    assert.ok(findings.some(({ code }) => code === 'bolt.page.id'));
  });
});

describe('what cannot be opened', () => {
  const cases: Array<[what: string, make: (t: Scope) => string, code: string, kind: typeof ToolError]> = [
    ['nothing there', (t) => join(scratch(t), 'none'), 'io.not-found', ToolError],
    ['a directory', (t) => scratch(t), 'io.not-a-file', ToolError],
    ['an empty file', (t) => fileOf(t, new Uint8Array()), 'kind.empty', ToolError],
    ['a trailer alone', (t) => fileOf(t, new Uint8Array(32)), 'bolt.meta.none', CorruptError],
    ['zeros', (t) => fileOf(t, new Uint8Array(65536)), 'bolt.meta.none', CorruptError],
    ['text', (t) => fileOf(t, Buffer.from('hello, world\n')), 'bolt.meta.none', CorruptError],
  ];
  for (const [what, make, code, kind] of cases) {
    test(what, (t) => {
      const path = make(t);
      assert.throws(
        () => openDatabase(path),
        (error: unknown) => error instanceof kind && error.code === code && error.where?.file === path,
      );
    });
  }

  test('leaves no descriptor open', (t) => {
    const path = fileOf(t, new Uint8Array(65536));
    const probe = (): number => {
      const fd = openSync(path, 'r');
      closeSync(fd);
      return fd;
    };
    const before = probe();
    for (let i = 0; i < 5; i++) assert.throws(() => openDatabase(path));
    assert.equal(probe(), before);
  });
});

describe('a writer', () => {
  /** What a commit of etcd does to the metas: the older one becomes the newer one. */
  function commit(path: string, { bolt }: Database, txid: bigint): void {
    const fd = openSync(path, 'r+');
    const page = bolt.live.page === 0 ? 1 : 0;
    writeSync(fd, encodeMetaPage({ ...bolt.live, page, txid }), 0, 4096, page * 4096);
    closeSync(fd);
  }

  test('that committed has moved the file', (t) => {
    const database = opened(t, DATABASE);
    assert.equal(hasMoved(database), false);
    assertUnmoved(database);
    commit(database.path, database, database.bolt.live.txid + 1n);
    assert.equal(hasMoved(database), true);
    assert.throws(() => assertUnmoved(database), { code: 'backup.changing' });
  });

  test('that destroyed both metas has moved it too', (t) => {
    const database = opened(t, DATABASE);
    writeFileSync(database.path, new Uint8Array(DATABASE.length));
    assert.equal(hasMoved(database), true);
  });

  test('that cut the file to nothing has moved it too', (t) => {
    const database = opened(t, DATABASE);
    truncateSync(database.path, 0);
    assert.equal(hasMoved(database), true);
  });

  test('that put another file in its place has not: what is read is the old one', (t) => {
    const database = opened(t, DATABASE);
    const other = `${database.path}.new`;
    writeFileSync(other, buildDatabase({ txid: 99n }));
    renameSync(other, database.path);
    assert.equal(hasMoved(database), false);
  });
});
