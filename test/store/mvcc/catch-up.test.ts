import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { WatchOptions } from '../../../src/store/mvcc/watch.ts';
import { ALL, Client, wanted, WatchedHub } from './watch-support.ts';
import type { HistoryEvent, Step } from './watched-store.ts';

const KEYS = ['a', 'ab', 'b', 'c\xff', 'd'];
const SUBSCRIBERS = 3;

type Action =
  | { do: 'change'; steps: Step[] }
  | { do: 'changes'; count: number }
  | { do: 'compact'; back: number }
  | { do: 'watch'; by: number; back: number; options: WatchOptions }
  | { do: 'close'; number: number }
  | { do: 'stall'; by: number; room: number }
  | { do: 'resume'; by: number }
  | { do: 'turn' };

const key = fc.constantFrom(...KEYS);
const by = fc.nat(SUBSCRIBERS - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ put: key, value: fc.string({ maxLength: 3 }) }),
  fc.record({ delete: key }),
);
const steps = fc.uniqueArray(step, {
  minLength: 1,
  maxLength: 4,
  selector: (one) => ('put' in one ? one.put : one.delete),
});
const options: fc.Arbitrary<WatchOptions> = fc.record({
  range: fc.record({ key, end: fc.oneof(fc.constant(undefined), fc.constant(''), key) }),
  noPut: fc.boolean(),
  noDelete: fc.boolean(),
  previous: fc.boolean(),
});
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('change'), steps }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('changes'), count: fc.nat(1500) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compact'), back: fc.nat(10) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('watch'), by, back: fc.integer({ min: -3, max: 20 }), options }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close'), number: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('stall'), by, room: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('resume'), by }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('turn') }) },
) as fc.Arbitrary<Action>;

interface Watched {
  client: Client;
  options: WatchOptions;
  /** Revision of the store when it was closed. */
  closedAt: number | undefined;
}

class Model {
  readonly watched = new WatchedHub();
  readonly watches: Watched[] = [];
  readonly #rooms = Array.from({ length: SUBSCRIBERS }, () => ({ room: Infinity }));
  readonly #subscribers = this.#rooms.map(() => this.watched.hub.subscribe());

  run(one: Action): void {
    const { store } = this.watched;
    switch (one.do) {
      case 'change':
        return store.write(one.steps);
      case 'changes':
        for (let i = 0; i < one.count; i++) store.put(KEYS[i % KEYS.length]!, `${i}`);
        return;
      case 'compact': {
        const revision = store.revision - one.back;
        if (revision > Math.max(store.compactRevision, 1)) store.compact(revision);
        return;
      }
      case 'watch':
        return this.#watch(one);
      case 'close': {
        const watch = this.watches[one.number % this.watches.length];
        if (!watch || watch.client.watcher.state === 'closed') return;
        watch.client.watcher.close();
        watch.closedAt = store.revision;
        return;
      }
      case 'stall':
        this.#rooms[one.by]!.room = one.room;
        return;
      case 'resume':
        return this.resume(one.by);
      default:
        store.pending?.step();
        this.watched.turn();
    }
  }

  #watch({ by: number, back, options: asked }: Action & { do: 'watch' }): void {
    const { revision } = this.watched.store;
    // None is the next revision; a negative distance is the future.
    const startRevision = back === 0 ? undefined : Math.max(revision - back, 1);
    const client = new Client(this.#subscribers[number]!, { ...asked, startRevision }, this.#rooms[number]);
    const known = { ...asked, startRevision: startRevision ?? revision + 1 };
    this.watches.push({ client, options: known, closedAt: undefined });
  }

  resume(number: number): void {
    this.#rooms[number]!.room = Infinity;
    this.#subscribers[number]!.resume();
  }

  finish(): void {
    for (let i = 0; i < SUBSCRIBERS; i++) this.resume(i);
    this.watched.settle();
    this.watched.store.pending?.finish();
  }
}

function assertGiven(model: Model, { client, options: asked, closedAt }: Watched): void {
  const { store } = model.watched;
  const all = wanted(store.history, asked);
  const isAll = closedAt === undefined && client.compactedAt === undefined;
  const expected = isAll ? all : all.slice(0, client.received.length);
  assert.deepEqual(
    client.received.map((event, i) => withoutCompacted(event, expected[i], store.compactRevision)),
    expected.map((event) => withoutCompacted(event, event, store.compactRevision)),
  );
  assert.ok(client.isWhole, 'the events of a revision come at once');
  assert.equal(client.isOverfed, false, 'nothing is given to who is full');
  if (closedAt !== undefined) assert.ok(client.received.every(({ revision }) => revision <= closedAt));
}

/** The value before may be missing when it was compacted before it was read. */
function withoutCompacted(
  event: HistoryEvent,
  known: HistoryEvent | undefined,
  compactRevision: number,
): HistoryEvent {
  const isOptional = event.revision - 1 < compactRevision;
  if (isOptional && event.previous !== undefined) assert.equal(event.previous, known?.previous);
  return isOptional ? { ...event, previous: undefined } : event;
}

test('every watcher is given what a look at the whole history gives, once and in order', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120, size: 'max' }), (actions) => {
      const model = new Model();
      for (const one of actions) model.run(one);
      model.finish();
      for (const watch of model.watches) assertGiven(model, watch);
      assert.equal(model.watched.hub.unsyncedCount, 0);
      const open = model.watches.filter(({ client }) => client.watcher.state !== 'closed');
      assert.equal(model.watched.hub.watcherCount, open.length);
    }),
    { numRuns: 150 },
  );
});

test('a round that ends early gives nothing to those who start behind its end', () => {
  const watched = new WatchedHub();
  for (let i = 0; i < 999; i++) watched.store.put('a', 'x'.repeat(5_000));
  const asked = [2, 950].map((startRevision): WatchOptions => ({ range: ALL, startRevision }));
  const clients = asked.map((one) => new Client(watched.hub.subscribe(), one));
  watched.settle();
  for (const [i, client] of clients.entries())
    assert.deepEqual(client.received, wanted(watched.store.history, asked[i]!));
});

test('a watcher that is neither behind nor stalled is never closed by a compaction', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 80, size: 'max' }), (actions) => {
      const model = new Model();
      for (const one of actions) {
        if (one.do === 'stall') continue;
        model.run(one.do === 'watch' ? { ...one, back: Math.min(one.back, 0) } : one);
      }
      for (const { client } of model.watches) assert.equal(client.compactedAt, undefined);
    }),
  );
});
