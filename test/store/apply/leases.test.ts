import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lease } from '../../../src/format/proto/leasepb.ts';
import { grant, put, StateMachine } from './state-machine.ts';

const leasesOf = (state: StateMachine): object[] =>
  [...state.backend.scan('lease')].map(({ value }) => lease.decode(value));

test('grants are refused, or kept with the least time', () => {
  const state = new StateMachine();
  state.accept(grant(5n, 1n));
  assert.equal(state.ask(grant(0n)), 'requested lease not found');
  assert.equal(state.ask(grant(5n)), 'lease already exists');
  assert.equal(state.ask(grant(6n, 9_000_000_001n)), 'too large lease TTL');
  assert.deepEqual(leasesOf(state), [{ id: 5n, ttl: 2, remainingTtl: 0 }]);
});

test('a revocation deletes what hangs on the lease by then, in order, as one revision', () => {
  const state = new StateMachine();
  state.accept(grant(1n), grant(2n), put('c', '', 1n), put('a', '', 1n), put('b', '', 1n), put('b', '', 2n));
  state.accept({ leaseRevoke: { id: 1n } });
  assert.deepEqual(state.records().slice(4), ['6.0 a†', '6.1 c†']);
  assert.equal(leasesOf(state).length, 1);
  assert.equal(state.ask({ leaseRevoke: { id: 1n } }), 'requested lease not found');
  state.accept(put('b'), { leaseRevoke: { id: 2n } });
  assert.equal(state.applier.keys.revision, 7);
});

for (const [version, expected] of [
  ['3.5.0', 0],
  ['3.6.0', 9],
] as const) {
  test(`a checkpoint under cluster version ${version}`, () => {
    const state = new StateMachine();
    const checkpoints = [
      { id: 8n, remainingTtl: 1n },
      { id: 1n, remainingTtl: 9n },
    ];
    state.accept({ clusterVersionSet: { ver: version } }, grant(1n), { leaseCheckpoint: { checkpoints } });
    assert.deepEqual(leasesOf(state), [{ id: 1n, ttl: 60, remainingTtl: expected }]);
  });
}

test('what is known of leases, and what is told of them', () => {
  const state = new StateMachine();
  const { leases } = state.applier;
  const told: string[] = [];
  leases.onGrant = (id, ttl) => void told.push(`grant ${id} ${ttl}`);
  leases.onRevoke = (id) => void told.push(`revoke ${id} ${leases.has(id)}`);
  leases.onCheckpoint = (id, remainingTtl) => void told.push(`checkpoint ${id} ${remainingTtl}`);
  state.accept(grant(-5n), grant(9n, 1n), grant(2n), put('b', '', 9n), put('a', '', 9n));
  state.accept({
    leaseCheckpoint: {
      checkpoints: [
        { id: 9n, remainingTtl: 1n },
        { id: 77n, remainingTtl: 1n },
      ],
    },
  });
  assert.deepEqual(leases.list(), [2n, 9n, -5n]);
  assert.deepEqual(leases.get(9n), { ttl: 2, remainingTtl: 1, keyCount: 2 });
  assert.deepEqual(leases.keysOf(9n), ['a', 'b']);
  assert.equal(leases.get(77n), undefined);
  state.accept({ leaseRevoke: { id: 9n } });
  assert.notEqual(state.ask({ leaseRevoke: { id: 9n } }), undefined);
  assert.deepEqual(told, ['grant -5 60', 'grant 9 2', 'grant 2 60', 'checkpoint 9 1', 'revoke 9 false']);
});
