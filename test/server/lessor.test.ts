import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ToolError } from '../../src/errors.ts';
import type { Input } from '../../src/format/proto/field.ts';
import type { InternalRaftRequest } from '../../src/format/proto/rpcpb.ts';
import { type LeaseTable, Lessor, type LessorOptions, shortestTtl } from '../../src/server/lessor.ts';
import { STATUS } from '../../src/rpc/status.ts';
import { FakeClock } from './fake-clock.ts';

type Request = Input<InternalRaftRequest>;

/** A lessor over a table of leases; what it proposes is applied at once, unless a test holds or refuses it. */
class Bench {
  readonly clock = new FakeClock();
  readonly table = new Map<bigint, { ttl: number; remainingTtl: number; keyCount: number }>();
  readonly leases: LeaseTable = {
    list: () => [...this.table.keys()],
    get: (id) => this.table.get(id),
    onGrant: undefined,
    onRevoke: undefined,
    onCheckpoint: undefined,
  };
  readonly proposals: Request[] = [];
  readonly warnings: string[] = [];
  readonly lessor: Lessor;
  /** Proposals wait for it. */
  gate: Promise<void> = Promise.resolve();
  refusal: ToolError | undefined;

  constructor(options: Partial<LessorOptions> = {}) {
    this.lessor = new Lessor({
      leases: this.leases,
      propose: async (request) => {
        this.proposals.push(request);
        await this.gate;
        if (this.refusal) throw this.refusal;
        this.#apply(request);
        return { what: 'leaseRevoke', index: 1, revision: 1 };
      },
      clock: this.clock,
      log: {
        debug() {},
        info() {},
        warn: (_fields, message) => void this.warnings.push(message),
        error() {},
      },
      extensionMs: 1000,
      ...options,
    });
  }

  /** A lease that is there before the lessor is started. */
  hold(id: bigint, ttl: number, remainingTtl = 0): void {
    this.table.set(id, { ttl, remainingTtl, keyCount: 0 });
  }

  grant(id: bigint, ttl: number, remainingTtl = 0): void {
    this.hold(id, ttl, remainingTtl);
    this.leases.onGrant!(id, ttl);
  }

  #apply({ leaseRevoke, leaseCheckpoint }: Request): void {
    if (leaseRevoke) {
      this.table.delete(leaseRevoke.id!);
      this.leases.onRevoke!(leaseRevoke.id!);
    }
    for (const { id, remainingTtl } of leaseCheckpoint?.checkpoints ?? []) {
      this.table.get(id!)!.remainingTtl = Number(remainingTtl);
      this.leases.onCheckpoint!(id!, Number(remainingTtl));
    }
  }

  get revoked(): bigint[] {
    return this.proposals.flatMap(({ leaseRevoke }) => leaseRevoke?.id ?? []);
  }
}

test('a lease is revoked when its time is over, and not before', async () => {
  const bench = new Bench();
  bench.lessor.start();
  bench.grant(1n, 5);
  bench.grant(2n, 60);
  await bench.clock.advance(4900);
  assert.deepEqual(bench.revoked, []);
  await bench.clock.advance(700);
  assert.deepEqual(bench.revoked, [1n]);
  assert.equal(bench.lessor.standing(1n), undefined);
});

test('a revocation is signed, so that it is allowed whoever the keys belong to', async () => {
  const signature = { username: 'root', authRevision: 7 };
  const bench = new Bench({ ownSignature: () => signature });
  bench.lessor.start();
  bench.grant(1n, 5);
  await bench.clock.advance(7000);
  assert.deepEqual(bench.revoked, [1n]);
  assert.deepEqual(bench.proposals[0]!.header, signature);
});

test('a start gives each lease what is left of it and an election timeout more', async () => {
  const bench = new Bench();
  bench.hold(1n, 100);
  bench.hold(2n, 100, 40);
  bench.lessor.start();
  assert.deepEqual(bench.lessor.standing(1n), { grantedTtl: 100, ttl: 101 });
  assert.deepEqual(bench.lessor.standing(2n), { grantedTtl: 100, ttl: 41 });
  assert.deepEqual(bench.lessor.inOrder(), [2n, 1n]);
  await bench.clock.advance(42_000);
  assert.deepEqual(bench.revoked, [2n]);
});

