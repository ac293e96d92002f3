import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { internalRaftRequest } from '../../../src/format/proto/rpcpb.ts';
import { costOf } from '../../../src/store/apply/quota.ts';
import { text } from '../database-builder.ts';
import { grant, put, remove, type Request, StateMachine } from './state-machine.ts';

const op = (value: string): object => ({ requestPut: { key: text('key'), value: text(value) } });
const deletion = { requestDeleteRange: { key: text('key') } };
const costs: Array<[what: string, request: Request, cost: number]> = [
  ['a put', put('key', 'value'), 256 + 8],
  ['a lease', grant(1n), 64],
  ['a deletion', remove('key'), 0],
  ['a transaction that deletes', { txn: { success: [deletion] } }, 0],
  [
    'a transaction, by its dearer branch',
    { txn: { success: [op('1')], failure: [op('12'), op('')] } },
    258 + 3 + 259,
  ],
  ['one within another', { txn: { success: [{ requestTxn: { failure: [op('1')] } }, op('1')] } }, 520],
];
for (const [what, request, cost] of costs) {
  test(`${what} costs ${cost} bytes`, () => {
    assert.equal(costOf(internalRaftRequest.decode(internalRaftRequest.encode(request))), cost);
  });
}

describe('beyond the quota', () => {
  const asked: number[] = [];
  const full = (): StateMachine =>
    new StateMachine({
      hasRoom(cost) {
        asked.push(cost);
        return cost < 100;
      },
    });
  const noSpace = 'etcdserver: mvcc: database space exceeded';

  test('a put is done, but answered as one that was not', () => {
    const state = full();
    const { rejection, response } = state.request(put('a', '1'));
    assert.deepEqual([rejection?.message, response], [noSpace, undefined]);
    assert.deepEqual(state.records(), ['2.0 a=1']);
    assert.equal(state.ask({ txn: { success: [op('1')] } }), noSpace);
    assert.equal(state.applier.keys.revision, 3);
  });

  test('what fails for another reason says so, and what costs little or nothing is answered', () => {
    const state = full();
    assert.equal(state.ask(put('a', '1', 9n)), 'requested lease not found');
    asked.length = 0;
    state.accept(grant(1n), remove('a'));
    assert.deepEqual(asked, [64]);
  });
});
