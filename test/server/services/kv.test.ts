/** Keys and values as clients get and change them. */
import { OPEN_ACCESS } from '../open-access.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Input } from '../../../src/format/proto/field.ts';
import * as kv from '../../../src/format/proto/kvpb.ts';
import { keyValue } from '../../../src/format/proto/mvccpb.ts';
import * as requests from '../../../src/format/proto/rpcpb.ts';
import { STATUS } from '../../../src/rpc/status.ts';
import { etcdError } from '../../../src/server/rpc-errors.ts';
import { type KvOptions, kvService } from '../../../src/server/services/kv.ts';
import { ask } from '../fake-call.ts';
import { MemoryCore, type MemoryCoreOptions } from '../memory-core.ts';

const PATH = '/etcdserverpb.KV/';
const bytes = (text: string): Uint8Array => Buffer.from(text);
const pairOf = (encoded: Uint8Array): string => {
  const { key, value } = keyValue.decode(encoded);
  return `${Buffer.from(key).toString()}=${Buffer.from(value).toString()}`;
};

function bench(options: Partial<KvOptions> = {}, coreOptions: MemoryCoreOptions = {}) {
  const core = new MemoryCore(coreOptions);
  const methods = kvService(core, {
    access: OPEN_ACCESS,
    txnOperationsMax: 128,
    admit: async () => {},
    ...options,
  });
  return {
    core,
    methods,
    range: (request: Input<requests.RangeRequest>) =>
      ask(methods, `${PATH}Range`, [requests.rangeRequest, request], kv.rangeResponse),
    put: (key: string, value = 'v', more: Input<requests.PutRequest> = {}) => {
      const request = { key: bytes(key), value: bytes(value), ...more };
      return ask(methods, `${PATH}Put`, [requests.putRequest, request], kv.putResponse);
    },
    deleteRange: (request: Input<requests.DeleteRangeRequest>) =>
      ask(methods, `${PATH}DeleteRange`, [requests.deleteRangeRequest, request], kv.deleteRangeResponse),
    txn: (request: Input<requests.TxnRequest>) =>
      ask(methods, `${PATH}Txn`, [requests.txnRequest, request], kv.txnResponse),
    compact: (revision: bigint, physical = false) =>
      ask(
        methods,
        `${PATH}Compact`,
        [requests.compactionRequest, { revision, physical }],
        kv.compactionResponse,
      ),
  };
}

test('a put says its revision, and gives what was there when asked', async () => {
  const { core, put, range } = bench();
  assert.deepEqual((await put('a', '1')).header, core.header(2));
  const second = await put('a', '2', { prevKv: true });
  assert.deepEqual([second.header?.revision, pairOf(second.prevKv!)], [3, 'a=1']);
  const { kvs, count, header } = await range({ key: bytes('a') });
  assert.deepEqual([kvs.map(pairOf), count, header], [['a=2'], 1, core.header()]);
});

test('writes of one batch say a revision each, not that of the last', async () => {
  const { put, txn } = bench();
  const answers = await Promise.all([
    put('a'),
    put('b'),
    txn({ success: [{ requestDeleteRange: { key: bytes('a') } }] }),
    txn({ success: [{ requestPut: { key: bytes('c'), value: bytes('v') } }] }),
  ]);
  assert.deepEqual(
    answers.map(({ header }) => header?.revision),
    [2, 3, 4, 5],
  );
});

test('a range has its limit, its order, and the past', async () => {
  const { put, range } = bench();
  for (const key of ['a', 'b', 'c']) await put(key, '1');
  await put('b', '2');
  const all = { key: bytes('a'), rangeEnd: bytes('z') };
  const first = await range({ ...all, limit: 2n });
  assert.deepEqual([first.kvs.map(pairOf), first.more, first.count], [['a=1', 'b=2'], true, 3]);
  const past = await range({ ...all, revision: 3n });
  assert.deepEqual([past.kvs.map(pairOf), past.header?.revision], [['a=1', 'b=1'], 5]);
  const { kvs } = await range({ ...all, sortOrder: 2, sortTarget: 0 });
  assert.deepEqual(kvs.map(pairOf), ['c=1', 'b=2', 'a=1']);
});

test('a deletion of nothing takes no revision, and says so', async () => {
  const { put, deleteRange } = bench();
  await put('a', '1');
  const none = await deleteRange({ key: bytes('x') });
  assert.deepEqual([none.header?.revision, none.deleted], [2, 0]);
  const one = await deleteRange({ key: bytes('a'), prevKv: true });
  assert.deepEqual([one.header?.revision, one.deleted, one.prevKvs.map(pairOf)], [3, 1, ['a=1']]);
});

