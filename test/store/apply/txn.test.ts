import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { Input } from '../../../src/format/proto/field.ts';
import {
  type DeleteRangeResponse,
  type PutResponse,
  type TxnResponse,
  txnResponse,
} from '../../../src/format/proto/kvpb.ts';
import { keyValue } from '../../../src/format/proto/mvccpb.ts';
import {
  COMPARE_RESULT,
  COMPARE_TARGET,
  type Compare,
  type RequestOp,
} from '../../../src/format/proto/rpcpb.ts';
import { text } from '../database-builder.ts';
import { bytesOf, NaiveStore } from '../naive-store.ts';
import { grant, put, remove, type Request, StateMachine } from './state-machine.ts';

const op = (key: string, value = 'v'): object => ({ requestPut: { key: text(key), value: text(value) } });

test('puts count revisions, and need their lease and their key', () => {
  const state = new StateMachine();
  state.accept(grant(7n), put('a', '1', 7n));
  assert.equal(state.ask(put('b', '1', 9n)), 'requested lease not found');
  const key = text('a');
  for (const flag of ['ignoreValue', 'ignoreLease'])
    assert.equal(state.ask({ put: { key: text('x'), [flag]: true } }), 'etcdserver: key not found');
  state.accept({ put: { key, ignoreValue: true } }, put('a', '2', 7n), {
    put: { key, value: text('3'), ignoreLease: true },
  });
  assert.deepEqual(state.records(), ['2.0 a=1', '3.0 a=1', '4.0 a=2', '5.0 a=3']);
  const [pair] = state.applier.keys.range({ key, end: undefined });
  assert.deepEqual([pair?.createRevision, pair?.version, pair?.lease], [2, 4, 7n]);
});

for (const [key, end, deleted] of [
  ['b', '', ['5.0 b†']],
  ['a', 'c', ['5.0 a†', '5.1 b†']],
  ['b', '\0', ['5.0 b†', '5.1 c†']],
  ['x', '', []],
] as const) {
  test(`a deletion of ${key} to ${JSON.stringify(end)}`, () => {
    const state = new StateMachine();
    state.accept(put('c'), put('a'), put('b'), remove(key, end));
    assert.deepEqual(state.records().slice(3), deleted);
    assert.equal(state.applier.keys.revision, deleted.length > 0 ? 5 : 4);
  });
}

const { equal, greater, less, notEqual } = COMPARE_RESULT;
const { version, create, mod, value, lease } = COMPARE_TARGET;
/** `a` was made at 2 and changed at 3, with lease 7; `b` was made at 4. */
const compares: Array<[Partial<Compare> & { key: Uint8Array }, boolean]> = [
  [{ key: text('a'), target: version, result: equal, version: 2n }, true],
  [{ key: text('a'), target: version, result: notEqual, version: 2n }, false],
  [{ key: text('a'), target: create, result: equal, createRevision: 2n }, true],
  [{ key: text('a'), target: create, result: less, createRevision: 2n }, false],
  [{ key: text('a'), target: mod, result: greater, modRevision: 2n }, true],
  [{ key: text('a'), target: mod, result: greater, modRevision: 3n }, false],
  [{ key: text('a'), target: value, result: less, value: text('3') }, true],
  [{ key: text('a'), target: value, result: equal, value: text('3') }, false],
  [{ key: text('a'), target: lease, result: equal, lease: 7n }, true],
  [{ key: text('a'), target: lease, result: equal, lease: 0n }, false],
  [{ key: text('x'), target: version, result: equal, version: 0n }, true],
  [{ key: text('x'), target: lease, result: greater, lease: 0n }, false],
  [{ key: text('x'), target: value, result: notEqual, value: text('1') }, false],
  [{ key: text('a'), rangeEnd: text('c'), target: create, result: greater, createRevision: 1n }, true],
  [{ key: text('a'), rangeEnd: text('c'), target: create, result: equal, createRevision: 2n }, false],
];

