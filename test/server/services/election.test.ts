import { OPEN_ACCESS } from '../open-access.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import * as messages from '../../../src/format/proto/concurrency-services.ts';
import { keyValue } from '../../../src/format/proto/mvccpb.ts';
import { STATUS } from '../../../src/rpc/status.ts';
import { KeyFeed } from '../../../src/server/services/key-feed.ts';
import { electionService } from '../../../src/server/services/election.ts';
import { grant, put, remove } from '../../store/apply/state-machine.ts';
import { ask, FakeCall, open } from '../fake-call.ts';
import { MemoryCore } from '../memory-core.ts';

const PATH = '/v3electionpb.Election/';
const name = new Uint8Array(Buffer.from('boss'));
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

async function bench() {
  const core = new MemoryCore();
  const feed = new KeyFeed();
  core.keys.onRevision = (revision, changes) => feed.publish(revision, changes);
  for (const id of [1n, 2n, 3n]) await core.propose(grant(id));
  const methods = electionService(core, {
    access: OPEN_ACCESS,
    admit: () => undefined,
    feed,
    randomId: () => 0x77n,
  });
  return {
    core,
    campaign: (lease: bigint, value: string, call = new FakeCall()) =>
      ask(
        methods,
        `${PATH}Campaign`,
        [messages.campaignRequest, { name, lease, value: bytes(value) }],
        messages.campaignResponse,
        call,
      ),
    proclaim: (leader: messages.LeaderKey | undefined, value: string) =>
      ask(
        methods,
        `${PATH}Proclaim`,
        [messages.proclaimRequest, { leader, value: bytes(value) }],
        messages.proclaimResponse,
      ),
    resign: (leader: messages.LeaderKey | undefined) =>
      ask(methods, `${PATH}Resign`, [messages.resignRequest, { leader }], messages.resignResponse),
    leader: async () => {
      const answer = await ask(
        methods,
        `${PATH}Leader`,
        [messages.leaderRequest, { name }],
        messages.leaderResponse,
      );
      return Buffer.from(keyValue.decode(answer.kv).value).toString();
    },
    observe: () => {
      const opened = open(methods, `${PATH}Observe`);
      opened.call.push(messages.leaderRequest.encode({ name }));
      return opened;
    },
  };
}

/** What an observer was told, as `value@revision`. */
const toldTo = (call: FakeCall): string[] =>
  call.sent.map((one) => {
    const { header, kv } = messages.leaderResponse.decode(one);
    return `${Buffer.from(keyValue.decode(kv).value).toString()}@${header!.revision}`;
  });

const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await nextTurn();
};

test('the first candidate leads, and the next one when it resigns', async () => {
  const { campaign, resign, leader } = await bench();
  const { header, leader: key } = await campaign(1n, 'one');
  assert.equal(header!.revision, 2);
  assert.deepEqual(key, { name, key: bytes('boss/1'), rev: 2, lease: 1n });
  const second = campaign(2n, 'two');
  await settle();
  assert.equal(await leader(), 'one');
  assert.equal((await resign(key)).header!.revision, 4);
  const { header: later, leader: next } = await second;
  assert.deepEqual([later!.revision, next!.rev], [3, 3]);
  assert.equal(await leader(), 'two');
});

test('the leader changes what it says, and others cannot', async () => {
  const { campaign, proclaim, leader } = await bench();
  const { leader: key } = await campaign(1n, 'one');
  await proclaim(key, 'another');
  assert.equal(await leader(), 'another');
  await assert.rejects(proclaim({ ...key!, rev: 9 }, 'x'), {
    status: STATUS.unknown,
    message: 'election: not leader',
  });
  assert.equal(await leader(), 'another');
});

test('a candidate that comes again leads on, with what it says now', async () => {
  const { campaign, leader, core } = await bench();
  await campaign(1n, 'one');
  const { leader: key } = await campaign(1n, 'again');
  assert.deepEqual([key!.rev, await leader()], [2, 'again']);
  const revision = core.keys.revision;
  await campaign(1n, 'again');
  assert.equal(core.keys.revision, revision);
});

