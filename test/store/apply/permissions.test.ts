import assert from 'node:assert/strict';
import { test } from 'node:test';
import { text } from '../database-builder.ts';
import { addRole, addUser, ENABLE, giveRole, permit } from './accounts.ts';
import { grant, put, remove, type Request, StateMachine } from './state-machine.ts';

const [READ, WRITE, BOTH] = [0, 1, 2];
const REVISION = 12;
const DENIED = 'etcdserver: permission denied';

/** User u writes a to m in two pieces, and from w on; it reads c alone, and both with b. */
function guarded(): StateMachine {
  const state = new StateMachine();
  state.accept(grant(1n), grant(2n), put('z', '', 1n), put('o', '', 2n), addUser('u'), addRole('r'));
  state.accept(giveRole('u', 'r'), permit('r', WRITE, 'a', 'f'), permit('r', WRITE, 'f', 'm'));
  state.accept(permit('r', WRITE, 'w', '\0'), permit('r', READ, 'c'), permit('r', BOTH, 'b'), ...ENABLE);
  return state;
}

const putOp = (key: string, lease = 0n): object => ({ requestPut: { key: text(key), lease } });
const compare = (key: string): object => ({ key: text(key) });
const cases: Array<[string, Request, string?]> = [
  ['a put', put('a')],
  ['a put elsewhere', put('n'), DENIED],
  ['a put of what may be read', put('b')],
  ['a put with the old value', { put: { key: text('a'), prevKv: true } }, DENIED],
  ['a put with the old value of a readable key', { put: { key: text('b'), prevKv: true } }],
  ['a put to a lease of own keys', put('a', '', 1n)],
  ['a put to a lease of others', put('a', '', 2n), DENIED],
  ['a deletion over two pieces', remove('b', 'm')],
  ['a deletion beyond', remove('b', 'n'), DENIED],
  ['a deletion across a gap', remove('b', '\0'), DENIED],
  ['a deletion to the end', remove('x', '\0')],
  ['a deletion with old values', { deleteRange: { key: text('a'), prevKv: true } }, DENIED],
  ['a transaction', { txn: { compare: [compare('c')], success: [putOp('a')] } }],
  ['an unreadable compare', { txn: { compare: [compare('a')] } }, DENIED],
  ['the branch not taken', { txn: { success: [putOp('a')], failure: [putOp('n')] } }, DENIED],
  ['a nested branch', { txn: { success: [{ requestTxn: { failure: [putOp('n')] } }] } }, DENIED],
  ['a range within', { txn: { success: [{ requestRange: { key: text('a') } }] } }, DENIED],
  ['a put within to a lease of others', { txn: { success: [putOp('a', 2n)] } }, DENIED],
  ['a revocation', { leaseRevoke: { id: 1n } }],
  ['a revocation of others', { leaseRevoke: { id: 2n } }, DENIED],
  ['a lease', grant(3n)],
  ['administration', addRole('s'), DENIED],
];
for (const [name, request, rejection] of cases) {
  test(`${name} is ${rejection ? 'denied' : 'allowed'}`, () => {
    const state = guarded();
    const header = { username: 'u', authRevision: REVISION };
    assert.equal(state.ask({ header, ...request }), rejection);
    if (rejection) assert.deepEqual(state.records(), ['2.0 z=', '3.0 o=']);
  });
}

const askers: Array<[string, number, Request, string?]> = [
  ['', 0, put('a'), 'etcdserver: user name is empty'],
  ['u', REVISION - 1, put('a'), 'etcdserver: revision of auth store is old'],
  ['nobody', REVISION, put('a'), DENIED],
  ['root', REVISION, put('n')],
  ['root', 1, put('n'), 'etcdserver: revision of auth store is old'],
  ['root', 1, { leaseRevoke: { id: 2n } }],
  ['root', 1, addRole('s')],
  ['', 0, addRole('s'), 'etcdserver: user name is empty'],
];
for (const [username, authRevision, request, rejection] of askers) {
  test(`${Object.keys(request)[0]} of '${username}' at ${authRevision}`, () => {
    assert.equal(guarded().ask({ header: { username, authRevision }, ...request }), rejection);
  });
}
