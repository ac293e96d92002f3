/** Methods that come later. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deferred } from '../../src/rpc/deferred.ts';
import type { Methods } from '../../src/rpc/seam.ts';
import { RpcError, STATUS } from '../../src/rpc/status.ts';
import { FakeCall } from '../server/fake-call.ts';

const PATHS = { unary: ['/a.A/One', '/b.B/Two'], stream: ['/b.B/Many'] };

/** Promised methods, with what ends the promise. */
function promised(): {
  methods: Methods;
  resolve: (methods: Methods[]) => void;
  reject: (error: unknown) => void;
} {
  let [resolve, reject]: [(methods: Methods[]) => void, (error: unknown) => void] = [() => {}, () => {}];
  const later = new Promise<Methods[]>((...both) => {
    [resolve, reject] = both;
  });
  return { methods: deferred(PATHS, later), resolve, reject };
}

test('it has all the paths at once, and no others', () => {
  const { unary, stream } = promised().methods;
  assert.deepEqual([Object.keys(unary!), Object.keys(stream!)], [PATHS.unary, PATHS.stream]);
});

test('calls wait, and go to the method of their path with all they have', async () => {
  const { methods, resolve } = promised();
  const call = new FakeCall('/b.B/Two');
  const stream = new FakeCall('/b.B/Many');
  let isAnswered = false;
  const answer = Promise.resolve(methods.unary!['/b.B/Two']!(Uint8Array.of(7), call)).then((reply) => {
    isAnswered = true;
    return reply;
  });
  const ended = methods.stream!['/b.B/Many']!(stream);
  await new Promise((done) => setImmediate(done));
  assert.deepEqual([isAnswered, stream.sent], [false, []]);
  const seen: unknown[] = [];
  resolve([
    { unary: { '/a.A/One': () => Uint8Array.of(1) } },
    {
      unary: {
        '/b.B/Two': (request, given) => {
          seen.push(given);
          return Uint8Array.of(request[0]! + 1);
        },
      },
      stream: { '/b.B/Many': async (given) => void given.send(Uint8Array.of(9)) },
    },
  ]);
  assert.deepEqual(await answer, Uint8Array.of(8));
  await ended;
  assert.deepEqual([seen, stream.sent], [[call], [Uint8Array.of(9)]]);
});

test('calls fail as the promise does, whenever they come', async () => {
  const { methods, reject } = promised();
  const failure = new RpcError(STATUS.unavailable, 'no');
  const early = assert.rejects(
    async () => methods.unary!['/a.A/One']!(new Uint8Array(), new FakeCall()),
    failure,
  );
  reject(failure);
  await early;
  await assert.rejects(async () => methods.stream!['/b.B/Many']!(new FakeCall()), failure);
});

test('a promise that fails while nobody calls harms nobody', async () => {
  promised().reject(new RpcError(STATUS.unavailable, 'no'));
  await new Promise((done) => setImmediate(done));
});
