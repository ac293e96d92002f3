/** Leases of a real process on its bad days: killed, started again, stopped by a signal for longer than they last. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Channel } from '../../src/client/channel.ts';
import {
  leaseGrantResponse,
  leaseKeepAliveRequest,
  leaseTimeToLiveRequest,
  leaseTimeToLiveResponse,
} from '../../src/format/proto/lease-service.ts';
import { leaseGrantRequest, putRequest } from '../../src/format/proto/rpcpb.ts';
import { scratch } from '../support/scratch.ts';
import { assertSound, flagsAt, readAll, serveInChild } from '../support/served.ts';

/** The shortest there is is 2 s. */
const TTL = 3;
const KEEP_ALIVE_MS = 500;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function grant(channel: Channel, ttl: number, key: string): Promise<bigint> {
  const request = leaseGrantRequest.encode({ ttl: BigInt(ttl) });
  const { id } = leaseGrantResponse.decode(await channel.unary('/etcdserverpb.Lease/LeaseGrant', request));
  const put = putRequest.encode({ key: Buffer.from(key), value: Buffer.from('v'), lease: id });
  await channel.unary('/etcdserverpb.KV/Put', put);
  return id;
}

/** Seconds; −1 when the lease is gone. */
async function ttlOf(channel: Channel, id: bigint): Promise<number> {
  const answer = await channel.unary(
    '/etcdserverpb.Lease/LeaseTimeToLive',
    leaseTimeToLiveRequest.encode({ id }),
  );
  return Number(leaseTimeToLiveResponse.decode(answer).ttl);
}

/** Renews a lease every now and then, as clients do. */
function keepAlive(channel: Channel, id: bigint): () => void {
  const stream = channel.stream('/etcdserverpb.Lease/LeaseKeepAlive');
  const request = leaseKeepAliveRequest.encode({ id });
  const timer = setInterval(() => stream.send(request), KEEP_ALIVE_MS);
  stream.send(request);
  void (async () => {
    for await (const _ of stream);
  })().catch(() => {});
  return () => {
    clearInterval(timer);
    stream.cancel();
  };
}

async function untilGone(channel: Channel, key: string, limitMs: number): Promise<number> {
  const began = performance.now();
  while ((await readAll(channel)).has(key)) {
    assert.ok(performance.now() - began < limitMs, `${key} is there after ${limitMs} ms`);
    await pause(50);
  }
  return performance.now() - began;
}

describe('a lease', { concurrency: 2 }, () => {
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    test(`has all of its time again after ${signal} and a start, and takes its keys along`, async (t) => {
      const dataDir = join(scratch(t), 'data');
      const first = await serveInChild(t, flagsAt(dataDir));
      const before = await Channel.connect(first.endpoint);
      const long = await grant(before, 100, 'long');
      await grant(before, TTL, 'short');
      const kept = await grant(before, TTL, 'kept');
      await pause(1500);
      first.child.kill(signal);
      await first.ended;
      await before.close();
      await assertSound(dataDir);

      const second = await serveInChild(t, flagsAt(dataDir));
      const channel = await Channel.connect(second.endpoint);
      const stop = keepAlive(channel, kept);
      const left = await ttlOf(channel, long);
      assert.ok(left >= 98 && left <= 101, `${left} s`);
      assert.ok((await readAll(channel)).has('short'));
      const tookMs = await untilGone(channel, 'short', 8000);
      assert.ok(tookMs > TTL * 1000 - 500, `after ${tookMs} ms`);
      assert.deepEqual([...(await readAll(channel)).keys()].sort(), ['kept', 'long']);
      stop();
      await untilGone(channel, 'kept', 8000);
      await channel.close();
      second.child.kill('SIGTERM');
      assert.equal((await second.ended).code, 0);
      await assertSound(dataDir);
      const third = await serveInChild(t, flagsAt(dataDir));
      const again = await Channel.connect(third.endpoint);
      assert.deepEqual([...(await readAll(again)).keys()], ['long']);
      await again.close();
    });
  }

  test('that is kept alive outlives a stop of the process that is longer than it', async (t) => {
    const served = await serveInChild(t, flagsAt(join(scratch(t), 'data')));
    const channel = await Channel.connect(served.endpoint);
    const kept = await grant(channel, TTL, 'kept');
    await grant(channel, TTL, 'left');
    const stop = keepAlive(channel, kept);
    for (let i = 0; i < 2; i++) {
      served.child.kill('SIGSTOP');
      await pause((TTL + 2) * 1000);
      served.child.kill('SIGCONT');
      await pause(700);
      assert.ok((await readAll(channel)).has('kept'));
    }
    await untilGone(channel, 'left', 8000);
    assert.ok((await ttlOf(channel, kept)) > 0);
    assert.ok((await readAll(channel)).has('kept'));
    stop();
    await channel.close();
  });
});
