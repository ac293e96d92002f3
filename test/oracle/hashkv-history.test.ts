// The same history on real etcd 3.6 and on the server under test gives the same keys and the same HashKV, at the
// end and at every revision that is asked for on the way.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scratch } from '../support/scratch.ts';
import { compactPhysically, getAll, hashKv, runLoad } from './etcd.ts';
import type { EtcdServer } from './etcd.ts';
import { isOurs, isSoak, startBoth, subjectSkip as skip } from './subject.ts';

const SEEDS = isSoak ? 20 : 3;

/**
 * Hash and compaction at several revisions between the oldest and the last. Not at the one compacted to: until it is
 * started again, etcd answers there with what it hashed while it compacted, of records that are gone by then.
 */
async function hashesOf(server: EtcdServer): Promise<object[]> {
  const { header, compactRevision } = await hashKv(server);
  const first = Math.max(1, compactRevision + 1);
  const hashes: object[] = [];
  for (let part = 0; part <= 4; part++) {
    const revision = first + Math.round(((header.revision - first) * part) / 4);
    const answer = await hashKv(server, revision);
    hashes.push({
      revision,
      hash: answer.hash,
      compacted: answer.compactRevision,
      last: answer.header.revision,
    });
  }
  return hashes;
}

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`equal histories have equal hashes: seed ${seed}`, { skip }, async (t) => {
    const { real, subject } = await startBoth(t, scratch(t), { snapshotCount: 100 });
    const load = { kind: 'mixed', seed, operations: 400, users: !isOurs && seed % 2 === 0 } as const;
    const [theirs, ours] = await Promise.all([runLoad(real, load), runLoad(subject, load)]);
    assert.deepEqual({ ...ours, seconds: 0 }, { ...theirs, seconds: 0 });
    assert.deepEqual(await hashesOf(subject), await hashesOf(real));
    assert.deepEqual((await getAll(subject)).kvs, (await getAll(real)).kvs);

    const writes = { kind: 'bench', seed, revisions: 1500, keys: 200, parallel: 1 } as const;
    await Promise.all([runLoad(real, writes), runLoad(subject, writes)]);
    assert.deepEqual(await hashesOf(subject), await hashesOf(real));
    const { header } = await hashKv(real);
    for (const server of [real, subject]) await compactPhysically(server, header.revision - 300);
    assert.deepEqual(await hashesOf(subject), await hashesOf(real));
  });
}
