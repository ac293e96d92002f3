import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CorruptError } from '../../../src/errors.ts';
import { encodeRevision } from '../../../src/store/mvcc/record.ts';
import { ALL, Client, wanted, WatchedHub } from './watch-support.ts';

const keysOf = ({ received }: Client): string[] => received.map(({ key }) => key);
const revisionsOf = ({ received }: Client): number[] => received.map(({ revision }) => revision);

function fill(watched: WatchedHub, count: number, value = ''): void {
  for (let i = 0; i < count; i++) watched.store.put(`k${i % 7}`, `${i}${value}`);
}

describe('a synced watcher', () => {
  test('is told of its key, its range, a prefix, all from a key, or everything', () => {
    const watched = new WatchedHub();
    const watch = (key: string, end?: string): Client =>
      new Client(watched.hub.subscribe(), { range: { key, end } });
    const [one, range, from, all] = [watch('b'), watch('b', 'd'), watch('c', ''), watch('\0', '')];
    for (const key of ['a', 'b', 'b1', 'c', 'd']) watched.store.put(key);
    assert.deepEqual(keysOf(one), ['b']);
    assert.deepEqual(keysOf(range), ['b', 'b1', 'c']);
    assert.deepEqual(keysOf(from), ['c', 'd']);
    assert.deepEqual(keysOf(all), ['a', 'b', 'b1', 'c', 'd']);
    assert.deepEqual(all.headers, [2, 3, 4, 5, 6]);
  });

  test('is given the events of one revision at once, in their order', () => {
    const watched = new WatchedHub();
    const client = new Client(watched.hub.subscribe(), { range: ALL });
    watched.store.write([{ put: 'b', value: '' }, { put: 'a', value: '' }, { delete: 'b' }]);
    assert.deepEqual(keysOf(client), ['b', 'a', 'b']);
    assert.deepEqual(client.headers, [2]);
  });

  test('is not told what it filters, nor of a revision of which nothing is left', () => {
    const watched = new WatchedHub();
    const noPut = new Client(watched.hub.subscribe(), { range: ALL, noPut: true });
    const noDelete = new Client(watched.hub.subscribe(), { range: ALL, noDelete: true });
    const neither = new Client(watched.hub.subscribe(), { range: ALL, noPut: true, noDelete: true });
    watched.store.put('a', '1');
    watched.store.delete('a');
    watched.store.write([{ put: 'a', value: '2' }, { delete: 'a' }]);
    assert.deepEqual(revisionsOf(noPut), [3, 4]);
    assert.deepEqual(noPut.headers, [3, 4]);
    assert.deepEqual(noDelete.headers, [2, 4]);
    assert.deepEqual(neither.headers, []);
  });

  test('is given the value before if it asks for it', () => {
    const watched = new WatchedHub();
    const asking = new Client(watched.hub.subscribe(), { range: ALL, previous: true });
    const other = new Client(watched.hub.subscribe(), { range: ALL });
    for (const value of ['1', '2']) watched.store.put('a', value);
    watched.store.delete('a');
    assert.deepEqual(
      asking.received.map(({ previous }) => previous),
      [undefined, '1', '2'],
    );
    assert.ok(other.received.every(({ previous }) => previous === undefined));
  });

  test('is given the value of the revision before, where one changes a key twice', () => {
    const watched = new WatchedHub();
    const synced = new Client(watched.hub.subscribe(), { range: ALL, previous: true });
    watched.store.put('a', '1');
    watched.store.write([{ put: 'a', value: '2' }, { delete: 'a' }]);
    watched.store.write([{ put: 'a', value: '3' }, { delete: 'a' }]);
    const late = new Client(watched.hub.subscribe(), { range: ALL, previous: true, startRevision: 2 });
    watched.settle();
    for (const { received } of [synced, late])
      assert.deepEqual(
        received.map(({ previous }) => previous),
        [undefined, '1', '1', undefined, undefined],
      );
  });

  test('fails when the value before cannot be read, and the change is made', () => {
    const watched = new WatchedHub();
    watched.store.put('a', '1');
    watched.store.backend.delete('key', encodeRevision(2, 0));
    const asking = new Client(watched.hub.subscribe(), { range: ALL, previous: true });
    const other = new Client(watched.hub.subscribe(), { range: { key: 'a', end: undefined } });
    watched.store.put('a', '2');
    assert.ok(asking.error instanceof CorruptError);
    assert.equal(watched.store.revision, 3);
    assert.deepEqual(keysOf(other), ['a']);
    watched.store.put('a', '3');
    assert.deepEqual([keysOf(asking), keysOf(other)], [[], ['a', 'a']]);
  });

  test('that starts in the future waits for its revision', () => {
    const watched = new WatchedHub();
    const subscriber = watched.hub.subscribe();
    const client = new Client(subscriber, { range: ALL, startRevision: 4 });
    assert.equal(subscriber.isCurrent(), false);
    fill(watched, 4);
    assert.deepEqual(revisionsOf(client), [4, 5]);
    assert.equal(subscriber.isCurrent(), true);
  });

  test('is told nothing after it was closed', () => {
    const watched = new WatchedHub();
    const subscriber = watched.hub.subscribe();
    const [one, other] = [new Client(subscriber, { range: ALL }), new Client(subscriber, { range: ALL })];
    watched.store.put('a');
    one.watcher.close();
    watched.store.put('b');
    assert.deepEqual([keysOf(one), keysOf(other)], [['a'], ['a', 'b']]);
    subscriber.close();
    watched.store.put('c');
    assert.deepEqual(keysOf(other), ['a', 'b']);
    assert.equal(watched.hub.watcherCount, 0);
  });

  test('may close itself and others while it is told', () => {
    const watched = new WatchedHub();
    const subscriber = watched.hub.subscribe();
    const [first, second] = [new Client(subscriber, { range: ALL }), new Client(subscriber, { range: ALL })];
    first.events = () => {
      subscriber.close();
      return true;
    };
    watched.store.put('a');
    assert.deepEqual(keysOf(second), []);
  });
});

