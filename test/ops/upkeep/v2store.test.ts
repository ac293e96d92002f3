import assert from 'node:assert/strict';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { v2Request } from '../../../src/format/proto/v2pb.ts';
import { encodeSnapFile } from '../../../src/format/snap/file.ts';
import { plainContext } from '../../../src/ops/context.ts';
import { checkV2Store } from '../../../src/ops/upkeep/v2store.ts';
import { unpacked } from '../../support/fixtures.ts';
import { appendTo, copyFixture, copyMember, treeOf } from '../../support/member-copy.ts';
import { scratch } from '../../support/scratch.ts';

const SNAP = '0000000000000002-0000000000000015.snap';
const check = (dataDir: string) => checkV2Store({ dataDir }, plainContext());

test('what 3.5 itself writes is no custom content, with and without a .snap', async (t) => {
  const folder = scratch(t);
  const dataDir = copyFixture(folder, '3.5');
  const before = treeOf(dataDir);
  assert.deepEqual(await check(dataDir), {
    snap: SNAP,
    storePaths: [],
    requestCount: 0,
    firstRequest: undefined,
  });
  assert.deepEqual(treeOf(dataDir), before);
  const tail = copyMember(folder, unpacked('tail/tail-before-3.5.tar.gz', 'tail-3.5/member'), 'tail');
  assert.equal((await check(tail)).requestCount, 0);
});

test('requests in the log count from the snapshot on', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.5');
  const put = (id: bigint, path: string) =>
    v2Request.encode({ id, method: 'PUT', path, val: 'x' }, { zeros: 'write' });
  const sync = v2Request.encode({ id: 3n, method: 'SYNC', time: 1n }, { zeros: 'write' });
  appendTo(dataDir, (writer) => {
    for (const [i, data] of [put(1n, '/0/version'), put(2n, '/1/foo'), sync].entries())
      writer.entry({ type: 0, term: 2, index: 34 + i, data });
  });
  const report = await check(dataDir);
  assert.deepEqual([report.requestCount, report.firstRequest, report.storePaths], [2, 'PUT /1/foo', []]);
});

test('data in the newest .snap that the log names; one that does not decode is passed over', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.5');
  const snapDir = join(dataDir, 'member', 'snap');
  const node = (path: string, children: object | null): object => ({
    Path: path,
    Value: '',
    Children: children,
  });
  const store = {
    Root: node('/', { 0: node('/0', {}), 1: node('/1', { foo: node('/1/foo', null) }) }),
    CurrentIndex: 9,
  };
  const metadata = { index: 21, term: 2, confState: { voters: [1n] } };
  writeFileSync(
    join(snapDir, SNAP),
    encodeSnapFile({ data: Buffer.from(JSON.stringify(store)), metadata }, { zeros: 'write' }),
  );
  assert.deepEqual((await check(dataDir)).storePaths, ['/1/foo']);

  writeFileSync(join(snapDir, '0000000000000009-0000000000000099.snap'), 'an orphan');
  assert.equal((await check(dataDir)).snap, SNAP);
  writeFileSync(join(snapDir, SNAP), 'damaged');
  assert.equal((await check(dataDir)).snap, undefined);
  assert.equal(readdirSync(snapDir).length, 3);
});

test('a directory without a log is not called free of content', async (t) => {
  const dataDir = copyFixture(scratch(t), '3.5');
  const walDir = join(dataDir, 'member', 'wal');
  for (const name of readdirSync(walDir)) rmSync(join(walDir, name));
  await assert.rejects(check(dataDir), { code: 'wal.sequence' });
  rmSync(walDir, { recursive: true });
  await assert.rejects(check(dataDir), { code: 'io.not-found' });
});