describe('a transaction', () => {
  for (const [i, [compare, expected]] of compares.entries()) {
    test(`compares, case ${i}`, () => {
      const state = new StateMachine();
      state.accept(grant(7n), put('a', '1', 7n), put('a', '2', 7n), put('b'));
      state.accept({ txn: { compare: [compare], success: [op('yes')], failure: [op('no')] } });
      assert.equal(state.keys().at(-1), expected ? 'yes' : 'no');
    });
  }

  test('is one revision; deletions see earlier puts, compares of nested ones do not', () => {
    const state = new StateMachine();
    const isNew = { key: text('a'), target: version, result: equal, version: 0n };
    const nested = { compare: [isNew], success: [op('new')], failure: [op('old')] };
    const deletion = { requestDeleteRange: { key: text('a') } };
    state.accept({ txn: { success: [op('a'), { requestTxn: nested }, deletion, op('z')] } });
    assert.deepEqual(state.records(), ['2.0 a=v', '2.1 new=v', '2.2 a†', '2.3 z=v']);
    state.accept({ txn: { success: [deletion] } });
    assert.equal(state.applier.keys.revision, 2);
  });

  const failing: Array<[object, RegExp]> = [
    [{ requestPut: { key: text('b'), lease: 9n } }, /lease not found/],
    [{ requestPut: { key: text('b'), ignoreValue: true } }, /key not found/],
    [{ requestRange: { key: text('a'), revision: 99n } }, /future revision/],
    [{ requestRange: { key: text('a'), revision: 2n } }, /compacted/],
    [{ requestRange: { key: text('a'), revision: -1n } }, /compacted/],
  ];
  for (const [bad, reason] of failing) {
    test(`fails whole: ${reason.source} ${Object.keys(bad)[0]}`, () => {
      const state = new StateMachine();
      state.accept(put('a', '1'), put('a', '2'), { compaction: { revision: 3n } });
      assert.match(state.ask({ txn: { success: [op('c'), bad] } }) ?? '', reason);
      assert.deepEqual(state.records(), ['3.0 a=2']);
      state.accept({ txn: { success: [op('c')], failure: [bad] } });
      assert.deepEqual(state.records(), ['3.0 a=2', '4.0 c=v']);
    });
  }
});

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const shown = (bytes: Uint8Array): string => {
  if (bytes.length === 0) return 'none';
  const { key, value, modRevision } = keyValue.decode(bytes);
  return `${textOf(key)}=${textOf(value)}@${modRevision}`;
};

describe('the answer', () => {
  const answer = (request: Request, state = new StateMachine()): unknown => {
    state.accept(grant(7n), put('a', '1', 7n), put('b', '2'));
    return state.request(request).response;
  };
  const putOf = (request: Request): string => {
    const { header, prevKv } = answer(request) as PutResponse;
    return `${shown(prevKv)} at ${header?.revision}`;
  };
  const deletionOf = (request: Request): string => {
    const { header, deleted, prevKvs } = answer(request) as DeleteRangeResponse;
    return `${deleted}: ${prevKvs.map(shown).join()} at ${header?.revision}`;
  };
  const deletion = (key: string, rangeEnd: string, prevKv: boolean): Request => ({
    deleteRange: { key: text(key), rangeEnd: text(rangeEnd), prevKv },
  });

  test('to a put has its revision, and what was there when that was asked for', () => {
    assert.equal(putOf(put('a', '9')), 'none at 4');
    assert.equal(putOf({ put: { key: text('a'), value: text('9'), prevKv: true } }), 'a=1@2 at 4');
    assert.equal(putOf({ put: { key: text('x'), prevKv: true } }), 'none at 4');
  });

  test('to a deletion counts, and gives what was there when that was asked for', () => {
    assert.equal(deletionOf(deletion('a', 'c', false)), '2:  at 4');
    assert.equal(deletionOf(deletion('a', '\0', true)), '2: a=1@2,b=2@3 at 4');
    assert.equal(deletionOf(deletion('x', '', true)), '0:  at 3');
  });

  test('to a transaction is that of the branch that was done, nested ones in their places', () => {
    const range = { requestRange: { key: text('a'), rangeEnd: text('z') } };
    const nested = { requestTxn: { compare: [{ key: text('x') }], success: [op('n')], failure: [range] } };
    const response = answer({ txn: { success: [op('c'), range, nested, range], failure: [] } });
    const { succeeded, responses, header } = response as TxnResponse;
    const [first, second, third, fourth] = responses;
    assert.deepEqual([succeeded, header?.revision], [true, 4]);
    assert.equal(first?.responsePut?.header?.revision, 4);
    const { kvs = [], count, header: inner } = second?.responseRange ?? {};
    assert.deepEqual([kvs.map(shown), count, inner?.revision], [['a=1@2', 'b=2@3', 'c=v@4'], 3, 4]);
    // Of nested ones etcd leaves the header empty.
    assert.deepEqual([third?.responseTxn?.succeeded, third?.responseTxn?.header?.revision], [true, 0]);
    assert.equal(third?.responseTxn?.responses[0]?.responsePut?.header?.revision, 4);
    assert.deepEqual(fourth?.responseRange?.kvs.map(shown), ['a=1@2', 'b=2@3', 'c=v@4', 'n=v@4']);
  });

  test('to a range at the revision before does not see what the transaction has put', () => {
    const range = (revision: bigint): object => ({
      requestRange: { key: text('a'), rangeEnd: text('z'), revision },
    });
    const ops = [op('a', '9'), op('c'), range(3n), range(0n), range(2n)];
    const { responses } = answer({ txn: { success: ops } }) as TxnResponse;
    const ranges = responses.slice(2).map((one) => one.responseRange!);
    assert.deepEqual(
      ranges.map(({ kvs, count }) => `${kvs.map(shown).join()} of ${count}`),
      ['a=1@2,b=2@3 of 2', 'a=9@4,b=2@3,c=v@4 of 3', 'a=1@2 of 1'],
    );
  });

  test('to a transaction that changes nothing has the revision before', () => {
    const range = { requestRange: { key: text('a'), revision: 2n } };
    const { succeeded, responses, header } = answer({
      txn: { compare: [{ key: text('a'), target: version, version: 5n }], failure: [range] },
    }) as TxnResponse;
    assert.deepEqual(
      [succeeded, header?.revision, responses[0]?.responseRange?.header?.revision],
      [false, 3, 3],
    );
    assert.deepEqual(responses[0]?.responseRange?.kvs.map(shown), ['a=1@2']);
  });

  test('can be encoded, and an operation that asks for nothing has one', () => {
    const response = answer({ txn: { success: [{}, op('c')] } }) as TxnResponse;
    assert.deepEqual(response.responses[0], {});
    const decoded = txnResponse.decode(txnResponse.encode(response));
    assert.equal(decoded.responses[1]?.responsePut?.header?.revision, 4);
  });
});