test('one that resigned before has nothing to give up', async () => {
  const { campaign, resign, core } = await bench();
  const { leader: key } = await campaign(1n, 'one');
  await resign(key);
  assert.deepEqual((await resign(key)).header, core.header());
});

test('a candidate that stops waiting is none any more', async () => {
  const { campaign, core } = await bench();
  await campaign(1n, 'one');
  const call = new FakeCall();
  const second = campaign(2n, 'two', call);
  await settle();
  assert.equal(core.keys.has(Buffer.from('boss/2')), true);
  call.cancel();
  await assert.rejects(second, { message: 'etcdserver: request canceled' });
  assert.equal(core.keys.has(Buffer.from('boss/2')), false);
});

test('without a lease a candidate gets one of 60 seconds', async () => {
  const { campaign, core } = await bench();
  const { leader } = await campaign(0n, 'one');
  assert.equal(leader!.lease, 0x77n);
  assert.equal(core.applier.leases.get(0x77n)!.ttl, 60);
});

test('a key is needed, as for every put', async () => {
  const { proclaim, resign } = await bench();
  const leader = { name: Buffer.from('job'), key: new Uint8Array(), rev: 0, lease: 1n };
  for (const ask of [() => proclaim(leader, 'v'), () => resign(leader)])
    await assert.rejects(ask, { message: 'etcdserver: key is not provided' });
});

test('what is missing is said', async () => {
  const { proclaim, resign, leader, campaign } = await bench();
  const missing = { status: STATUS.unknown, message: '"leader" field must be provided' };
  await assert.rejects(proclaim(undefined, 'x'), missing);
  await assert.rejects(resign(undefined), missing);
  await assert.rejects(leader(), { status: STATUS.unknown, message: 'election: no leader' });
  await assert.rejects(campaign(9n, 'x'), {
    status: STATUS.unknown,
    message: 'etcdserver: requested lease not found',
  });
});

test('an observer is told who leads, what it says, and who follows', async () => {
  const { campaign, proclaim, resign, observe } = await bench();
  const { call, ended } = observe();
  await settle();
  assert.equal(call.sent.length, 0);
  const { leader: key } = await campaign(1n, 'one');
  await settle();
  await proclaim(key, 'one more');
  const second = campaign(2n, 'two');
  await settle();
  await resign(key);
  await second;
  await settle();
  assert.deepEqual(toldTo(call), ['one@2', 'one more@3', 'two@5']);
  call.cancel();
  await ended;
});

test('an observer that comes later is told who leads now', async () => {
  const { campaign, observe, core } = await bench();
  await campaign(1n, 'one');
  await core.propose(put('other'));
  const { call } = observe();
  await call.sentCount(1);
  assert.deepEqual(toldTo(call), ['one@3']);
});

test('after the last leader an observer waits for another', async () => {
  const { campaign, core, observe } = await bench();
  const { call } = observe();
  await campaign(1n, 'one');
  await settle();
  await core.propose(remove('boss/1'));
  await settle();
  await campaign(2n, 'two');
  await settle();
  assert.deepEqual(toldTo(call), ['one@2', 'two@4']);
});

test('changes that come at once are told one by one', async () => {
  const { campaign, proclaim, observe } = await bench();
  const { leader: key } = await campaign(1n, 'one');
  const { call } = observe();
  await call.sentCount(1);
  await Promise.all([proclaim(key, 'a'), proclaim(key, 'b'), proclaim(key, 'c')]);
  await settle();
  assert.deepEqual(toldTo(call), ['one@2', 'a@3', 'b@4', 'c@5']);
});

test('an observer that takes nothing is told the last of many changes, and nothing grows', async () => {
  const { campaign, proclaim, observe } = await bench();
  const { leader: key } = await campaign(1n, 'one');
  const { call } = observe();
  call.room = 1;
  await call.sentCount(1);
  for (let i = 0; i < 50; i++) await proclaim(key, `v${i}`);
  call.take(100);
  await settle();
  assert.deepEqual(toldTo(call), ['one@2', 'v49@52']);
});
