import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  copyFileSync,
  readdirSync,
  readFileSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { realDisk } from '../../../../src/bytes/disk.ts';
import { openFile } from '../../../../src/bytes/source.ts';
import { CorruptError, ToolError } from '../../../../src/errors.ts';
import { BoltFile } from '../../../../src/format/bolt/file.ts';
import { editBolt } from '../../../../src/format/bolt/tx.ts';
import type { BoltTransaction } from '../../../../src/format/bolt/transaction.ts';
import { plainContext } from '../../../../src/ops/context.ts';
import { newestRevision } from '../../../../src/ops/snapshot/restore/source.ts';
import { type RestoreOptions, restoreSnapshot } from '../../../../src/ops/snapshot/restore.ts';
import { encodeMark } from '../../../../src/store/mvcc/marks.ts';
import { encodeRevision } from '../../../../src/store/mvcc/record.ts';
import { fixture } from '../../../support/fixtures.ts';
import { scratch } from '../../../support/scratch.ts';

const SNAPSHOT = fixture('snap/snap-3.6.db');

/** Restores a file next to itself; whatever comes, nothing but the file may be there afterwards. */
async function rejected(
  path: string,
  over: Partial<RestoreOptions> = {},
  context = plainContext(),
): Promise<ToolError> {
  const dir = join(path, '..');
  const before = readdirSync(dir);
  let thrown: unknown;
  await restoreSnapshot(path, { target: { dataDir: join(dir, 'data') }, ...over }, context).catch(
    (error: unknown) => {
      thrown = error;
    },
  );
  assert.deepEqual(readdirSync(dir), before);
  assert.ok(thrown instanceof ToolError, String(thrown));
  return thrown;
}

function copyWith(t: TestContext, change: (bytes: Buffer) => Buffer): string {
  const path = join(scratch(t), 'backup.db');
  writeFileSync(path, change(readFileSync(SNAPSHOT)));
  return path;
}

function flip(bytes: Buffer, at: number): Buffer {
  bytes[at]! ^= 1;
  return bytes;
}

/** A copy without a trailer, edited. */
async function edited(t: TestContext, edit: (tx: BoltTransaction) => void): Promise<string> {
  const path = copyWith(t, (bytes) => bytes.subarray(0, -32));
  await editBolt(realDisk(), path, edit);
  return path;
}

describe('the digest', () => {
  test('is what a changed byte is explained by, wherever it lies', async (t) => {
    for (const at of [20, 100, 9000, 12_400, 16_384, 20_000, 30_000, 40_959]) {
      const path = copyWith(t, (bytes) => flip(bytes, at));
      const bytes = readFileSync(path);
      const list = (digest: Uint8Array): string => `[${digest.join(' ')}]`;
      const actual = createHash('sha256').update(bytes.subarray(0, -32)).digest();
      for (const layout of ['packed', 'preserved', 'quick'] as const) {
        const error = await rejected(path, { layout });
        assert.ok(error instanceof CorruptError);
        assert.equal(error.code, 'backup.digest', error.message);
        assert.equal(error.upstream, `expected sha256 ${list(bytes.subarray(-32))}, got ${list(actual)}`);
        assert.equal(error.hint, `etcdkit snapshot verify ${path}`);
      }
    }
  });

  test('may be left out of account', async (t) => {
    const path = copyWith(t, (bytes) => flip(bytes, bytes.length - 1));
    assert.equal((await rejected(path)).code, 'backup.digest');
    const target = { dataDir: join(path, '../data') };
    assert.equal(
      (await restoreSnapshot(path, { target, isHashSkipped: true }, plainContext())).digest,
      'skipped',
    );
  });

  test('has to be there', async (t) => {
    const path = copyWith(t, (bytes) => bytes.subarray(0, -32));
    const error = await rejected(path);
    assert.equal(error.code, 'backup.digest-missing');
    assert.equal(error.upstream, 'snapshot missing hash but --skip-hash-check=false');
  });
});

