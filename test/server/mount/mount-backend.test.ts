/** What a client saves of something mounted. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { verify } from '../../../src/check/verify.ts';
import { fixture, memberDir, VERSIONS } from '../../support/fixtures.ts';
import { scratch } from '../../support/scratch.ts';
import { readDatabaseRows, differingRows } from '../../support/database-rows.ts';
import { Mounted } from './mounted.ts';

async function assertGood(path: string): Promise<void> {
  const { verdict, findings } = await verify(path);
  assert.deepEqual(
    findings.filter(({ severity }) => severity !== 'note'),
    [],
    verdict,
  );
}

for (const version of VERSIONS) {
  test(`a backup of ${version} comes back byte for byte`, async (t) => {
    const path = fixture(`snap/snap-${version}.db`);
    const mounted = await Mounted.at(t, path);
    assert.ok((await mounted.snapshot()).equals(readFileSync(path)));
  });
}

test('of a database without a trailer comes a backup with one', async (t) => {
  const raw = join(memberDir('3.6'), 'snap', 'db');
  const saved = await (await Mounted.at(t, raw)).snapshot();
  const database = saved.subarray(0, -32);
  assert.ok(database.equals(readFileSync(raw).subarray(0, database.length)));
  assert.ok(createHash('sha256').update(database).digest().equals(saved.subarray(-32)));
});

test('of what was changed comes a sound backup with the changes', async (t) => {
  const path = join(scratch(t), 'saved.db');
  const mounted = await Mounted.at(t, fixture('snap/snap-3.6.db'), { isScratch: true });
  await mounted.put('zz/new', '1');
  writeFileSync(path, await mounted.snapshot());
  await assertGood(path);
  const saved = await Mounted.at(t, path);
  assert.deepEqual(await saved.all(), await mounted.all());
  assert.deepEqual(await saved.hashKv(), await mounted.hashKv());
});

test('of an older revision comes a sound backup that ends there', async (t) => {
  const path = join(scratch(t), 'saved.db');
  const mounted = await Mounted.at(t, fixture('snap/snap-3.6.db'), { revision: 17 });
  writeFileSync(path, await mounted.snapshot());
  await assertGood(path);
  const saved = await Mounted.at(t, path);
  assert.equal(saved.served.core.keys.revision, 17);
  assert.deepEqual(await saved.all(), await mounted.all());
});

test('what only the log holds is in the backup of a directory', async (t) => {
  const path = join(scratch(t), 'saved.db');
  const mounted = await Mounted.at(t, join(memberDir('3.6'), '..'));
  writeFileSync(path, await mounted.snapshot());
  await assertGood(path);
  const rows = readDatabaseRows(path);
  const inFile = readDatabaseRows(join(memberDir('3.6'), 'snap', 'db'));
  assert.deepEqual(
    differingRows(inFile, rows).filter((name) => name.startsWith('key/')),
    [],
  );
});

test('a change waits for the copies that are being made, however many', async (t) => {
  const mounted = await Mounted.at(t, fixture('snap/snap-3.6.db'), { isScratch: true });
  const before = await mounted.all();
  const copies = Promise.all([mounted.snapshot(), mounted.snapshot()]);
  await mounted.put('zz/new', '1');
  for (const [i, bytes] of (await copies).entries()) {
    const path = join(scratch(t), `${i}.db`);
    writeFileSync(path, bytes);
    await assertGood(path);
    const saved = await (await Mounted.at(t, path)).all();
    assert.ok(Object.keys(saved).length >= Object.keys(before).length);
  }
});
