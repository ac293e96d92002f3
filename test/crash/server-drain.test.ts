/** SIGTERM under load: what was taken is answered, what waits is ended, and the process goes with 0, soon. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { Channel } from '../../src/client/channel.ts';
import type { ClientStream } from '../../src/client/client-stream.ts';
import {
  campaignRequest,
  lockRequest,
  lockResponse,
  leaderRequest,
} from '../../src/format/proto/concurrency-services.ts';
import {
  leaseGrantResponse,
  leaseKeepAliveRequest,
  leaseKeepAliveResponse,
} from '../../src/format/proto/lease-service.ts';
import { snapshotRequest } from '../../src/format/proto/maintenance-service.ts';
import { leaseGrantRequest } from '../../src/format/proto/rpcpb.ts';
import { watchRequest } from '../../src/format/proto/watchpb.ts';
import { RpcError, STATUS } from '../../src/rpc/status.ts';
import { scratch } from '../support/scratch.ts';
import { assertHolds, flagsAt, readAll, serveInChild, type ServedChild, Writer } from '../support/served.ts';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const WATCH = '/etcdserverpb.Watch/Watch';
const watchAll = watchRequest.encode({
  createRequest: { key: Buffer.from('\0'), rangeEnd: Buffer.from('\0') },
});

async function start(t: TestContext, ...flags: string[]): Promise<{ dataDir: string; served: ServedChild }> {
  const dataDir = join(scratch(t), 'data');
  const served = await serveInChild(t, flagsAt(dataDir, ...flags));
  return { dataDir, served };
}

/** Reads until the call ends; gives the error that ended it. */
async function endOf(stream: ClientStream): Promise<unknown> {
  try {
    while (await stream.receive());
    return undefined;
  } catch (error) {
    return error;
  }
}

