import { OPEN_ACCESS } from '../open-access.ts';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Input } from '../../../src/format/proto/field.ts';
import { event } from '../../../src/format/proto/mvccpb.ts';
import {
  type WatchRequest,
  watchRequest,
  type WatchResponse,
  watchResponse,
} from '../../../src/format/proto/watchpb.ts';
import { RpcError, STATUS } from '../../../src/rpc/status.ts';
import { watchService, type WatchServiceOptions } from '../../../src/server/services/watch.ts';
import { encodeRevision } from '../../../src/store/mvcc/record.ts';
import { WatchedStore } from '../../store/mvcc/watched-store.ts';
import { MemoryStream } from './memory-stream.ts';

const PATH = '/etcdserverpb.Watch/Watch';
type Create = Input<NonNullable<WatchRequest['createRequest']>>;
const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const ALL: Create = { key: bytes('\0'), rangeEnd: bytes('\0') };

class FakeClock {
  readonly timers: Array<{ ms: number; run: () => void }> = [];

  after(ms: number, run: () => void): () => void {
    const timer = { ms, run };
    this.timers.push(timer);
    return () => this.timers.splice(this.timers.indexOf(timer), 1);
  }

  /** Lets the timers that are set now run out. */
  tick(): void {
    for (const { run } of this.timers.splice(0)) run();
  }
}

class Server {
  readonly store = new WatchedStore();
  readonly clock = new FakeClock();
  readonly #handler;

  constructor(options: Partial<WatchServiceOptions> = {}) {
    const core = {
      keys: this.store,
      backend: this.store.backend,
      header: () => ({ clusterId: 7n, memberId: 1n << 63n, revision: this.store.revision, raftTerm: 3 }),
    };
    this.#handler = watchService(core, {
      access: OPEN_ACCESS,
      clock: this.clock,
      random: () => 0.5,
      ...options,
    }).stream![PATH]!;
  }

  open(): Connection {
    const stream = new MemoryStream(PATH);
    return new Connection(stream, this.#handler(stream));
  }
}

class Connection {
  readonly stream: MemoryStream;
  readonly ended: Promise<unknown>;

