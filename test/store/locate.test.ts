import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { databaseOf } from '../../src/store/locate.ts';
import { scratch } from '../support/scratch.ts';

const cases: Array<[what: string, files: string[], path: string, found: string]> = [
  ['a file is itself, whatever its name', ['x.bin'], 'x.bin', 'x.bin'],
  ['the data directory', ['member/snap/db'], '.', 'member/snap/db'],
  ['the member directory', ['member/snap/db'], 'member', 'member/snap/db'],
  ['a directory that is both: member counts', ['member/snap/db', 'snap/db'], '.', 'member/snap/db'],
];
for (const [what, files, path, found] of cases) {
  test(what, (t) => {
    const root = scratch(t);
    for (const file of files) {
      mkdirSync(dirname(join(root, file)), { recursive: true });
      writeFileSync(join(root, file), '');
    }
    assert.equal(databaseOf(join(root, path)), join(root, found));
  });
}

test('a link to a directory is followed', (t) => {
  const root = scratch(t);
  mkdirSync(join(root, 'data/snap'), { recursive: true });
  writeFileSync(join(root, 'data/snap/db'), '');
  symlinkSync(join(root, 'data'), join(root, 'link'));
  assert.equal(databaseOf(join(root, 'link')), join(root, 'link/snap/db'));
});

test('nothing there', (t) => {
  const path = join(scratch(t), 'none');
  assert.throws(() => databaseOf(path), { code: 'io.not-found' });
});

test('a directory without a database says what to give instead', (t) => {
  const root = scratch(t);
  mkdirSync(join(root, 'member/snap'), { recursive: true });
  assert.throws(() => databaseOf(root), {
    code: 'kind.unknown',
    message: /member\/snap\/db/,
    hint: /data directory/,
  });
});
