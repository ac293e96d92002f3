import { OPEN_ACCESS } from '../open-access.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as messages from '../../../src/format/proto/lease-service.ts';
import { leaseGrantRequest, leaseRevokeRequest } from '../../../src/format/proto/rpcpb.ts';
import type { Methods } from '../../../src/rpc/seam.ts';
import { STATUS } from '../../../src/rpc/status.ts';
import { Lessor } from '../../../src/server/lessor.ts';
import { etcdError } from '../../../src/server/rpc-errors.ts';
import { leaseService, type LeaseServiceOptions } from '../../../src/server/services/lease.ts';
import { put } from '../../store/apply/state-machine.ts';
import { ask, open } from '../fake-call.ts';
import { FakeClock } from '../fake-clock.ts';
import { MemoryCore } from '../memory-core.ts';

const PATH = '/etcdserverpb.Lease/';

class Bench {
  readonly core: MemoryCore;
  readonly clock = new FakeClock();
  readonly lessor: Lessor;
  readonly methods: Methods;

  constructor(options: Partial<LeaseServiceOptions> = {}, isReadOnly = false) {
    this.core = new MemoryCore({ isReadOnly });
    const { core, clock } = this;
    this.lessor = new Lessor({
      leases: core.applier.leases,
      propose: (request) => core.propose(request),
      clock,
      log: core.log,
      extensionMs: 1000,
    });
    if (!isReadOnly) this.lessor.start();
    const admit = async (): Promise<void> => {};
    this.methods = leaseService(core, {
      access: OPEN_ACCESS,
      lessor: this.lessor,
      randomId: () => 7n,
      admit,
      ...options,
    });
  }

  grant(id: bigint, ttl: bigint): Promise<{ id: bigint; ttl: bigint }> {
    return ask(
      this.methods,
      `${PATH}LeaseGrant`,
      [leaseGrantRequest, { id, ttl }],
      messages.leaseGrantResponse,
    );
  }

  revoke(id: bigint): Promise<object> {
    return ask(
      this.methods,
      `${PATH}LeaseRevoke`,
      [leaseRevokeRequest, { id }],
      messages.leaseRevokeResponse,
    );
  }

  standing(id: bigint, keys = false): Promise<{ ttl: bigint; grantedTtl: bigint; keys: Uint8Array[] }> {
    return ask(
      this.methods,
      `${PATH}LeaseTimeToLive`,
      [messages.leaseTimeToLiveRequest, { id, keys }],
      messages.leaseTimeToLiveResponse,
    );
  }

  async leases(): Promise<bigint[]> {
    const request = [messages.leaseLeasesRequest, {}] as const;
    const { leases } = await ask(
      this.methods,
      `${PATH}LeaseLeases`,
      [...request],
      messages.leaseLeasesResponse,
    );
    return leases.map(({ id }) => id);
  }
}

test('a grant has the id and the time that were asked for', async () => {
  const bench = new Bench();
  const granted = await bench.grant(5n, 60n);
  assert.deepEqual(granted, {
    header: bench.core.header(),
    id: 5n,
    ttl: 60n,
    error: '',
  });
  assert.deepEqual(await bench.standing(5n), {
    header: bench.core.header(),
    id: 5n,
    ttl: 60n,
    grantedTtl: 60n,
    keys: [],
  });
});

test('without an id the server chooses one that is positive, and that no lease has', async () => {
  const ids = [0n, 1n << 63n, (1n << 64n) - 1n, (1n << 64n) - 1n, 12n];
  const bench = new Bench({ randomId: () => ids.shift()! });
  assert.equal((await bench.grant(0n, 60n)).id, (1n << 63n) - 1n);
  assert.equal((await bench.grant(0n, 60n)).id, 12n);
});

test('the shortest time is granted for one that is shorter', async () => {
  const bench = new Bench();
  assert.equal((await bench.grant(5n, -1n)).ttl, 2n);
  assert.equal((await bench.standing(5n)).grantedTtl, 2n);
});

test('what etcd refuses to grant is refused in its words', async () => {
  const bench = new Bench();
  await bench.grant(5n, 60n);
  await assert.rejects(bench.grant(5n, 60n), {
    status: STATUS.failedPrecondition,
    message: 'etcdserver: lease already exists',
  });
  await assert.rejects(bench.grant(6n, 9_000_000_001n), {
    status: STATUS.outOfRange,
    message: 'etcdserver: too large lease TTL',
  });
});

test('a grant beyond the quota is not proposed', async () => {
  const asked: number[] = [];
  const bench = new Bench({
    admit: async (bytes) => {
      asked.push(bytes);
      throw etcdError('etcdserver: mvcc: database space exceeded');
    },
  });
  await assert.rejects(bench.grant(5n, 60n), { status: STATUS.resourceExhausted });
  assert.deepEqual([asked, bench.core.proposals], [[64], []]);
});

