import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Call, Methods, Stream } from '../../../src/rpc/seam.ts';
import { RpcError, STATUS } from '../../../src/rpc/status.ts';
import { CallStats, measured, type MethodStats } from '../../../src/server/monitor/measure.ts';
import { keptLog } from './healthy-view.ts';

const PUT = '/etcdserverpb.KV/Put';
const WATCH = '/etcdserverpb.Watch/Watch';

function callOf(path: string, metadata: Record<string, string> = {}): Call {
  const signal = new AbortController().signal;
  return { path, metadata: new Map(Object.entries(metadata)), signal, peer: '127.0.0.1:9', commonName: 'u' };
}

/** One service behind the meter, and a clock that the test moves. */
function meter(methods: Methods) {
  const stats = new CallStats();
  const log = keptLog();
  const clock = { ms: 0 };
  const [service] = measured([methods], { stats, log, warningMs: 300, now: () => clock.ms });
  const [method] = stats.methods as [MethodStats];
  return { stats, log, clock, service: service!, method };
}

test('a call that is answered at once', () => {
  const { stats, service, method, clock } = meter({
    unary: {
      [PUT]: () => {
        clock.ms += 20;
        return new Uint8Array(7);
      },
    },
  });
  const answer = service.unary![PUT]!(new Uint8Array(5), callOf(PUT, { 'client-api-version': '3.6' }));
  assert.equal((answer as Uint8Array).length, 7);
  assert.equal(method.type, 'unary');
  assert.deepEqual([method.started, method.received, method.sent, method.handled[0]], [1, 1, 1, 1]);
  assert.deepEqual([stats.receivedBytes, stats.sentBytes], [5, 7]);
  assert.deepEqual([...stats.clientVersions], [['3.6', { unary: 1, stream: 0 }]]);
  assert.equal(method.seconds.sum, 0.02);
});

test('a call that waits counts as begun, and as handled when it is answered', async () => {
  let answer = (_bytes: Uint8Array): void => {};
  const { service, method } = meter({
    unary: { [PUT]: () => new Promise<Uint8Array>((resolve) => (answer = resolve)) },
  });
  const pending = service.unary![PUT]!(new Uint8Array(1), callOf(PUT));
  assert.deepEqual([method.started, method.handled[0]], [1, 0]);
  answer(new Uint8Array(2));
  assert.equal((await pending).length, 2);
  assert.deepEqual([method.sent, method.handled[0]], [1, 1]);
});

test('failures count by their status and reach the transport', async () => {
  const full = new RpcError(STATUS.resourceExhausted, 'etcdserver: mvcc: database space exceeded');
  const errors: [unknown, number][] = [
    [full, STATUS.resourceExhausted],
    [new TypeError('defect'), STATUS.internal],
  ];
  for (const [error, status] of errors) {
    const thrown = meter({
      unary: {
        [PUT]: () => {
          throw error;
        },
      },
    });
    assert.throws(() => thrown.service.unary![PUT]!(new Uint8Array(1), callOf(PUT)), error as Error);
    assert.equal(thrown.method.handled[status], 1);
    const rejected = meter({ unary: { [PUT]: () => Promise.reject(error) } });
    await assert.rejects(async () => {
      await rejected.service.unary![PUT]!(new Uint8Array(1), callOf(PUT));
    }, error as Error);
    assert.equal(rejected.method.handled[status], 1);
    assert.equal(rejected.method.sent, 0);
  }
});

test('what takes long is logged as etcd logs it', () => {
  const { service, log, clock } = meter({
    unary: {
      [PUT]: (request) => {
        clock.ms += request.length;
        return new Uint8Array(3);
      },
    },
  });
  void service.unary![PUT]!(new Uint8Array(300), callOf(PUT));
  assert.deepEqual(log.lines, []);
  void service.unary![PUT]!(new Uint8Array(301), callOf(PUT));
  assert.deepEqual(log.lines, [
    {
      level: 'warn',
      fields: {
        'time spent': '301.000ms',
        remote: '127.0.0.1:9',
        'response type': PUT,
        'request size': 301,
        'response size': 3,
      },
      message: 'request stats',
    },
  ]);
});

/** A stream on which three messages come. */
function streamOf(path: string): Stream {
  let left = 3;
  return {
    ...callOf(path),
    receive: async () => (left-- > 0 ? new Uint8Array(10) : undefined),
    send: () => true,
    drained: async () => {},
    queuedBytes: 42,
  };
}

test('messages of a stream count both ways, and its end by its status', async () => {
  const { service, method, stats } = meter({
    stream: {
      [WATCH]: async (stream) => {
        for (let message = await stream.receive(); message; message = await stream.receive())
          assert.equal(stream.send(new Uint8Array(4)), true);
        await stream.drained();
        assert.deepEqual([stream.path, stream.peer, stream.queuedBytes], [WATCH, '127.0.0.1:9', 42]);
        assert.equal(stream.commonName, 'u');
        throw new RpcError(STATUS.cancelled, 'gone');
      },
    },
  });
  await assert.rejects(service.stream![WATCH]!(streamOf(WATCH)), { message: 'gone' });
  assert.equal(method.type, 'bidi_stream');
  assert.deepEqual([method.started, method.received, method.sent], [1, 3, 3]);
  assert.deepEqual([stats.receivedBytes, stats.sentBytes], [30, 12]);
  assert.equal(method.handled[STATUS.cancelled], 1);
});

test('a stream in which only the server goes on is of its own type', () => {
  const path = '/etcdserverpb.Maintenance/Snapshot';
  assert.equal(meter({ stream: { [path]: async () => {} } }).method.type, 'server_stream');
});

test('versions that a client makes up do not grow memory', () => {
  const { service, stats } = meter({ unary: { [PUT]: () => new Uint8Array(0) } });
  for (let made = 0; made < 1000; made++)
    void service.unary![PUT]!(new Uint8Array(0), callOf(PUT, { 'client-api-version': String(made) }));
  assert.equal(stats.clientVersions.size, 100);
});