describe('damage that the digest does not show', () => {
  test('is found on the way, and verify is named', async (t) => {
    const path = copyWith(t, (bytes) => {
      const revision = Buffer.from(encodeRevision(19, 0));
      for (let at = bytes.indexOf(revision); at >= 0; at = bytes.indexOf(revision)) bytes[at + 7]! += 1;
      return bytes;
    });
    for (const layout of ['packed', 'preserved'] as const) {
      const error = await rejected(path, { isHashSkipped: true, layout });
      assert.ok(error instanceof CorruptError);
      assert.match(error.code, /^mvcc\./);
      assert.equal(error.hint, `etcdkit snapshot verify ${path}`);
    }
  });

  test('is a file that was cut off', async (t) => {
    const path = copyWith(t, (bytes) => bytes.subarray(0, 24_576));
    const codes = new Set<string>();
    for (const layout of ['packed', 'preserved', 'quick'] as const) {
      codes.add((await rejected(path, { isHashSkipped: true, layout })).code);
    }
    for (const code of codes) assert.match(code, /^(bolt\.page\.bounds|backup\.size)$/);
  });

  test('is a row that does not decode', async (t) => {
    const path = await edited(t, (tx) =>
      tx.ensureBucket(Buffer.from('lease')).put(Buffer.alloc(8), Buffer.from('x')),
    );
    assert.equal((await rejected(path, { isHashSkipped: true })).code, 'schema.lease');
    const other = await edited(t, (tx) =>
      tx.ensureBucket(Buffer.from('members')).put(Buffer.from('1'), Buffer.from('{')),
    );
    assert.equal((await rejected(other, { isHashSkipped: true })).code, 'schema.membership');
  });
});

describe('what is no snapshot', () => {
  test('an empty file, one of a few bytes, one of nonsense', async (t) => {
    for (const size of [0, 31]) {
      const path = copyWith(t, (bytes) => bytes.subarray(0, size));
      const error = await rejected(path);
      assert.equal(error.code, 'kind.empty');
      assert.equal(error.upstream, `seek ${path}: invalid argument`);
    }
    const path = copyWith(t, () => Buffer.alloc(40_960, 7));
    assert.equal((await rejected(path, { isHashSkipped: true })).code, 'bolt.meta.none');
  });

  test('what is not there, and a directory that is none of etcd’s', async (t) => {
    const dir = scratch(t);
    const error = await rejected(join(dir, 'nofile'));
    assert.equal(error.message, `open ${join(dir, 'nofile')}: no such file or directory`);
    assert.match((await rejected(join(dir, '.'))).code, /^kind\.unknown$/);
  });

  test('a database of another program', async (t) => {
    const path = join(scratch(t), 'nested.db');
    copyFileSync(fixture('bbolt/nested.db'), path);
    assert.equal((await rejected(path, { isHashSkipped: true })).code, 'schema.bucket');
  });

  test('a schema of a later etcd', async (t) => {
    const path = await edited(t, (tx) =>
      tx.ensureBucket(Buffer.from('meta')).put(Buffer.from('storageVersion'), Buffer.from('3.8.0')),
    );
    assert.equal((await rejected(path, { isHashSkipped: true })).code, 'schema.version');
  });
});

describe('a file that changes while it is read', () => {
  const changes: [what: string, change: (path: string) => void][] = [
    ['written to', (path) => appendFileSync(path, 'x')],
    ['cut off', (path) => truncateSync(path, 8192)],
    ['touched', (path) => utimesSync(path, 1, 1)],
    [
      'replaced',
      (path) => {
        const bytes = readFileSync(path);
        realDisk().remove(path);
        writeFileSync(path, bytes);
      },
    ],
  ];
  for (const [what, change] of changes) {
    test(`is refused when it is ${what}`, async (t) => {
      for (const layout of ['packed', 'preserved', 'quick'] as const) {
        const path = copyWith(t, (bytes) => bytes);
        const disk = realDisk();
        let isChanged = false;
        const create = (to: string, mode: number): number => {
          if (!isChanged) change(path);
          isChanged = true;
          return disk.create(to, mode);
        };
        const error = await rejected(path, { layout }, plainContext({ disk: { ...disk, create } }));
        assert.equal(error.code, 'backup.changing', `${layout}: ${error.message}`);
      }
    });
  }
});

describe('the newest revision', () => {
  const newest = (path: string): number => {
    const source = openFile(path);
    try {
      return newestRevision(new BoltFile(source));
    } finally {
      source.close();
    }
  };

  test('is that of the last record', () => {
    for (const version of ['3.4', '3.5', '3.6', '3.7'])
      assert.equal(newest(fixture(`snap/snap-${version}.db`)), 19);
  });

  test('is that of a compaction beyond it', async (t) => {
    const path = await edited(t, (tx) => {
      const meta = tx.ensureBucket(Buffer.from('meta'));
      meta.put(Buffer.from('scheduledCompactRev'), encodeMark(77));
      meta.put(Buffer.from('finishedCompactRev'), encodeMark(77));
    });
    assert.equal(newest(path), 77);
  });

  test('is found in a tree of several levels', async (t) => {
    const path = await edited(t, (tx) => {
      const key = tx.ensureBucket(Buffer.from('key'));
      for (let i = 20; i < 2000; i++) key.put(encodeRevision(i, 0), new Uint8Array(200));
    });
    assert.equal(newest(path), 1999);
  });
});