test('a revocation deletes the keys, and the lease is unknown then', async () => {
  const bench = new Bench();
  await bench.grant(5n, 60n);
  await bench.core.propose(put('a', 'v', 5n));
  await bench.revoke(5n);
  assert.equal(bench.core.keys.has(Buffer.from('a')), false);
  await assert.rejects(bench.revoke(5n), {
    status: STATUS.notFound,
    message: 'etcdserver: requested lease not found',
  });
  const { ttl, grantedTtl } = await bench.standing(5n);
  assert.deepEqual([ttl, grantedTtl], [-1n, 0n]);
});

test('what is left of a lease comes with its keys when they are asked for', async () => {
  const bench = new Bench();
  await bench.grant(5n, 60n);
  for (const key of ['b', 'a']) await bench.core.propose(put(key, 'v', 5n));
  await bench.clock.advance(20_400);
  const { ttl, keys } = await bench.standing(5n, true);
  assert.deepEqual([ttl, keys.map((key) => Buffer.from(key).toString())], [39n, ['a', 'b']]);
  assert.deepEqual((await bench.standing(5n)).keys, []);
});

test('leases are listed in the order in which they run out', async () => {
  const bench = new Bench();
  await bench.grant(1n, 60n);
  await bench.grant(2n, 30n);
  await bench.grant(3n, 90n);
  assert.deepEqual(await bench.leases(), [2n, 1n, 3n]);
});

test('a lease that nobody keeps alive goes with its keys', async () => {
  const bench = new Bench();
  await bench.grant(1n, 5n);
  await bench.core.propose(put('a', 'v', 1n));
  await bench.clock.advance(5600);
  assert.deepEqual(await bench.leases(), []);
  assert.equal(bench.core.keys.has(Buffer.from('a')), false);
});

test('a stream keeps leases alive, and says 0 of those that are gone', async () => {
  const bench = new Bench();
  await bench.grant(1n, 5n);
  const { call, ended } = open(bench.methods, `${PATH}LeaseKeepAlive`);
  for (let count = 1; count <= 4; count++) {
    await bench.clock.advance(3000);
    call.push(messages.leaseKeepAliveRequest.encode({ id: 1n }));
    await call.sentCount(count);
  }
  call.push(messages.leaseKeepAliveRequest.encode({ id: 9n }));
  call.push(undefined);
  await ended;
  const answers = call.sent.map((bytes) => messages.leaseKeepAliveResponse.decode(bytes));
  assert.deepEqual(
    answers.map(({ id, ttl }) => [id, ttl]),
    [
      [1n, 5n],
      [1n, 5n],
      [1n, 5n],
      [1n, 5n],
      [9n, 0n],
    ],
  );
  assert.deepEqual(answers[0]!.header, bench.core.header());
});

test('a client that takes no answers is given no more', async () => {
  const bench = new Bench();
  await bench.grant(1n, 5n);
  const { call, ended } = open(bench.methods, `${PATH}LeaseKeepAlive`);
  call.room = 1;
  for (let i = 0; i < 3; i++) call.push(messages.leaseKeepAliveRequest.encode({ id: 1n }));
  await bench.clock.advance(2000);
  assert.equal(call.sent.length, 1);
  call.take(5);
  call.push(undefined);
  await ended;
  assert.equal(call.sent.length, 3);
});

test('bytes that are no message end the stream with INTERNAL', async () => {
  const bench = new Bench();
  const { call, ended } = open(bench.methods, `${PATH}LeaseKeepAlive`);
  call.push(Uint8Array.of(0xff));
  await assert.rejects(ended, { status: STATUS.internal, message: /^grpc: error unmarshalling request/ });
});

test('when the server stops, keeping alive ends with etcd’s error', async () => {
  const bench = new Bench();
  await bench.grant(1n, 5n);
  bench.lessor.stop();
  const { call, ended } = open(bench.methods, `${PATH}LeaseKeepAlive`);
  call.push(messages.leaseKeepAliveRequest.encode({ id: 1n }));
  await assert.rejects(ended, { status: STATUS.unavailable, message: 'etcdserver: server stopped' });
});

test('over data that is only looked at nothing is granted or revoked', async () => {
  const bench = new Bench({}, true);
  await assert.rejects(bench.grant(5n, 60n), { status: STATUS.failedPrecondition, message: /read-only/ });
  await assert.rejects(bench.revoke(5n), { status: STATUS.failedPrecondition, message: /read-only/ });
});