describe('an unsynced watcher', () => {
  test('is given what has happened since its revision, then what happens', () => {
    const watched = new WatchedHub();
    fill(watched, 10);
    const subscriber = watched.hub.subscribe();
    const client = new Client(subscriber, { range: ALL, startRevision: 5, previous: true });
    watched.store.put('late');
    assert.deepEqual(client.received, []);
    assert.equal(subscriber.isCurrent(), false);
    watched.settle();
    assert.equal(subscriber.isCurrent(), true);
    watched.store.put('later');
    assert.deepEqual(
      client.received,
      wanted(watched.store.history, { range: ALL, startRevision: 5, previous: true }),
    );
    assert.deepEqual(
      client.headers,
      [12, 13],
      'as from etcd, the header of a late response is that of the store',
    );
  });

  test('is closed when what it needs is compacted', () => {
    const watched = new WatchedHub();
    fill(watched, 10);
    watched.store.compact(6).finish();
    const [late, just] = [5, 6].map(
      (startRevision) => new Client(watched.hub.subscribe(), { range: ALL, startRevision }),
    );
    watched.settle();
    assert.equal(late!.compactedAt, 6);
    assert.deepEqual(late!.received, []);
    assert.equal(just!.compactedAt, undefined);
    assert.deepEqual(revisionsOf(just!), [6, 7, 8, 9, 10, 11]);
    assert.equal(watched.hub.watcherCount, 1);
  });

  test('shares its reading with the others', () => {
    const watched = new WatchedHub();
    fill(watched, 5_000);
    const clients = Array.from(
      { length: 20 },
      (_, i) => new Client(watched.hub.subscribe(), { range: ALL, startRevision: 2 + i * 10 }),
    );
    watched.settle();
    for (const [i, client] of clients.entries()) assert.equal(client.received.length, 5_000 - i * 10);
    assert.ok(watched.store.backend.readCount < 6_000, `${watched.store.backend.readCount} rows were read`);
  });

  test('gets its turn however many start far behind it', () => {
    const watched = new WatchedHub();
    fill(watched, 20_000);
    const client = new Client(watched.hub.subscribe(), { range: ALL, startRevision: 15_000 });
    watched.turn();
    for (let turns = 0; client.received.length < 5_002; turns++) {
      assert.ok(turns < 40, `nothing for ${turns} turns`);
      void new Client(watched.hub.subscribe(), { range: ALL, startRevision: 2 + turns });
      watched.turn();
    }
  });

  test('fails when the history cannot be read, and others go on', () => {
    const watched = new WatchedHub();
    fill(watched, 10);
    watched.store.backend.put('key', encodeRevision(5, 0), Buffer.from([0xff]));
    const late = new Client(watched.hub.subscribe(), { range: ALL, startRevision: 2 });
    const synced = new Client(watched.hub.subscribe(), { range: ALL });
    watched.settle();
    assert.ok(late.error instanceof CorruptError);
    watched.store.put('a');
    assert.deepEqual([late.received.length, synced.received.length], [0, 1]);
  });
});