async function endOfUnary(call: Promise<Uint8Array>): Promise<unknown> {
  return await call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

const assertUnavailable = (error: unknown): void =>
  assert.ok(error instanceof RpcError && error.status === STATUS.unavailable, String(error));

/** One of everything that waits. */
async function waitForEverything(channel: Channel): Promise<Promise<unknown>[]> {
  const watch = channel.stream(WATCH);
  // Of a key that nobody writes: a stream with events on their way may be cut off instead.
  watch.send(watchRequest.encode({ createRequest: { key: Buffer.from('quiet') } }));
  await watch.receive();
  const granted = await channel.unary(
    '/etcdserverpb.Lease/LeaseGrant',
    leaseGrantRequest.encode({ ttl: 60n }),
  );
  const { id } = leaseGrantResponse.decode(granted);
  const keepAlive = channel.stream('/etcdserverpb.Lease/LeaseKeepAlive');
  keepAlive.send(leaseKeepAliveRequest.encode({ id }));
  assert.equal(leaseKeepAliveResponse.decode((await keepAlive.receive())!).ttl, 60n);
  const lock = lockRequest.encode({ name: Buffer.from('lock') });
  assert.ok(lockResponse.decode(await channel.unary('/v3lockpb.Lock/Lock', lock)).key.length > 0);
  const campaign = campaignRequest.encode({ name: Buffer.from('election'), lease: id });
  await channel.unary('/v3electionpb.Election/Campaign', campaign);
  const other = leaseGrantResponse.decode(
    await channel.unary('/etcdserverpb.Lease/LeaseGrant', leaseGrantRequest.encode({ ttl: 60n })),
  );
  const rival = campaignRequest.encode({ name: Buffer.from('election'), lease: other.id });
  const observe = channel.stream('/v3electionpb.Election/Observe');
  observe.send(leaderRequest.encode({ name: Buffer.from('election') }));
  observe.end();
  await observe.receive();
  return [
    endOf(watch),
    endOf(keepAlive),
    endOf(observe),
    endOf(channel.stream('/etcdserverpb.KV/Put')),
    endOfUnary(channel.unary('/v3lockpb.Lock/Lock', lock)),
    endOfUnary(channel.unary('/v3electionpb.Election/Campaign', rival)),
  ];
}

describe('SIGTERM', () => {
  test('ends what waits at once, answers what was taken, and the process with 0', async (t) => {
    const { dataDir, served } = await start(t, '--shutdown-timeout=30s');
    const channels = await Promise.all(Array.from({ length: 5 }, () => Channel.connect(served.endpoint)));
    const ends = await waitForEverything(channels[0]!);
    const writers = channels.slice(1).map((channel, i) => new Writer(channel, `w${i}`));
    while (writers.some(({ acknowledged }) => acknowledged.size < 15)) await pause(10);
    const began = performance.now();
    served.child.kill('SIGTERM');
    assert.deepEqual(await served.ended, { code: 0, signal: null }, served.log().slice(-2000));
    const tookMs = performance.now() - began;
    assert.ok(tookMs < 5000, `${tookMs} ms`);
    for (const error of await Promise.all(ends)) assertUnavailable(error);
    const acknowledged = new Map<string, string>();
    for (const writer of writers) {
      await writer.stop();
      for (const [key, value] of writer.acknowledged) acknowledged.set(key, value);
      for (const error of writer.errors) assertUnavailable(error);
    }
    await assertHolds(dataDir, acknowledged);
    t.diagnostic(`${acknowledged.size} acknowledged puts; ended after ${Math.round(tookMs)} ms`);
  });

  test('does not wait for a client that reads nothing', async (t) => {
    const { dataDir, served } = await start(t, '--shutdown-timeout=30s');
    const [deaf, mine] = [await Channel.connect(served.endpoint), await Channel.connect(served.endpoint)];
    const watch = deaf.stream(WATCH);
    watch.send(watchAll);
    await watch.receive();
    const writer = new Writer(mine, 'w', { valueBytes: 50_000 });
    while (writer.acknowledged.size < 200) await pause(10);
    const began = performance.now();
    served.child.kill('SIGTERM');
    assert.equal((await served.ended).code, 0);
    assert.ok(performance.now() - began < 6000);
    await writer.stop();
    assertUnavailableOrCut(await endOf(watch));
    await assertHolds(dataDir, writer.acknowledged);
  });

  /** A backup that is under way, which a drain waits for, and whose client takes nothing more. */
  async function startWithBackup(
    t: TestContext,
    timeout: string,
  ): Promise<{ dataDir: string; served: ServedChild; acknowledged: ReadonlyMap<string, string> }> {
    const { dataDir, served } = await start(t, `--shutdown-timeout=${timeout}`);
    const channel = await Channel.connect(served.endpoint);
    const writer = new Writer(channel, 'w', { valueBytes: 100_000 });
    while (writer.acknowledged.size < 60) await pause(10);
    await writer.stop();
    const backup = (await Channel.connect(served.endpoint)).stream('/etcdserverpb.Maintenance/Snapshot');
    backup.send(snapshotRequest.encode({}));
    backup.end();
    await backup.receive();
    return { dataDir, served, acknowledged: writer.acknowledged };
  }

  test('sent twice ends the process where it stands, with nothing lost', async (t) => {
    const { dataDir, served, acknowledged } = await startWithBackup(t, '60s');
    served.child.kill('SIGTERM');
    await pause(500);
    assert.equal(served.child.exitCode, null, 'it waits for the backup');
    const began = performance.now();
    served.child.kill('SIGINT');
    assert.equal((await served.ended).code, 130);
    assert.ok(performance.now() - began < 1000);
    await assertHolds(dataDir, acknowledged);
  });

  test('cuts off what is not over within --shutdown-timeout', async (t) => {
    const { dataDir, served, acknowledged } = await startWithBackup(t, '1s');
    const began = performance.now();
    served.child.kill('SIGTERM');
    assert.equal((await served.ended).code, 0);
    const tookMs = performance.now() - began;
    assert.ok(tookMs > 900 && tookMs < 4000, `${tookMs} ms`);
    await assertHolds(dataDir, acknowledged);
  });

  test('leaves no key of one that waited for a lock', async (t) => {
    const { dataDir, served } = await start(t);
    const channel = await Channel.connect(served.endpoint);
    const lock = lockRequest.encode({ name: Buffer.from('lock') });
    await channel.unary('/v3lockpb.Lock/Lock', lock);
    const waiter = endOfUnary(channel.unary('/v3lockpb.Lock/Lock', lock));
    while ((await readAll(channel)).size < 2) await pause(5);
    served.child.kill('SIGTERM');
    assert.equal((await served.ended).code, 0);
    assertUnavailable(await waiter);
    const again = await serveInChild(t, flagsAt(dataDir));
    const other = await Channel.connect(again.endpoint);
    assert.equal((await readAll(other)).size, 1);
    await other.close();
  });
});

/** A call that was reset, or whose connection is gone: a client tries again in both cases. */
function assertUnavailableOrCut(error: unknown): void {
  const statuses: number[] = [STATUS.unavailable, STATUS.internal];
  assert.ok(error instanceof RpcError && statuses.includes(error.status), String(error));
}
