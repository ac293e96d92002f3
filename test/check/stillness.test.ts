import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Input } from '../../src/check/kind.ts';
import { stampOf } from '../../src/check/stillness.ts';
import { scratch } from '../support/scratch.ts';

function plant(t: Parameters<typeof scratch>[0]): { input: Input; wal: string; snap: string } {
  const memberDir = scratch(t);
  const [wal, snap] = [join(memberDir, 'wal'), join(memberDir, 'snap')];
  mkdirSync(wal);
  mkdirSync(snap);
  for (const path of [join(wal, '0.wal'), join(wal, '1.tmp'), join(snap, '1.snap'), join(snap, 'db')]) {
    writeFileSync(path, 'content');
    utimesSync(path, 1000, 1000);
  }
  return {
    wal,
    snap,
    input: { kind: 'member directory', memberDir, walDir: wal, database: join(snap, 'db') },
  };
}

const changes: Array<[what: string, change: (at: { wal: string; snap: string }) => void]> = [
  ['a record', ({ wal }) => appendFileSync(join(wal, '0.wal'), 'x')],
  ['a record in a preallocated segment', ({ wal }) => writeFileSync(join(wal, '0.wal'), 'CONTENT')],
  ['a new segment', ({ wal }) => renameSync(join(wal, '1.tmp'), join(wal, '1.wal'))],
  ['a new snapshot', ({ snap }) => writeFileSync(join(snap, '2.snap'), '')],
  ['an old one removed', ({ snap }) => rmSync(join(snap, '1.snap'))],
];
for (const [what, change] of changes) {
  test(`${what} shows`, (t) => {
    const { input, ...at } = plant(t);
    const before = stampOf(input);
    assert.equal(stampOf(input), before);
    change(at);
    assert.notEqual(stampOf(input), before);
  });
}

test('a commit of the database does not: the metas tell', (t) => {
  const { input, snap } = plant(t);
  const before = stampOf(input);
  appendFileSync(join(snap, 'db'), 'x');
  assert.equal(stampOf(input), before);
});

test('directories that are not there and links that lead nowhere are nothing', (t) => {
  const { input, wal, snap } = plant(t);
  symlinkSync('/nonexistent/file', join(snap, 'link'));
  rmSync(wal, { recursive: true });
  assert.match(stampOf(input), /1\.snap/);
  assert.doesNotMatch(stampOf(input), /link|wal/);
});