describe('a watcher whose subscriber is full', () => {
  test('is given nothing until it is resumed, then everything once', () => {
    const watched = new WatchedHub();
    const client = new Client(watched.hub.subscribe(), { range: ALL });
    client.space.room = 3;
    fill(watched, 2_500);
    watched.settle();
    assert.deepEqual(revisionsOf(client), [2, 3, 4]);
    assert.equal(watched.hub.unsyncedCount, 1);
    client.resume(1);
    watched.settle();
    assert.equal(client.received.length, 3 + 1_000);
    client.resume();
    watched.settle();
    assert.deepEqual(client.received, wanted(watched.store.history, { range: ALL }));
    assert.equal(watched.hub.unsyncedCount, 0);
  });

  test('stays synced while nothing happens to its keys', () => {
    const watched = new WatchedHub();
    const subscriber = watched.hub.subscribe();
    const [busy, idle] = [
      new Client(subscriber, { range: { key: 'k1', end: undefined } }),
      new Client(subscriber, { range: { key: 'other', end: undefined } }),
    ];
    busy.space.room = 1;
    fill(watched, 100);
    assert.equal(watched.hub.unsyncedCount, 1);
    busy.resume();
    watched.settle();
    watched.store.put('other');
    assert.deepEqual(keysOf(idle), ['other']);
  });

  test('is closed when what it was not given is compacted meanwhile', () => {
    const watched = new WatchedHub();
    const client = new Client(watched.hub.subscribe(), { range: ALL });
    client.space.room = 1;
    fill(watched, 10);
    watched.store.compact(8).finish();
    client.resume();
    watched.settle();
    assert.equal(client.compactedAt, 8);
    assert.deepEqual(revisionsOf(client), [2]);
  });

  test('does not hold up the others of its range', () => {
    const watched = new WatchedHub();
    const [stalled, other] = [1, Infinity].map((room) => {
      const client = new Client(watched.hub.subscribe(), { range: ALL });
      client.space.room = room;
      return client;
    });
    fill(watched, 100);
    assert.deepEqual([stalled!.received.length, other!.received.length], [1, 100]);
  });
});

test('a round that has much to give takes several turns', () => {
  const watched = new WatchedHub();
  fill(watched, 1_000, 'x'.repeat(1_000));
  const clients = Array.from(
    { length: 40 },
    () => new Client(watched.hub.subscribe(), { range: ALL, startRevision: 2 }),
  );
  watched.turn();
  const given = clients.filter(({ received }) => received.length > 0).length;
  assert.ok(given > 0 && given < 20, `${given} were given something`);
  watched.store.put('meanwhile');
  clients[39]!.watcher.close();
  watched.settle();
  for (const client of clients.slice(0, 39))
    assert.deepEqual(client.received, wanted(watched.store.history, { range: ALL }));
  assert.deepEqual(clients[39]!.received, []);
});