test('a transaction that only reads is answered at once: no entry, no revision, no room asked for', async () => {
  const asked: number[] = [];
  const { core, put, txn } = bench({ admit: async (cost) => void asked.push(cost) });
  await put('a', '1');
  asked.length = 0;
  const read = { requestRange: { key: bytes('a') } };
  const isThere = { key: bytes('a'), target: 0, result: 0, version: 1n };
  for (const [compare, succeeded] of [
    [[isThere], true],
    [[{ ...isThere, version: 5n }], false],
  ] as const) {
    const answer = await txn({ compare: [...compare], success: [read], failure: [read, read] });
    assert.equal(answer.succeeded, succeeded);
    assert.equal(answer.header?.revision, 2);
    assert.deepEqual(
      answer.responses.map(({ responseRange }) => responseRange!.kvs.map(pairOf)),
      succeeded ? [['a=1']] : [['a=1'], ['a=1']],
    );
  }
  assert.deepEqual([core.proposals.length, core.keys.revision, asked], [1, 2, []]);
});

test('a transaction with a write in either branch is proposed', async () => {
  const { core, txn } = bench();
  const write = { requestPut: { key: bytes('a'), value: bytes('1') } };
  const answer = await txn({ failure: [write] });
  assert.deepEqual([answer.succeeded, answer.header?.revision, core.proposals.length], [true, 1, 1]);
  const nested = { requestTxn: { success: [{ requestRange: { key: bytes('a') } }] } };
  await txn({ success: [nested] });
  assert.equal(core.proposals.length, 2, 'a nested one counts as a write');
});

test('a physical compaction is answered when its records are gone, another one at once', async () => {
  const { core, put, compact } = bench();
  for (const value of ['1', '2', '3', '4']) await put('a', value);
  let end = (): void => {};
  const compacted = new Promise<void>((resolve) => {
    end = resolve;
  });
  const { propose } = core;
  core.propose = async (request) => ({ ...(await propose.call(core, request)), compacted });
  assert.equal((await compact(3n)).header?.revision, 5);
  let isAnswered = false;
  const physical = compact(4n, true).then(() => {
    isAnswered = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isAnswered, false);
  end();
  await physical;
});

test('what etcd refuses is refused with its status and its words', async () => {
  const { put, range, deleteRange, txn, compact } = bench({ txnOperationsMax: 2 });
  for (const value of ['1', '2', '3']) await put('a', value);
  await compact(3n);
  const { invalidArgument, outOfRange, notFound } = STATUS;
  const read = { requestRange: { key: bytes('a') } };
  const write = { requestPut: { key: bytes('a'), value: bytes('v') } };
  for (const [call, status, message] of [
    [range({}), invalidArgument, 'etcdserver: key is not provided'],
    [put(''), invalidArgument, 'etcdserver: key is not provided'],
    [deleteRange({}), invalidArgument, 'etcdserver: key is not provided'],
    [
      range({ key: bytes('a'), revision: 2n }),
      outOfRange,
      'etcdserver: mvcc: required revision has been compacted',
    ],
    [
      range({ key: bytes('a'), revision: 9n }),
      outOfRange,
      'etcdserver: mvcc: required revision is a future revision',
    ],
    [put('a', 'v', { lease: 9n }), notFound, 'etcdserver: requested lease not found'],
    [put('x', '', { ignoreValue: true }), invalidArgument, 'etcdserver: key not found'],
    [put('a', 'v', { ignoreValue: true }), invalidArgument, 'etcdserver: value is provided'],
    [put('a', 'v', { ignoreLease: true, lease: 1n }), invalidArgument, 'etcdserver: lease is provided'],
    [txn({ success: [read, read, read] }), invalidArgument, 'etcdserver: too many operations in txn request'],
    [txn({ success: [write, write] }), invalidArgument, 'etcdserver: duplicate key given in txn request'],
    [compact(2n), outOfRange, 'etcdserver: mvcc: required revision has been compacted'],
    [compact(9n), outOfRange, 'etcdserver: mvcc: required revision is a future revision'],
  ] as const) {
    await assert.rejects(call as Promise<unknown>, { status, message });
  }
});

test('without room no put and no writing transaction is proposed; deletions and reads go on', async () => {
  const asked: number[] = [];
  const { core, put, txn, deleteRange, range } = bench({
    admit: async (cost) => {
      asked.push(cost);
      throw etcdError('etcdserver: mvcc: database space exceeded');
    },
  });
  const refused = { status: STATUS.resourceExhausted, message: 'etcdserver: mvcc: database space exceeded' };
  await assert.rejects(put('abc', 'de'), refused);
  await assert.rejects(txn({ success: [{ requestPut: { key: bytes('abc'), value: bytes('d') } }] }), refused);
  assert.deepEqual([asked, core.proposals], [[261, 260], []]);
  await deleteRange({ key: bytes('a') });
  await range({ key: bytes('a') });
  assert.equal(core.proposals.length, 1);
});

test('over data that is only looked at, reads are answered and writes refused', async () => {
  const { put, txn, range, compact } = bench({}, { isReadOnly: true });
  const refused = { status: STATUS.failedPrecondition, message: /read-only/ };
  await assert.rejects(put('a'), refused);
  await assert.rejects(compact(1n), refused);
  assert.equal((await range({ key: bytes('a') })).count, 0);
  assert.equal((await txn({ success: [{ requestRange: { key: bytes('a') } }] })).succeeded, true);
});