test('a renewed lease starts anew', async () => {
  const bench = new Bench();
  bench.lessor.start();
  bench.grant(1n, 5);
  for (let i = 0; i < 4; i++) {
    await bench.clock.advance(4000);
    assert.equal(await bench.lessor.renew(1n), 5);
  }
  assert.deepEqual(bench.lessor.standing(1n), { grantedTtl: 5, ttl: 5 });
  assert.deepEqual(bench.revoked, []);
});

test('renewing a lease that is unknown gives 0', async () => {
  const bench = new Bench();
  bench.lessor.start();
  assert.equal(await bench.lessor.renew(9n), 0);
});

test('what a client sends while its lease is being revoked waits, and is told that it is gone', async () => {
  const bench = new Bench();
  bench.lessor.start();
  bench.grant(1n, 5);
  let open!: () => void;
  bench.gate = new Promise((resolve) => {
    open = resolve;
  });
  await bench.clock.advance(5600);
  assert.deepEqual(bench.revoked, [1n]);
  assert.deepEqual(bench.lessor.standing(1n), { grantedTtl: 5, ttl: 0 });
  assert.deepEqual(bench.lessor.inOrder(), [1n]);
  const answer = bench.lessor.renew(1n);
  open();
  assert.equal(await answer, 0);
});

test('a revocation that failed is tried again', async () => {
  const bench = new Bench();
  bench.lessor.start();
  bench.grant(1n, 5);
  bench.refusal = new ToolError('apply.rejected', 'etcdserver: corrupt cluster');
  await bench.clock.advance(5600);
  assert.deepEqual(bench.warnings, ['failed to revoke lease']);
  bench.refusal = undefined;
  await bench.clock.advance(7600);
  assert.deepEqual(bench.revoked, [1n, 1n]);
  assert.equal(bench.table.size, 0);
});

test('a pause of the process does not end leases whose clients could not be heard', async () => {
  const bench = new Bench();
  bench.lessor.start();
  bench.grant(1n, 5);
  await bench.clock.advance(4800);
  await bench.clock.jump(3_600_000);
  assert.deepEqual(bench.revoked, []);
  assert.deepEqual(bench.warnings, ['leases were not looked at for a while']);
  assert.equal(await bench.lessor.renew(1n), 5);
  await bench.clock.advance(4500);
  assert.deepEqual(bench.revoked, []);
});

test('a pause counts as a second, so that leases nobody renews end', async () => {
  const bench = new Bench();
  bench.lessor.start();
  bench.grant(1n, 5);
  await bench.clock.jump(60_000);
  assert.deepEqual(bench.lessor.standing(1n), { grantedTtl: 5, ttl: 4 });
  await bench.clock.advance(4600);
  assert.deepEqual(bench.revoked, [1n]);
});

test('a process that is always late still ends leases', async () => {
  const bench = new Bench();
  bench.lessor.start();
  bench.grant(1n, 3);
  for (let i = 0; i < 6; i++) await bench.clock.jump(5000);
  assert.deepEqual(bench.revoked, [1n]);
});

test('a clock that goes back changes nothing', async () => {
  const bench = new Bench();
  bench.lessor.start();
  bench.grant(1n, 5);
  await bench.clock.jump(-3_600_000);
  assert.deepEqual(bench.lessor.standing(1n), { grantedTtl: 5, ttl: 5 });
});

test('no more than a thousand leases a second are revoked', async () => {
  const bench = new Bench();
  bench.lessor.start();
  for (let id = 1n; id <= 1500n; id++) bench.grant(id, 5);
  await bench.clock.advance(5500);
  assert.ok(bench.revoked.length <= 1000, `${bench.revoked.length} in the first half second`);
  await bench.clock.advance(1500);
  assert.equal(bench.revoked.length, 1500);
});

test('while the log does not answer, no more than 500 revocations wait', async () => {
  const bench = new Bench();
  bench.lessor.start();
  bench.gate = new Promise(() => {});
  for (let id = 1n; id <= 1500n; id++) bench.grant(id, 5);
  await bench.clock.advance(60_000);
  assert.equal(bench.revoked.length, 500);
});

