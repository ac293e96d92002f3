// The database of a server after a long seeded run with views, rewrites and reopenings: the real bbolt finds nothing
// wrong with the file, nor with any view that was written down.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readAt } from '../../src/bytes/source.ts';
import type { DurableView } from '../../src/store/backend/backend.ts';
import { BoltBackend } from '../../src/store/backend/bolt.ts';
import { contentOfFile, type Content } from '../support/database-content.ts';
import { hastyDisk } from '../support/faulty-disk.ts';
import { Random, seedOfRun } from '../support/mutate.ts';
import { scratch } from '../support/scratch.ts';
import {
  bbolt,
  compactPhysically,
  freeMemberPorts,
  getAll,
  hashKv,
  runLoad,
  skipReason,
  succeeded,
  VERSIONS,
} from './etcd.ts';
import { databaseIn, serve } from './healthy.ts';

const ROUNDS = 300;

const encode = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const revision = (main: number): string => {
  const key = Buffer.alloc(17);
  key.writeBigUInt64BE(BigInt(main));
  key[8] = 0x5f;
  return key.toString('latin1');
};

function change(backend: BoltBackend, content: Content, random: Random, round: number): void {
  const put = (bucket: string, key: string, value: Uint8Array): void => {
    backend.put(bucket, encode(key), value);
    const rows = content.get(bucket) ?? new Map<string, string>();
    content.set(bucket, rows.set(key, Buffer.from(value).toString('latin1')));
  };
  const count = random.below(random.chance(0.1) ? 2000 : 50);
  for (let i = 0; i < count; i++) {
    const size = random.below(random.chance(0.01) ? 40_000 : 400);
    put('key', revision(round * 10_000 + i), random.bytes(size));
  }
  for (let i = random.below(40); i > 0; i--) put('lease', String(random.below(400)), random.bytes(20));
  put('meta', 'consistent_index', encode(String(round)));
  // A compaction now and then: most of what is old goes.
  const share = random.chance(0.05) ? 0.8 : 0.01;
  for (const bucket of ['key', 'lease']) {
    const rows = content.get(bucket);
    for (const key of [...(rows?.keys() ?? [])]) {
      if (!random.chance(share)) continue;
      backend.delete(bucket, encode(key));
      rows!.delete(key);
    }
  }
}

const assertSound = async (path: string): Promise<void> => {
  const { stdout } = await succeeded(bbolt(['check', path]));
  assert.match(stdout, /^OK$/m);
};

test('bbolt finds nothing wrong with a backend and its views', { skip: skipReason('3.7') }, async (t) => {
  const seed = seedOfRun();
  t.diagnostic(`seed ${seed}`);
  const random = new Random(seed);
  const directory = scratch(t);
  const path = join(directory, 'db');
  const content: Content = new Map();
  let backend = await BoltBackend.open(hastyDisk(), path, { isNew: true });
  const views: DurableView[] = [];
  let written = 0;
  /** As `snapshot save` would, some time after it was opened. */
  const writeDown = async (view: DurableView): Promise<void> => {
    const file = join(directory, `view-${written++}`);
    writeFileSync(file, readAt(view.source, 0, view.source.size));
    view.close();
    await assertSound(file);
  };
  for (let round = 1; round <= ROUNDS; round++) {
    change(backend, content, random, round);
    if (random.chance(0.1)) views.push(await backend.openView());
    else await backend.commit();
    if (random.chance(0.08) && views.length > 0)
      await writeDown(views.splice(random.below(views.length), 1)[0]!);
    if (random.chance(0.02)) await backend.defrag();
    if (random.chance(0.02)) {
      for (const view of views.splice(0)) await writeDown(view);
      await backend.close();
      await assertSound(path);
      backend = await BoltBackend.open(hastyDisk(), path);
    }
  }
  for (const view of views) await writeDown(view);
  await backend.defrag();
  change(backend, content, random, ROUNDS + 1);
  await backend.close();
  await assertSound(path);
  assert.deepEqual(contentOfFile(path), content);
  assert.ok(written > 10, `${written} views`);
});

/** Many small commits that leave the rows as they were, with a view and a rewrite in between. */
async function churn(path: string): Promise<void> {
  const backend = await BoltBackend.open(hastyDisk(), path);
  const mine = (i: number): Uint8Array => encode(`\xff${String(i).padStart(7, '0')}`);
  const view = await backend.openView();
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 300; i++) backend.put('lease', mine(round * 100 + i), encode('x'.repeat(i)));
    await backend.commit();
    for (let i = 0; i < 250; i++) backend.delete('lease', mine(round * 100 + i));
    await backend.commit();
    // Rows that are there are written again, as they are.
    for (const { key, value } of [...backend.scan('key')].filter((_, i) => i % 20 === round))
      backend.put('key', key, value);
    if (round === 10) await backend.defrag();
  }
  for (let i = 0; i < 2500; i++) backend.delete('lease', mine(i));
  view.close();
  await backend.close();
}

for (const version of VERSIONS) {
  test(
    `etcd ${version} and a backend write to one database in turn`,
    { skip: skipReason(version) || skipReason('3.7') },
    async (t) => {
      const dataDir = join(scratch(t), 'data');
      const ports = await freeMemberPorts();
      let seen: unknown;
      for (let turn = 0; turn < 3; turn++) {
        seen = await serve(version, { dataDir, ports }, async (server) => {
          const before = await getAll(server);
          if (seen) assert.deepEqual([before.kvs, (await hashKv(server)).hash], seen, `turn ${turn}`);
          await runLoad(server, { kind: 'bench', revisions: 800, keys: 200, valueMax: 3000, seed: turn });
          if (turn === 1) await compactPhysically(server, before.header.revision);
          return [(await getAll(server)).kvs, (await hashKv(server)).hash];
        });
        const before = contentOfFile(databaseIn(dataDir));
        await churn(databaseIn(dataDir));
        assert.deepEqual(contentOfFile(databaseIn(dataDir)), before);
        await assertSound(databaseIn(dataDir));
      }
    },
  );
}

test('bbolt reads all of what a backend made', { skip: skipReason('3.7') }, async (t) => {
  const path = join(scratch(t), 'db');
  const backend = await BoltBackend.open(hastyDisk(), path, { isNew: true });
  await assertSound(path);
  for (let i = 0; i < 5000; i++) backend.put('key', encode(revision(i)), encode('v'.repeat(i % 300)));
  await backend.close();
  const compacted = `${path}.compacted`;
  await succeeded(bbolt(['compact', '-o', compacted, path]));
  assert.deepEqual(contentOfFile(compacted), contentOfFile(path));
});