  constructor(stream: MemoryStream, done: Promise<void>) {
    this.stream = stream;
    this.ended = done.then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  ask(request: Input<WatchRequest>): void {
    this.stream.request(watchRequest.encode(request));
  }

  /** What came until nothing more does. */
  async take(): Promise<WatchResponse[]> {
    const responses: WatchResponse[] = [];
    for (let idle = 0; idle < 3; idle++) {
      await nextTurn();
      const messages = this.stream.take();
      if (messages.length > 0) idle = -1;
      responses.push(...messages.map((message) => watchResponse.decode(message)));
    }
    return responses;
  }

  async watch(request: Create): Promise<WatchResponse> {
    this.ask({ createRequest: request });
    return (await this.take())[0]!;
  }
}

/** Responses as short text: id, flags, revision of the header, keys. */
function shown(responses: readonly WatchResponse[]): string[] {
  return responses.map((one) => {
    const flags = (['created', 'canceled', 'fragment'] as const).filter((flag) => one[flag]);
    const keys = one.events.map((encoded) => {
      const { type, kv, prevKv } = event.decode(encoded);
      const before = prevKv ? `<${Buffer.from(prevKv.value).toString()}` : '';
      return `${type === 1 ? '-' : '+'}${Buffer.from(kv!.key).toString()}${before}`;
    });
    const compacted = one.compactRevision === 0 ? [] : [`compacted ${one.compactRevision}`];
    const reason = one.cancelReason === '' ? [] : [`(${one.cancelReason})`];
    return [`${one.watchId}@${one.header!.revision}`, ...flags, ...compacted, ...reason, ...keys].join(' ');
  });
}

describe('creating', () => {
  test('is answered before the first event, with an id of its own', async () => {
    const server = new Server();
    const client = server.open();
    for (const key of ['a', 'b']) client.ask({ createRequest: { key: bytes(key) } });
    const created = await client.take();
    assert.deepEqual(shown(created), ['0@1 created', '1@1 created']);
    assert.deepEqual(
      { ...created[0]!.header },
      { clusterId: 7n, memberId: 1n << 63n, revision: 1, raftTerm: 3 },
    );
    for (const key of ['b', 'a', 'c']) server.store.put(key);
    assert.deepEqual(shown(await client.take()), ['1@2 +b', '0@3 +a']);
  });

  test('takes the id that the client gives, and gives others what is left', async () => {
    const server = new Server();
    const client = server.open();
    for (const watchId of [1n, 0n, 0n, 1n, -7n, 2n ** 62n])
      client.ask({ createRequest: { ...ALL, watchId } });
    assert.deepEqual(shown(await client.take()), [
      '1@1 created',
      '0@1 created',
      '2@1 created',
      '-1@1 created canceled (mvcc: duplicate watch ID provided on the WatchStream)',
      '-7@1 created',
      `${2n ** 62n}@1 created`,
    ]);
    server.store.put('a');
    const ids = (await client.take()).map(({ watchId }) => watchId);
    assert.deepEqual(ids, [1n, 0n, 2n, -7n, 2n ** 62n]);
  });

  test('of an empty range or at a negative revision is refused in etcd’s words', async () => {
    const client = new Server().open();
    const refused = [
      await client.watch({ key: bytes('b'), rangeEnd: bytes('b') }),
      await client.watch({ key: bytes('b'), rangeEnd: bytes('a') }),
      await client.watch({ ...ALL, startRevision: -1n }),
    ];
    const isEmpty = '-1@1 created canceled (mvcc: watcher range is empty)';
    assert.deepEqual(shown(refused), [
      isEmpty,
      isEmpty,
      '-1@1 created canceled (etcdserver: mvcc: required revision has been compacted)',
    ]);
  });

  test('without a key begins at the smallest one', async () => {
    const server = new Server();
    const client = server.open();
    await client.watch({ rangeEnd: bytes('b') });
    for (const key of ['a', 'b']) server.store.put(key);
    assert.deepEqual(shown(await client.take()), ['0@2 +a']);
  });

  test('in the past gives what has happened, with filters and values before', async () => {
    const server = new Server();
    for (const value of ['1', '2']) server.store.put('a', value);
    server.store.delete('a');
    const client = server.open();
    client.ask({ createRequest: { ...ALL, startRevision: 3n, prevKv: true } });
    client.ask({ createRequest: { ...ALL, startRevision: 2n, filters: [0] } });
    client.ask({ createRequest: { ...ALL, startRevision: 2n, filters: [1] } });
    client.ask({ createRequest: { ...ALL, startRevision: 2n ** 63n - 1n } });
    const responses = shown(await client.take());
    assert.deepEqual(responses.slice(4).sort(), ['0@4 +a<1 -a<2', '1@4 -a', '2@4 +a +a']);
  });
});

describe('ending', () => {
  test('a cancelled watch is told so and gets nothing more; an unknown id is not answered', async () => {
    const server = new Server();
    const client = server.open();
    await client.watch(ALL);
    client.ask({ cancelRequest: { watchId: 5n } });
    client.ask({ cancelRequest: { watchId: 0n } });
    client.ask({ cancelRequest: { watchId: 0n } });
    assert.deepEqual(shown(await client.take()), ['0@1 canceled']);
    server.store.put('a');
    assert.deepEqual(await client.take(), []);
  });

  test('a watch of compacted revisions is cancelled with the oldest that is held', async () => {
    const server = new Server();
    for (let i = 0; i < 9; i++) server.store.put('a', `${i}`);
    server.store.compact(6).finish();
    const client = server.open();
    client.ask({ createRequest: { ...ALL, startRevision: 3n } });
    assert.deepEqual(shown(await client.take()), ['0@10 created', '0@0 canceled compacted 6']);
    client.ask({ cancelRequest: { watchId: 0n } });
    assert.deepEqual(shown(await client.take()), ['0@10 canceled'], 'clientv3 asks for it');
  });

  test('a client that ends its side goes on watching; one that hangs up is forgotten', async () => {
    const server = new Server();
    const client = server.open();
    await client.watch({ ...ALL, progressNotify: true });
    client.stream.end();
    server.store.put('a');
    assert.deepEqual(shown(await client.take()), ['0@2 +a']);
    client.stream.abort();
    const error = await client.ended;
    assert.ok(error instanceof RpcError && error.status === STATUS.cancelled);
    assert.equal(error.message, 'etcdserver: watch canceled');
    assert.equal(server.clock.timers.length, 0);
  });

  test('a malformed request ends the call', async () => {
    const client = new Server().open();
    client.stream.request(Buffer.from([0xff]));
    const error = await client.ended;
    assert.ok(error instanceof Error && !(error instanceof RpcError));
  });

  test('a history that cannot be read ends the call', async () => {
    const server = new Server();
    server.store.put('a');
    server.store.backend.put('key', encodeRevision(2, 0), Buffer.from([0xff]));
    const client = server.open();
    client.ask({ createRequest: { ...ALL, startRevision: 1n } });
    const error = await client.ended;
    assert.ok(error instanceof Error && 'code' in error && error.code === 'mvcc.value');
  });
});

describe('progress', () => {
  test('a request is answered for all watches once each has been given everything', async () => {
    const server = new Server();
    const client = server.open();
    client.ask({ progressRequest: {} });
    assert.deepEqual(await client.take(), [], 'nobody watches');
    await client.watch(ALL);
    server.store.put('a');
    client.ask({ progressRequest: {} });
    assert.deepEqual(shown(await client.take()), ['0@2 +a', '-1@2']);
    client.ask({ createRequest: { ...ALL, startRevision: 2n } });
    client.ask({ progressRequest: {} });
    assert.deepEqual(shown(await client.take()), ['1@2 created', '1@2 +a'], 'it was behind when asked');
    await client.watch({ ...ALL, startRevision: 9n });
    client.ask({ progressRequest: {} });
    assert.deepEqual(await client.take(), [], 'one waits for the future');
  });

  test('an idle watch that asked for it is notified, and after events a turn later', async () => {
    const server = new Server({ progressNotifyMs: 60_000 });
    const client = server.open();
    await client.watch(ALL);
    assert.equal(server.clock.timers.length, 0);
    await client.watch({ ...ALL, progressNotify: true });
    assert.equal(server.clock.timers[0]!.ms, 63_000);
    server.clock.tick();
    assert.deepEqual(shown(await client.take()), ['1@1']);
    server.store.put('a');
    server.clock.tick();
    assert.deepEqual(shown(await client.take()), ['0@2 +a', '1@2 +a']);
    server.clock.tick();
    assert.deepEqual(shown(await client.take()), ['1@2']);
  });

  test('is not told to a watch that waits for the future', async () => {
    const server = new Server();
    const client = server.open();
    await client.watch({ ...ALL, progressNotify: true, startRevision: 2n });
    server.clock.tick();
    assert.deepEqual(await client.take(), []);
    server.store.put('a');
    server.clock.tick();
    server.clock.tick();
    assert.deepEqual(shown(await client.take()), ['0@2 +a', '0@2']);
  });

  test('is not told to a client that has not taken its events', async () => {
    const server = new Server({ queuedBytesMax: 1 });
    const client = server.open();
    client.stream.windowBytes = 1;
    client.ask({ createRequest: { ...ALL, progressNotify: true } });
    await nextTurn();
    client.stream.take();
    await nextTurn();
    server.store.put('a');
    server.clock.tick();
    server.clock.tick();
    client.ask({ progressRequest: {} });
    await nextTurn();
    assert.equal(client.stream.queued.length, 1);
    client.stream.take();
    await nextTurn();
    client.ask({ progressRequest: {} });
    assert.deepEqual(shown(await client.take()), ['-1@2']);
  });

  test('the interval is ten minutes, and never below a tenth of a second', async () => {
    for (const [options, ms] of [
      [{}, 630_000],
      [{ progressNotifyMs: 1 }, 105],
    ] as const) {
      const server = new Server(options);
      await server.open().watch({ ...ALL, progressNotify: true });
      assert.equal(server.clock.timers[0]!.ms, ms);
    }
  });
});

describe('fragments', () => {
  test('split a response that is too large where etcd does, and only for who asked', async () => {
    const server = new Server({ fragmentBytes: 600 });
    const client = server.open();
    await client.watch(ALL);
    await client.watch({ ...ALL, fragment: true });
    server.store.write(['a', 'b', 'c', 'd', 'e'].map((key) => ({ put: key, value: 'x'.repeat(200) })));
    server.store.put('large', 'x'.repeat(1_000));
    await nextTurn();
    const messages = client.stream.take();
    assert.deepEqual(shown(messages.map((message) => watchResponse.decode(message))), [
      '0@2 +a +b +c +d +e',
      '1@2 fragment +a +b',
      '1@2 fragment +c +d',
      '1@2 +e',
      '0@3 +large',
      '1@3 +large',
    ]);
    assert.ok(messages.slice(1, 4).every(({ length }) => length < 600));
  });

  test('have fewer bytes than the limit, not as many', async () => {
    const sizesAt = async (fragmentBytes: number): Promise<number[]> => {
      const server = new Server({ fragmentBytes });
      const client = server.open();
      await client.watch({ ...ALL, fragment: true });
      server.store.write(['a', 'b', 'c', 'd'].map((key) => ({ put: key, value: 'x'.repeat(200) })));
      return client.stream.take().map(({ length }) => length);
    };
    const [first] = await sizesAt(600);
    assert.equal((await sizesAt(first! + 1)).length, 2);
    assert.equal((await sizesAt(first!)).length, 4);
  });

  test('every frame is what the table of the message encodes', async () => {
    const server = new Server({ fragmentBytes: 300 });
    const client = server.open();
    for (const watchId of [0n, 1n, 200n, 2n ** 40n, 2n ** 62n, -2n])
      client.ask({ createRequest: { ...ALL, watchId, fragment: watchId === 200n, prevKv: watchId === 1n } });
    await client.take();
    for (const size of [0, 100, 200, 20_000])
      server.store.write(['a', 'b'].map((key) => ({ put: key, value: 'x'.repeat(size) })));
    const messages = client.stream.take();
    assert.ok(messages.length > 24);
    for (const message of messages)
      assert.deepEqual(
        Buffer.from(message),
        Buffer.from(watchResponse.encode(watchResponse.decode(message))),
      );
  });
});
