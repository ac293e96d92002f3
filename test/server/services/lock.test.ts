import { OPEN_ACCESS } from '../open-access.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  lockRequest,
  lockResponse,
  unlockRequest,
  unlockResponse,
} from '../../../src/format/proto/concurrency-services.ts';
import { RpcError, STATUS } from '../../../src/rpc/status.ts';
import { KeyFeed } from '../../../src/server/services/key-feed.ts';
import { lockService } from '../../../src/server/services/lock.ts';
import { grant } from '../../store/apply/state-machine.ts';
import { ask, FakeCall } from '../fake-call.ts';
import { MemoryCore } from '../memory-core.ts';

const PATH = '/v3lockpb.Lock/';

async function bench({ isReadOnly = false } = {}) {
  const core = new MemoryCore({ isReadOnly });
  const feed = new KeyFeed();
  core.keys.onRevision = (revision, changes) => feed.publish(revision, changes);
  if (!isReadOnly) for (const id of [0x1an, 2n, 3n]) await core.propose(grant(id));
  const methods = lockService(core, {
    access: OPEN_ACCESS,
    admit: () => undefined,
    feed,
    randomId: () => 0x77n,
  });
  const lock = async (lease: bigint, call = new FakeCall()) => {
    const request = { name: Buffer.from('job'), lease };
    const answer = await ask(methods, `${PATH}Lock`, [lockRequest, request], lockResponse, call);
    return { revision: answer.header!.revision, key: Buffer.from(answer.key).toString() };
  };
  const unlock = (key: string) =>
    ask(methods, `${PATH}Unlock`, [unlockRequest, { key: Buffer.from(key) }], unlockResponse);
  const keys = (): string[] =>
    core.keys.heads({ key: Buffer.from('job/'), end: new Uint8Array() }).map(({ key }) => key);
  return { core, lock, unlock, keys };
}

/** Whether a promise is still open after all that could happen has happened. */
async function isWaiting(promise: Promise<unknown>): Promise<boolean> {
  for (let i = 0; i < 10; i++) await nextTurn();
  const waiting = Symbol('waiting');
  return (await Promise.race([promise.catch(() => {}), Promise.resolve(waiting)])) === waiting;
}

test('a free lock is had at once, under a key that names the lease in hex', async () => {
  const { lock, core } = await bench();
  assert.deepEqual(await lock(0x1an), { revision: 2, key: 'job/1a' });
  assert.equal(core.applier.leases.keysOf(0x1an).length, 1);
});

test('whoever has the lock gets it again', async () => {
  const { lock, keys } = await bench();
  await lock(2n);
  assert.equal((await lock(2n)).key, 'job/2');
  assert.deepEqual(keys(), ['job/2']);
});

test('others wait, and have their turn in the order they came', async () => {
  const { lock, unlock } = await bench();
  await lock(3n);
  const second = lock(0x1an);
  const third = lock(2n);
  assert.deepEqual([await isWaiting(second), await isWaiting(third)], [true, true]);
  await unlock('job/3');
  assert.deepEqual(await second, { revision: 5, key: 'job/1a' });
  assert.equal(await isWaiting(third), true);
  await unlock('job/1a');
  assert.equal((await third).key, 'job/2');
});

test('the lock passes on when the lease of its owner ends', async () => {
  const { lock, core } = await bench();
  await lock(3n);
  const second = lock(2n);
  await core.propose({ leaseRevoke: { id: 3n } });
  assert.equal((await second).key, 'job/2');
});

test('one that stops waiting leaves no key, and those behind it still wait for the owner', async () => {
  const { lock, unlock, keys } = await bench();
  await lock(3n);
  const call = new FakeCall();
  const second = lock(2n, call);
  const third = lock(0x1an);
  assert.equal(await isWaiting(third), true);
  call.cancel();
  await assert.rejects(second, { message: 'etcdserver: request canceled' });
  assert.equal(await isWaiting(third), true);
  assert.deepEqual(keys(), ['job/1a', 'job/3']);
  await unlock('job/3');
  assert.equal((await third).key, 'job/1a');
});

test('one whose lease ran out while it waited does not have the lock', async () => {
  const { lock, unlock, core } = await bench();
  await lock(3n);
  const second = lock(2n);
  assert.equal(await isWaiting(second), true);
  await core.propose({ leaseRevoke: { id: 2n } });
  await unlock('job/3');
  await assert.rejects(second, { status: STATUS.unknown, message: 'mutex: session is expired' });
});

test('without a lease one of 60 seconds is granted', async () => {
  const { lock, core } = await bench();
  assert.equal((await lock(0n)).key, 'job/77');
  assert.equal(core.applier.leases.get(0x77n)!.ttl, 60);
});

test('with a lease that is not there the text is etcd’s, and the status UNKNOWN as etcd’s is', async () => {
  const { lock } = await bench();
  await assert.rejects(lock(9n), {
    status: STATUS.unknown,
    message: 'etcdserver: requested lease not found',
  });
});

test('unlocking what nobody locked is no error', async () => {
  const { unlock, core } = await bench();
  assert.deepEqual(await unlock('job/9'), { header: core.header() });
});

test('over data that is only looked at there are no locks', async () => {
  const { lock, unlock } = await bench({ isReadOnly: true });
  const expected = { status: STATUS.failedPrecondition, message: /read-only/ };
  await assert.rejects(lock(2n), expected);
  await assert.rejects(unlock('job/2'), expected);
});

test('a lock and its lease need room, and are refused before anything is written', async () => {
  const core = new MemoryCore();
  const asked: number[] = [];
  const methods = lockService(core, {
    access: OPEN_ACCESS,
    admit: async (bytes) => {
      asked.push(bytes);
      if (asked.length > 1) throw new RpcError(STATUS.resourceExhausted, 'no room');
    },
    feed: new KeyFeed(),
    randomId: () => 0x77n,
  });
  const request = { name: Buffer.from('job'), lease: 0n };
  await assert.rejects(ask(methods, `${PATH}Lock`, [lockRequest, request], lockResponse), {
    message: 'no room',
  });
  assert.equal(asked.length, 2);
  assert.deepEqual(
    core.proposals.map((one) => Object.keys(one)[0]),
    ['leaseGrant'],
  );
});
