/** The package as its users import it: by its name, through `exports`. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type * as Library from '../../src/index.ts';
import { fixture } from '../support/fixtures.ts';
import { projectRoot } from '../support/project.ts';

const NAME = 'etcdkit';
const library = (await import(NAME)) as typeof Library;

test('gives the functions that the commands call, and what they throw', () => {
  const functions = [
    'snapshotStatus',
    'verifySnapshot',
    'hashKV',
    'defragment',
    'saveSnapshot',
    'restoreSnapshot',
    'migrate',
    'checkV2Store',
    'drill',
    'plainContext',
  ];
  const classes = ['ToolError', 'CorruptError', 'UsageError', 'RefusedError', 'UnsupportedError'];
  const exported = library as unknown as Record<string, unknown>;
  for (const name of [...functions, ...classes]) assert.equal(typeof exported[name], 'function', name);
  assert.ok('mvcc.gap' in library.CODES);
});

test('they work without the command line', async () => {
  const context = library.plainContext();
  const path = fixture('snap/snap-3.6.db');
  assert.equal((await library.snapshotStatus(path, context)).hash, 1623058499);
  assert.equal((await library.verifySnapshot(path, {}, context)).verdict, 'GOOD');
  assert.equal((await library.hashKV(path, { revision: 13 }, context)).hash, 2104891059);
  const refusal = library.hashKV(path, { revision: 1 }, context);
  await assert.rejects(
    refusal,
    (error: unknown) => error instanceof library.ToolError && error.code === 'mvcc.compacted',
  );
});

test('every file that package.json names is there, types too', () => {
  const root = projectRoot();
  const { exports, bin, files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const paths = [
    ...Object.values<string>(exports['.']),
    ...Object.values<string>(bin),
    ...(files as string[]),
  ];
  assert.ok(paths.length > 5);
  for (const path of paths) assert.ok(existsSync(join(root, path)), path);
});

test('nothing else can be imported', async () => {
  await assert.rejects(import(`${NAME}/dist/src/index.js`), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' });
});