test('leases that would end together after a start are spread, and none ends early', async () => {
  const bench = new Bench();
  for (let id = 1n; id <= 2000n; id++) bench.hold(id, 10);
  bench.lessor.start();
  await bench.clock.advance(10_900);
  assert.equal(bench.revoked.length, 0);
  await bench.clock.advance(600);
  assert.equal(bench.revoked.length, 750);
  await bench.clock.advance(1000);
  assert.equal(bench.revoked.length, 1500);
});

test('a long lease is checkpointed every five minutes, when that is asked for', async () => {
  const bench = new Bench({ isCheckpointing: true });
  bench.lessor.start();
  bench.grant(1n, 1000);
  bench.grant(2n, 300);
  await bench.clock.advance(301_000);
  const checkpoints = [{ id: 1n, remainingTtl: 700n }];
  assert.deepEqual(bench.proposals[0], { leaseCheckpoint: { checkpoints } });
  await bench.clock.advance(300_500);
  assert.equal(bench.table.get(1n)!.remainingTtl, 400);
});

test('without being asked for it, nothing is checkpointed', async () => {
  const bench = new Bench();
  bench.lessor.start();
  bench.grant(1n, 1000);
  await bench.clock.advance(600_000);
  assert.deepEqual(bench.proposals, []);
});

test('a renewal takes back the checkpoint, and gives all of the TTL', async () => {
  const bench = new Bench();
  bench.hold(1n, 1000, 40);
  bench.lessor.start();
  assert.equal(await bench.lessor.renew(1n), 1000);
  assert.deepEqual(bench.proposals, [{ leaseCheckpoint: { checkpoints: [{ id: 1n, remainingTtl: 0n }] } }]);
  assert.deepEqual(bench.lessor.standing(1n), { grantedTtl: 1000, ttl: 1000 });
});

test('before it is started no lease ends, and each can be renewed', async () => {
  const bench = new Bench();
  bench.grant(1n, 5);
  await bench.clock.advance(60_000);
  assert.deepEqual(bench.revoked, []);
  assert.deepEqual(bench.lessor.standing(1n), { grantedTtl: 5, ttl: 5 });
  assert.deepEqual(bench.lessor.inOrder(), [1n]);
  assert.equal(await bench.lessor.renew(1n), 5);
});

test('once stopped it revokes nothing, and renewals are told so', async () => {
  const bench = new Bench();
  bench.lessor.start();
  bench.grant(1n, 5);
  bench.lessor.stop();
  await bench.clock.advance(60_000);
  assert.deepEqual(bench.revoked, []);
  assert.equal(bench.clock.timerCount, 0);
  await assert.rejects(bench.lessor.renew(1n), {
    status: STATUS.unavailable,
    message: 'etcdserver: server stopped',
  });
});

test('it counts what becomes of leases', async () => {
  const bench = new Bench();
  bench.lessor.start();
  for (const id of [1n, 2n, 3n]) bench.grant(id, 5);
  await bench.lessor.renew(1n);
  await bench.lessor.renew(9n);
  bench.table.delete(2n);
  bench.leases.onRevoke!(2n);
  await bench.clock.advance(6000);
  assert.deepEqual(bench.lessor.counts, { granted: 3, renewed: 1, revoked: 3, expired: 2 });
});

test('without leases no timer runs', async () => {
  const bench = new Bench();
  bench.lessor.start();
  assert.equal(bench.clock.timerCount, 0);
  bench.grant(1n, 2);
  assert.equal(bench.clock.timerCount, 1);
  await bench.clock.advance(3000);
  assert.equal(bench.clock.timerCount, 0);
});

for (const [electionMs, heartbeatMs, expected] of [
  [1000, 100, 2],
  [5000, 500, 8],
  [1000, 300, 2],
] as const) {
  test(`the shortest TTL for an election timeout of ${electionMs} ms and heartbeats of ${heartbeatMs} ms`, () => {
    assert.equal(shortestTtl({ electionMs, heartbeatMs }), expected);
  });
}
