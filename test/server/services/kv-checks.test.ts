/** What the KV service refuses by the request alone. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  deleteRangeRequest,
  putRequest,
  rangeRequest,
  type RequestOp,
  type TxnRequest,
  txnRequest,
} from '../../../src/format/proto/rpcpb.ts';
import type { Input } from '../../../src/format/proto/field.ts';
import { checkDelete, checkPut, checkRange, checkTxn } from '../../../src/server/services/kv-checks.ts';
import { STATUS } from '../../../src/rpc/status.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const refusal = (text: string): { status: number; message: string } => ({
  status: STATUS.invalidArgument,
  message: `etcdserver: ${text}`,
});
const txn = (request: Input<TxnRequest>): TxnRequest => txnRequest.decode(txnRequest.encode(request));
const put = (key: string): Input<RequestOp> => ({ requestPut: { key: bytes(key) } });
const remove = (key: string, rangeEnd = ''): Input<RequestOp> => ({
  requestDeleteRange: { key: bytes(key), rangeEnd: bytes(rangeEnd) },
});
const within = (success: Input<RequestOp>[], failure: Input<RequestOp>[] = []): Input<RequestOp> => ({
  requestTxn: { success, failure },
});

describe('single requests', () => {
  test('a key must be given', () => {
    const none = new Uint8Array();
    const empty = refusal('key is not provided');
    assert.throws(() => checkRange(rangeRequest.decode(none)), empty);
    assert.throws(() => checkPut(putRequest.decode(none)), empty);
    assert.throws(() => checkDelete(deleteRangeRequest.decode(none)), empty);
  });

  test('orders and targets that do not exist are refused', () => {
    const range = (sort: object): void =>
      checkRange(rangeRequest.decode(rangeRequest.encode({ key: bytes('a'), ...sort })));
    assert.throws(() => range({ sortOrder: 3 }), refusal('invalid sort option'));
    assert.throws(() => range({ sortTarget: 5 }), refusal('invalid sort option'));
    range({ sortOrder: 2, sortTarget: 4 });
  });

  test('what is to be ignored must not be given', () => {
    const check = (fields: object): void =>
      checkPut(putRequest.decode(putRequest.encode({ key: bytes('a'), ...fields })));
    assert.throws(() => check({ value: bytes('x'), ignoreValue: true }), refusal('value is provided'));
    assert.throws(() => check({ lease: 4n, ignoreLease: true }), refusal('lease is provided'));
    check({ ignoreValue: true, ignoreLease: true });
  });
});

describe('transactions', () => {
  test('each list has its limit, and nested ones share it', () => {
    const three = ['a', 'b', 'c'].map(put);
    checkTxn(txn({ success: three }), 3);
    assert.throws(() => checkTxn(txn({ failure: three }), 2), refusal('too many operations in txn request'));
    checkTxn(txn({ success: [within(three)] }), 4);
    assert.throws(
      () => checkTxn(txn({ success: [within(three)] }), 3),
      refusal('too many operations in txn request'),
    );
  });

  test('keys must be given everywhere, and an operation too', () => {
    assert.throws(() => checkTxn(txn({ compare: [{}] }), 8), refusal('key is not provided'));
    assert.throws(() => checkTxn(txn({ success: [within([put('')])] }), 8), refusal('key is not provided'));
    assert.throws(() => checkTxn(txn({ success: [{}] }), 8), refusal('key not found'));
  });

  const duplicates: Record<string, Input<RequestOp>[]> = {
    'a key put twice': [put('a'), put('a')],
    'a key put and deleted': [put('a'), remove('a')],
    'a key put inside a range that is deleted': [remove('a', 'c'), put('b')],
    'a key put here and in a nested transaction': [put('a'), within([], [put('a')])],
    'a key put in two nested transactions': [within([put('a')]), within([put('a')])],
    'a key put here and deleted in a nested transaction': [within([remove('a')]), put('a')],
  };
  for (const [what, success] of Object.entries(duplicates)) {
    test(`${what} is refused in either branch`, () => {
      const refused = refusal('duplicate key given in txn request');
      assert.throws(() => checkTxn(txn({ success }), 8), refused);
      assert.throws(() => checkTxn(txn({ failure: success }), 8), refused);
    });
  }

  const allowed: Record<string, Input<TxnRequest>> = {
    'a key put in both branches': { success: [put('a')], failure: [put('a')] },
    'a key put in both branches of a nested transaction': { success: [within([put('a')], [put('a')])] },
    'the end of a deleted range': { success: [remove('a', 'c'), put('c')] },
    'a key under a deletion to the end of all keys': { success: [remove('a', '\0'), put('b')] },
    'a key deleted twice': { success: [remove('a'), remove('a')] },
  };
  for (const [what, request] of Object.entries(allowed))
    test(`${what} is allowed`, () => checkTxn(txn(request), 8));
});

describe('puts among deletions', () => {
  const key = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 3 });
  const range = fc.tuple(key, fc.oneof(fc.constant(''), key));

  /** Whether they clash, asked for each pair. */
  const clashes = (ranges: readonly (readonly [string, string])[], puts: readonly string[]): boolean =>
    new Set(puts).size < puts.length ||
    puts.some((one) => ranges.some(([from, to]) => (to === '' ? one === from : one >= from && one < to)));

  test('clash as each with each', () => {
    const lists = fc.array(fc.tuple(fc.array(range, { maxLength: 4 }), fc.array(key, { maxLength: 3 })), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(
        fc.array(range, { maxLength: 6 }),
        fc.array(key, { maxLength: 4 }),
        lists,
        (own, puts, inner) => {
          const ops = (ranges: typeof own, keys: string[]): Input<RequestOp>[] => [
            ...ranges.map(([from, to]) => remove(from, to)),
            ...keys.map(put),
          ];
          const isRefused = (success: Input<RequestOp>[]): boolean => {
            try {
              checkTxn(txn({ success }), 100);
              return false;
            } catch {
              return true;
            }
          };
          assert.equal(isRefused(ops(own, puts)), clashes(own, puts));
          // What stands in transactions within clashes with what comes before it, and with the puts of the list.
          const before: (readonly [string, string])[] = [...own];
          const seen: string[] = [];
          let isClash = inner.some(([ranges, keys]) => clashes(ranges, keys));
          for (const [ranges, keys] of inner) {
            isClash ||= clashes(before, keys) || keys.some((one) => seen.includes(one));
            before.push(...ranges);
            seen.push(...keys);
          }
          isClash ||= clashes(before, puts) || puts.some((one) => seen.includes(one));
          const within_ = inner.map(([ranges, keys]) => within(ops(ranges, keys)));
          assert.equal(isRefused([...within_, ...ops(own, puts)]), isClash);
        },
      ),
    );
  });

  test('take little time, however many there are', () => {
    const many = Array.from({ length: 50_000 }, (_, i) => String(i).padStart(6, '0'));
    const half = (from: number): Input<RequestOp>[] =>
      many.slice(from, from + 25_000).map((one) => remove(`d${one}`, `d${one}x`));
    const began = performance.now();
    const request = txn({
      success: [within(half(0)), within(half(25_000)), within(many.map((one) => put(`p${one}`)))],
    });
    checkTxn(request, 200_000);
    assert.ok(performance.now() - began < 3000);
  });
});
