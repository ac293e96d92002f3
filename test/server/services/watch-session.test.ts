import { OPEN_ACCESS } from '../open-access.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { bytes as fieldBytes } from '../../../src/format/proto/field.ts';
import { message } from '../../../src/format/proto/message.ts';
import { watchRequest, watchResponse } from '../../../src/format/proto/watchpb.ts';
import { watchService } from '../../../src/server/services/watch.ts';
import { viewKeyValue } from '../../../src/store/mvcc/key-value.ts';
import { WatchHub } from '../../../src/store/mvcc/watch.ts';
import { EndlessStore } from './endless-store.ts';
import { MemoryStream } from './memory-stream.ts';

const PATH = '/etcdserverpb.Watch/Watch';
const MIB = 1 << 20;
/** An event whose KeyValue is left as it is. */
const shallowEvent = message('mvccpb.Event', { kv: fieldBytes(2) });

function watching(store: EndlessStore, streams: readonly MemoryStream[], startRevision = 0n): void {
  const service = watchService(store, { access: OPEN_ACCESS });
  for (const stream of streams) {
    void service.stream![PATH]!(stream).catch(() => {});
    const key = Buffer.from('\0');
    stream.request(watchRequest.encode({ createRequest: { key, rangeEnd: key, startRevision } }));
  }
}

function openStreams(count: number): MemoryStream[] {
  return Array.from({ length: count }, () => {
    const stream = new MemoryStream(PATH);
    stream.windowBytes = 64 << 10;
    return stream;
  });
}

const revisionsOf = (messages: readonly Uint8Array[]): number[] =>
  messages
    .flatMap((message) => watchResponse.decode(message).events)
    .map((bytes) => viewKeyValue(shallowEvent.decode(bytes).kv).modRevision);

/** What a collection frees is given back a little later, on another thread: the least of a few looks counts. */
async function usedBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let least = Infinity;
  for (let look = 0; look < 5; look++) {
    collect();
    await delay(5);
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    least = Math.min(least, heapUsed + arrayBuffers);
  }
  return least;
}

test('a stalled client costs a queue and no more, and is given all 200,000 events when it goes on', async () => {
  const EVENTS = 200_000;
  const store = new EndlessStore();
  const [stream] = openStreams(1);
  watching(store, [stream!]);
  await nextTurn();
  const put = async (count: number): Promise<number> => {
    for (let i = 0; i < count; i++) {
      store.put();
      if (i % 10_000 === 0) await nextTurn();
    }
    return usedBytes();
  };
  const early = await put(EVENTS / 4);
  const added = (await put((EVENTS * 3) / 4)) - early;
  assert.ok(added < 4 * MIB, `${added} bytes more after 150 MB of events`);
  assert.ok(stream!.queuedBytesHighest < 1.1 * MIB, `${stream!.queuedBytesHighest} bytes were queued`);
  assert.ok(stream!.queuedBytesHighest > MIB / 2, 'it is not given up at once');

  let next = 2;
  for (let idle = 0; idle < 5; idle++) {
    for (const revision of revisionsOf(stream!.take())) {
      assert.equal(revision, next++);
      idle = -1;
    }
    await nextTurn();
  }
  assert.equal(next, EVENTS + 2);
  assert.ok(stream!.queuedBytesHighest < 1.5 * MIB, `${stream!.queuedBytesHighest} bytes were queued`);
  store.put();
  assert.deepEqual(revisionsOf(stream!.take()), [next], 'it is synced again');
});

test('many stalled clients share what is kept for them, and each is given everything when it goes on', async () => {
  const store = new EndlessStore(10_000);
  const streams = openStreams(400);
  watching(store, streams);
  await nextTurn();
  for (let i = 0; i < 300; i++) store.put();
  const queued = streams.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0);
  assert.ok(queued < 80 * MIB, `${queued} bytes are queued`);
  const seen = streams.map(() => 0);
  for (let idle = 0; idle < 5; idle++) {
    for (const [i, stream] of streams.entries()) {
      const revisions = revisionsOf(stream.take());
      seen[i]! += revisions.length;
      if (revisions.length > 0) idle = -1;
    }
    await nextTurn();
  }
  assert.deepEqual(new Set(seen), new Set([300]));
});

test('a hundred streams that come from the past leave other work its turns', async () => {
  const store = new EndlessStore();
  store.revision = 1_001;
  const streams = openStreams(100);
  watching(store, streams, 2n);
  const given = new Set<MemoryStream>();
  for (let turns = 0; given.size < streams.length; turns++) {
    assert.ok(turns < 2_000, 'not all were given something');
    await nextTurn();
    const sent = streams.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0);
    assert.ok(sent < 6 * MIB, `${sent} bytes in one turn`);
    for (const stream of streams) if (revisionsOf(stream.take()).at(-1) === 1_001) given.add(stream);
  }
});

test('a client that takes nothing is not listened to', async () => {
  const store = new EndlessStore();
  const [stream] = openStreams(1);
  stream!.windowBytes = 1;
  const service = watchService(store, { access: OPEN_ACCESS, queuedBytesMax: 1 });
  void service.stream![PATH]!(stream!).catch(() => {});
  for (let i = 0; i < 100; i++) stream!.request(watchRequest.encode({ createRequest: {} }));
  for (let i = 0; i < 10; i++) await nextTurn();
  assert.equal(stream!.queued.length, 1);
  stream!.take();
  for (let i = 0; i < 10; i++) await nextTurn();
  assert.equal(stream!.queued.length, 1);
  stream!.abort();
});

test('streams whose watches have the same id share the bytes of a response', async () => {
  const store = new EndlessStore();
  const streams = openStreams(3);
  watching(store, streams);
  await nextTurn();
  for (const stream of streams) stream.take();
  store.put();
  const [first, ...others] = streams.map((stream) => stream.take()[0]!);
  for (const other of others) assert.equal(other, first);
});

test('a hub that others use too is told once', async () => {
  const store = new EndlessStore();
  const hub = new WatchHub(store, store);
  store.onRevision = (revision, changes) => hub.notify(revision, changes);
  const [stream] = openStreams(1);
  void watchService(store, { access: OPEN_ACCESS, hub }).stream![PATH]!(stream!).catch(() => {});
  stream!.request(
    watchRequest.encode({ createRequest: { key: Buffer.from('\0'), rangeEnd: Buffer.from('\0') } }),
  );
  await nextTurn();
  store.put();
  assert.deepEqual(revisionsOf(stream!.take()), [2]);
});
