import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readConfigured, stampOf } from '../../../src/server/tls/file-stamp.ts';
import { scratch } from '../../support/scratch.ts';

test('a stamp differs once a file is written, replaced, gone, or a link leads elsewhere', (t) => {
  const folder = scratch(t);
  for (const name of ['a', 'b', 'c']) writeFileSync(join(folder, name), 'same');
  const link = join(folder, 'link');
  symlinkSync('a', link);
  const seen = [stampOf(link)];
  assert.equal(stampOf(link), seen[0]);
  const changes = [
    () => writeFileSync(join(folder, 'a'), 'diff'),
    () => renameSync(join(folder, 'b'), join(folder, 'a')),
    () => {
      symlinkSync('c', join(folder, 'new'));
      renameSync(join(folder, 'new'), link);
    },
    () => rmSync(join(folder, 'c')),
  ];
  for (const change of changes) {
    change();
    seen.push(stampOf(link));
  }
  assert.equal(new Set(seen).size, seen.length);
});

test('what cannot be read is told as Go tells it', (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'd'));
  for (const [name, message] of [
    ['x', 'open %: no such file or directory'],
    ['d', 'read %: is a directory'],
  ] as const) {
    const path = join(folder, name);
    assert.throws(() => readConfigured(path), { code: 'server.config', message: message.replace('%', path) });
  }
});
