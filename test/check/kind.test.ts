import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { recognise } from '../../src/check/kind.ts';
import { scratch } from '../support/scratch.ts';

type Tree = Record<string, number>;

/** Files of so many bytes; a name that ends with a slash is a directory. */
function plant(root: string, tree: Tree): void {
  for (const [name, size] of Object.entries(tree)) {
    mkdirSync(name.endsWith('/') ? join(root, name) : dirname(join(root, name)), { recursive: true });
    if (!name.endsWith('/')) writeFileSync(join(root, name), new Uint8Array(size));
  }
}

const files: Array<[size: number, kind: string]> = [
  [0, 'database'],
  [32, 'backup'],
  [40960, 'database'],
  [40960 + 32, 'backup'],
  [40960 + 31, 'database'],
  [40960 + 33, 'database'],
  [1024 + 32, 'backup'],
];
for (const [size, kind] of files) {
  test(`a file of ${size} bytes is a ${kind}`, (t) => {
    const path = join(scratch(t), 'file');
    writeFileSync(path, new Uint8Array(size));
    assert.deepEqual(recognise(path), { kind, database: path, memberDir: undefined, walDir: undefined });
  });
}

const directories: Array<[what: string, tree: Tree, kind: string, memberDir: string]> = [
  ['a data directory', { 'member/snap/db': 1, 'member/wal/': 0 }, 'data directory', 'member'],
  ['one without log', { 'member/snap/db': 1 }, 'data directory', 'member'],
  ['one without snap', { 'member/wal/': 0 }, 'data directory', 'member'],
  ['a member directory', { 'snap/db': 1, 'wal/': 0 }, 'member directory', '.'],
  [
    'one within the other: the outer is meant',
    { 'snap/db': 1, 'member/snap/db': 1 },
    'data directory',
    'member',
  ],
];
for (const [what, tree, kind, member] of directories) {
  test(what, (t) => {
    const root = scratch(t);
    plant(root, tree);
    const memberDir = join(root, member);
    assert.deepEqual(recognise(root), {
      kind,
      memberDir,
      database: join(memberDir, 'snap/db'),
      walDir: join(memberDir, 'wal'),
    });
    assert.equal(recognise(root, { walDir: '/elsewhere' }).walDir, '/elsewhere');
  });
}

test('a link counts as what it leads to', (t) => {
  const root = scratch(t);
  plant(root, { 'data/member/snap/db': 1, file: 32 });
  symlinkSync(join(root, 'data'), join(root, 'data-link'));
  symlinkSync(join(root, 'file'), join(root, 'file-link'));
  assert.equal(recognise(join(root, 'data-link')).kind, 'data directory');
  assert.equal(recognise(join(root, 'file-link')).kind, 'backup');
});

test('nothing there', (t) => {
  const path = join(scratch(t), 'none');
  assert.throws(() => recognise(path), { code: 'io.not-found' });
});

test('below a file there is nothing', (t) => {
  const root = scratch(t);
  plant(root, { file: 1 });
  assert.throws(() => recognise(join(root, 'file', 'db')), /not a directory|no such file/);
});

test('some other directory', (t) => {
  const root = scratch(t);
  plant(root, { 'member/db': 1, 'other/snap/db': 1 });
  assert.throws(() => recognise(root), { code: 'kind.unknown', hint: /member\// });
});

test('a pipe would never end', (t) => {
  const path = join(scratch(t), 'pipe');
  execFileSync('mkfifo', [path]);
  assert.throws(() => recognise(path), { code: 'io.not-a-file' });
});
