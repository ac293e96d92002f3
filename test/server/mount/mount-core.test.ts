/** Changes to what is mounted: refused, or kept in a file of their own that is thrown away. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { compactionResponse, deleteRangeResponse } from '../../../src/format/proto/kvpb.ts';
import { compactionRequest, deleteRangeRequest, leaseGrantRequest } from '../../../src/format/proto/rpcpb.ts';
import { leaseGrantResponse } from '../../../src/format/proto/lease-service.ts';
import {
  memberAddRequest,
  memberAddResponse,
  memberRemoveRequest,
  memberRemoveResponse,
} from '../../../src/format/proto/cluster-service.ts';
import { STATUS } from '../../../src/rpc/status.ts';
import { fixture } from '../../support/fixtures.ts';
import { scratch } from '../../support/scratch.ts';
import { unchanged } from '../../support/unchanged.ts';
import { ask } from '../fake-call.ts';
import { Mounted } from './mounted.ts';

const SNAPSHOT = fixture('snap/snap-3.6.db');

/** In the order of keys, as a range has them. */
function ordered(pairs: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(pairs).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A directory for what is temporary, this test's own. */
function temporary(t: TestContext): string {
  const folder = scratch(t);
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = folder;
  t.after(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });
  return folder;
}

test('what is read-only refuses every kind of change, and names --scratch', async (t) => {
  const mounted = await Mounted.at(t, SNAPSHOT);
  const { methods } = mounted;
  const refusal = { status: STATUS.failedPrecondition, message: /read-only; serve it with --scratch/ };
  const key = Buffer.from('a');
  const KV = '/etcdserverpb.KV/';
  await assert.rejects(
    ask(methods, `${KV}DeleteRange`, [deleteRangeRequest, { key }], deleteRangeResponse),
    refusal,
  );
  await assert.rejects(
    ask(methods, `${KV}Compact`, [compactionRequest, { revision: 19n }], compactionResponse),
    refusal,
  );
  const grant = [leaseGrantRequest, { id: 5n, ttl: 60n }] as const;
  await assert.rejects(
    ask(methods, '/etcdserverpb.Lease/LeaseGrant', [...grant], leaseGrantResponse),
    refusal,
  );
  const add = [memberAddRequest, { peerUrls: ['http://127.0.0.1:9'] }] as const;
  await assert.rejects(ask(methods, '/etcdserverpb.Cluster/MemberAdd', [...add], memberAddResponse), refusal);
  const remove = [memberRemoveRequest, { id: mounted.served.core.identity.memberId }] as const;
  await assert.rejects(
    ask(methods, '/etcdserverpb.Cluster/MemberRemove', [...remove], memberRemoveResponse),
    refusal,
  );
  assert.equal(mounted.served.core.isReadOnly, true);
});

test('over a scratch layer changes are seen, the file stays, and nothing is left behind', async (t) => {
  const folder = temporary(t);
  await unchanged(SNAPSHOT, async () => {
    const mounted = await Mounted.at(t, SNAPSHOT, { isScratch: true });
    const before = await mounted.all();
    const { revision } = mounted.served.core.keys;
    assert.equal((await mounted.put('zz/new', '1')).header?.revision, revision + 1);
    assert.equal((await mounted.put(Object.keys(before)[0]!, 'changed')).header?.revision, revision + 2);
    const after = await mounted.all();
    assert.deepEqual(after, { ...before, [Object.keys(before)[0]!]: 'changed', 'zz/new': '1' });
    assert.deepEqual(await mounted.all(revision), before, 'the past is as it was');
    assert.equal(readdirSync(folder).length, 1);
    await mounted.stop();
  });
  assert.deepEqual(readdirSync(folder), []);
});

test('an older revision goes on from there, as if nothing had come after it', async (t) => {
  temporary(t);
  const revision = 17;
  const old = await Mounted.at(t, SNAPSHOT, { revision });
  const mounted = await Mounted.at(t, SNAPSHOT, { revision, isScratch: true });
  const before = await old.all();
  assert.equal((await mounted.put('branch', '1')).header?.revision, revision + 1);
  assert.deepEqual(await mounted.all(), ordered({ ...before, branch: '1' }));
  assert.deepEqual(await mounted.all(revision), before);
});

test('many changes stay right while they are committed', async (t) => {
  temporary(t);
  const mounted = await Mounted.at(t, SNAPSHOT, { isScratch: true });
  const before = await mounted.all();
  const expected = { ...before };
  for (let i = 0; i < 300; i++) {
    const [key, value] = [`many/${String(i % 40).padStart(2, '0')}`, `${i}`];
    expected[key] = value;
    await mounted.put(key, value);
    if (i % 100 === 50) await new Promise((resolve) => setTimeout(resolve, 120));
  }
  assert.deepEqual(await mounted.all(), ordered(expected));
});

test('a compaction drops the history of the scratch layer and of the file under it', async (t) => {
  temporary(t);
  await unchanged(SNAPSHOT, async () => {
    const mounted = await Mounted.at(t, SNAPSHOT, { isScratch: true });
    const before = await mounted.all();
    const revision = mounted.served.core.keys.revision;
    await ask(
      mounted.methods,
      '/etcdserverpb.KV/Compact',
      [compactionRequest, { revision: BigInt(revision), physical: true }],
      compactionResponse,
    );
    assert.deepEqual(await mounted.all(), before);
    await assert.rejects(mounted.all(revision - 1), {
      status: STATUS.outOfRange,
      message: 'etcdserver: mvcc: required revision has been compacted',
    });
    assert.equal((await mounted.hashKv()).compactRevision, revision);
    assert.equal([...mounted.served.core.backend.scan('key')].length, Object.keys(before).length);
    await mounted.stop();
  });
});
