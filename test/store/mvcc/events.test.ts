import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptError } from '../../../src/errors.ts';
import { event } from '../../../src/format/proto/mvccpb.ts';
import type { BackendView } from '../../../src/store/backend/backend.ts';
import { type PastEvents, readEvents } from '../../../src/store/mvcc/events.ts';
import { encodeRevision } from '../../../src/store/mvcc/record.ts';
import { WatchedStore } from './watched-store.ts';

const NO_LIMITS = { revisionsMax: 1000, wantedBytesMax: 1e9, readBytesMax: 1e9, isWanted: () => true };

function shown({ events }: PastEvents): string[] {
  return events.map(({ event: one }) => {
    const { type, kv, prevKv } = event.decode(one.encoded(true));
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
    const before = prevKv ? ` before ${text(prevKv.value)}@${prevKv.modRevision}` : '';
    return `${type === 1 ? 'DELETE' : 'PUT'} ${text(kv!.key)}=${text(kv!.value)}@${kv!.modRevision}${before}`;
  });
}

function storeOf(...steps: Array<Parameters<WatchedStore['write']>[0]>): WatchedStore {
  const store = new WatchedStore();
  for (const step of steps) store.write(step);
  return store;
}

test('past changes are read as events, deletions with their revision and the value before', () => {
  const store = storeOf(
    [{ put: 'a', value: '1' }],
    [
      { put: 'a', value: '2' },
      { put: 'b', value: '3' },
    ],
    [{ delete: 'a' }],
    [{ put: 'a', value: '4' }],
  );
  const past = readEvents(store.backend, store, { ...NO_LIMITS, from: 2 });
  assert.deepEqual(shown(past), [
    'PUT a=1@2',
    'PUT a=2@3 before 1@2',
    'PUT b=3@3',
    'DELETE a=@4 before 2@3',
    'PUT a=4@5',
  ]);
  assert.equal(past.nextRevision, 6);
});

test('a value before is absent once it is compacted', () => {
  const store = storeOf([{ put: 'a', value: '1' }], [{ put: 'a', value: '2' }], [{ put: 'a', value: '3' }]);
  store.compact(3).finish();
  assert.deepEqual(shown(readEvents(store.backend, store, { ...NO_LIMITS, from: 3 })), [
    'PUT a=2@3',
    'PUT a=3@4 before 2@3',
  ]);
});

test('an event that does not ask for the value before has none', () => {
  const store = storeOf([{ put: 'a', value: '1' }], [{ put: 'a', value: '2' }]);
  const { events } = readEvents(store.backend, store, { ...NO_LIMITS, from: 3 });
  assert.equal(event.decode(events[0]!.event.encoded(false)).prevKv, undefined);
});

test('limits end a read between revisions, never within one', () => {
  const pair = [
    { put: 'a', value: 'x'.repeat(100) },
    { put: 'b', value: 'x'.repeat(100) },
  ];
  const store = storeOf(pair, pair, pair);
  const nextOf = (limits: Partial<typeof NO_LIMITS>): number =>
    readEvents(store.backend, store, { ...NO_LIMITS, ...limits, from: 2 }).nextRevision;
  assert.equal(nextOf({ revisionsMax: 2 }), 4);
  assert.equal(nextOf({ wantedBytesMax: 1 }), 3);
  assert.equal(nextOf({ wantedBytesMax: 250 }), 4);
  assert.equal(nextOf({ readBytesMax: 1, isWanted: () => false }), 3);
  assert.equal(nextOf({ wantedBytesMax: 1, isWanted: () => false }), 5);
});

test('the record of a bump is no event', () => {
  const store = storeOf([{ put: 'a', value: '1' }]);
  store.backend.put('key', encodeRevision(1_000, 0), new Uint8Array());
  store.revision = 1_000;
  const past = readEvents(store.backend, store, { ...NO_LIMITS, from: 2, revisionsMax: 2_000 });
  assert.deepEqual(shown(past), ['PUT a=1@2']);
  assert.equal(past.nextRevision, 1_001);
});

test('events do not change with the row that they were read from', () => {
  const store = storeOf([{ put: 'a', value: '1' }], [{ put: 'a', value: '2' }]);
  const row = Buffer.alloc(64);
  const backend: BackendView = {
    get: () => undefined,
    *scan() {
      for (const { key, value } of store.backend.scan('key')) {
        row.set(value);
        yield { key, value: row.subarray(0, value.length) };
        row.fill(0xff);
      }
    },
  };
  const past = readEvents(backend, store, { ...NO_LIMITS, from: 2 });
  assert.deepEqual(shown(past), ['PUT a=1@2', 'PUT a=2@3 before 1@2']);
});

test('a malformed record is damage', () => {
  const store = storeOf([{ put: 'a', value: '1' }]);
  store.backend.put('key', encodeRevision(3, 0), Buffer.from([0xff]));
  store.revision = 3;
  assert.throws(() => readEvents(store.backend, store, { ...NO_LIMITS, from: 2 }), CorruptError);
});