test('a key that is not there is told before a lease that is not there, but not by a plain put', () => {
  const bad = { key: text('x'), lease: 9n, ignoreValue: true };
  const state = new StateMachine();
  assert.match(state.ask({ put: bad }) ?? '', /lease not found/);
  assert.match(state.ask({ txn: { success: [{ requestPut: bad }] } }) ?? '', /key not found/);
});

test('any operations of a transaction answer what they would one by one', () => {
  const key = fc.constantFrom('a', 'b', 'c');
  const operation = fc.record({
    kind: fc.constantFrom('put', 'delete', 'range'),
    ...{ key, end: fc.constantFrom('', 'c', '\0'), value: fc.constantFrom('', '1', '2') },
  });
  fc.assert(
    fc.property(fc.array(fc.array(operation, { maxLength: 5 }), { maxLength: 8 }), (transactions) => {
      const state = new StateMachine();
      const naive = new NaiveStore();
      for (const ops of transactions) {
        const requests = ops.map(({ kind, key: name, end, value: content }): Input<RequestOp> => {
          const range = { key: text(name), rangeEnd: text(end) };
          if (kind === 'put') return { requestPut: { key: text(name), value: text(content), prevKv: true } };
          return kind === 'delete'
            ? { requestDeleteRange: { ...range, prevKv: true } }
            : { requestRange: range };
        });
        const expected: string[][] = [];
        naive.change(() => {
          for (const { kind, key: name, end, value: content } of ops) {
            const to = end === '' ? undefined : end === '\0' ? '' : end;
            if (kind === 'range') expected.push(naive.range(name, to).map((one) => shown(bytesOf(one))));
            else if (kind === 'delete')
              expected.push(naive.delete(name, to).map((one) => shown(bytesOf(one))));
            else {
              const before = naive.now(name);
              expected.push([before ? shown(bytesOf(before)) : 'none']);
              naive.put(name, content);
            }
          }
        });
        const { header, responses } = state.request({ txn: { success: requests } }).response as TxnResponse;
        const found = responses.map(({ responsePut, responseDeleteRange, responseRange }) =>
          responsePut
            ? [shown(responsePut.prevKv)]
            : (responseDeleteRange?.prevKvs ?? responseRange!.kvs).map(shown),
        );
        assert.deepEqual(found, expected);
        assert.deepEqual([header?.revision, state.applier.keys.revision], [naive.revision, naive.revision]);
      }
    }),
    { numRuns: 200 },
  );
});
