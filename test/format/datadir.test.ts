import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { ToolError } from '../../src/errors.ts';
import { kindOfPath, listDataDir } from '../../src/format/datadir.ts';
import { memberDir, unpacked, VERSIONS } from '../support/fixtures.ts';
import { scratch } from '../support/scratch.ts';

const SEGMENT = '0000000000000000-0000000000000000.wal';

for (const version of VERSIONS) {
  test(`a data directory of ${version}, and its member directory`, () => {
    const member = memberDir(version);
    const whole = listDataDir(dirname(member));
    assert.deepEqual(
      [whole.shape, whole.memberPath, whole.snapPath, whole.walPath, whole.databasePath],
      ['data', member, join(member, 'snap'), join(member, 'wal'), join(member, 'snap', 'db')],
    );
    const names = whole.entries.map(({ path, kind }) => `${relative(member, path)} ${kind}`);
    assert.deepEqual(names, [
      ' member',
      'snap snap',
      'snap/0000000000000002-0000000000000015.snap snapshot',
      'snap/db database',
      'wal wal',
      `wal/${SEGMENT} segment`,
    ]);
    const part = listDataDir(member);
    assert.deepEqual({ ...part, shape: 'data', entries: [] }, { ...whole, entries: [] });
    assert.deepEqual(part.entries, whole.entries.slice(1));
    assert.equal(whole.entries.at(-1)!.sizeBytes, 64_000_000);
  });
}

test('what a killed server leaves', () => {
  const { entries } = listDataDir(unpacked('tail/tail-before-3.6.tar.gz', 'tail-3.6'));
  assert.deepEqual(
    entries.filter(({ kind }) => kind === 'next-segment').map(({ name }) => name),
    ['0.tmp'],
  );
});

test('every name etcd gives, in its place', (t) => {
  const root = scratch(t);
  const expected: Record<string, string> = {
    'member/snap/db': 'database',
    'member/snap/0000000000000001-0000000000000002.snap': 'snapshot',
    'member/snap/0000000000000002.snap.db': 'received-database',
    'member/snap/0000000000000001-0000000000000002.snap.broken': 'broken-snapshot',
    'member/snap/db.tmp.123': 'defrag-rest',
    'member/snap/tmp123': 'receive-rest',
    'member/snap/.touch': 'probe',
    'member/snap/notes.txt': 'foreign',
    [`member/wal/${SEGMENT}`]: 'segment',
    [`member/wal/${SEGMENT}.broken`]: 'broken-segment',
    'member/wal/1.tmp': 'next-segment',
    'member/wal/db': 'foreign',
    'member/.touch': 'probe',
    'member/db': 'foreign',
    '.touch': 'probe',
    lost: 'foreign',
  };
  mkdirSync(join(root, 'member/snap/db.tmp.dir'), { recursive: true });
  for (const directory of [
    'member/wal',
    'member/wal.tmp',
    'member/wal.broken.20260101.120000.000000',
    'lost+found',
  ])
    mkdirSync(join(root, directory));
  for (const name of Object.keys(expected)) writeFileSync(join(root, name), 'x');
  const kinds = new Map(listDataDir(root).entries.map(({ path, kind }) => [relative(root, path), kind]));
  for (const [name, kind] of Object.entries(expected)) {
    assert.equal(kinds.get(name), kind, name);
    if (dirname(name).endsWith('snap') || dirname(name).endsWith('wal'))
      assert.equal(kindOfPath(join(root, name)), kind, name);
  }
  assert.deepEqual(
    [
      'member',
      'member/wal.tmp',
      'member/wal.broken.20260101.120000.000000',
      'lost+found',
      'member/snap/db.tmp.dir',
    ].map((name) => kinds.get(name)),
    ['member', 'wal-rest', 'wal-rest', 'foreign', 'foreign'],
  );
});

test('a log elsewhere, and members behind a symbolic link', (t) => {
  const root = scratch(t);
  const disk = join(root, 'disk');
  mkdirSync(join(disk, 'snap'), { recursive: true });
  mkdirSync(join(root, 'log'));
  writeFileSync(join(root, 'log', SEGMENT), '');
  mkdirSync(join(root, 'data'));
  symlinkSync(disk, join(root, 'data', 'member'));
  const found = listDataDir(join(root, 'data'), { walDir: join(root, 'log') });
  assert.deepEqual([found.shape, found.walPath], ['data', join(root, 'log')]);
  assert.deepEqual(
    found.entries.map(({ path, kind }) => `${basename(path)} ${kind}`),
    ['member member', 'snap snap', `${SEGMENT} segment`],
  );
});

test('a file by its name alone', () => {
  assert.equal(kindOfPath('/tmp/0000000000000001-0000000000000002.snap'), 'snapshot');
  assert.equal(kindOfPath(`/tmp/${SEGMENT}`), 'segment');
  assert.equal(kindOfPath('/backup/db'), 'database');
  assert.equal(kindOfPath('/backup/monday.db'), 'foreign');
});

test('other directories are refused', (t) => {
  const codeOf = (path: string): string | undefined => {
    try {
      listDataDir(path);
    } catch (error) {
      assert.ok(error instanceof ToolError);
      return error.code;
    }
    return undefined;
  };
  const root = scratch(t);
  assert.equal(codeOf(root), 'kind.unknown');
  assert.equal(codeOf(join(root, 'absent')), 'io.not-found');
  writeFileSync(join(root, 'file'), '');
  assert.equal(codeOf(join(root, 'file')), 'io.not-a-directory');
});
