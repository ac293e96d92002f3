import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leaseRevokeRequest } from '../../../src/format/proto/rpcpb.ts';
import { leaseRevokeResponse } from '../../../src/format/proto/lease-service.ts';
import { STATUS } from '../../../src/rpc/status.ts';
import { sendWaiting, serverStream, stream, unary } from '../../../src/server/services/method.ts';
import { rejected } from '../../../src/store/apply/rejected.ts';
import { FakeCall } from '../fake-call.ts';

const REQUEST = leaseRevokeRequest.encode({ id: 5n });

test('a call goes in and out as bytes', async () => {
  const call = new FakeCall('/a/b');
  const handler = unary(leaseRevokeRequest, leaseRevokeResponse, ({ id }, given) => {
    assert.deepEqual([id, given.path], [5n, '/a/b']);
    return { header: { revision: 7 } };
  });
  assert.equal(leaseRevokeResponse.decode(await handler(REQUEST, call)).header?.revision, 7);
});

test('whatever fails, fails with the status that etcd has for it', async () => {
  const refuse = (): never => {
    throw rejected('requested lease not found');
  };
  const expected = { status: STATUS.notFound, message: 'etcdserver: requested lease not found' };
  await assert.rejects(
    async () => unary(leaseRevokeRequest, leaseRevokeResponse, refuse)(REQUEST, new FakeCall()),
    expected,
  );
  await assert.rejects(stream(async () => refuse())(new FakeCall()), expected);
});

test('bytes that are no request are answered with INTERNAL', async () => {
  const handler = unary(leaseRevokeRequest, leaseRevokeResponse, () => ({}));
  await assert.rejects(async () => handler(Uint8Array.of(0x08), new FakeCall()), {
    status: STATUS.internal,
    message: /^grpc: error unmarshalling request: etcdserverpb.LeaseRevokeRequest/,
  });
});

test('a stream that is given no request ends without an answer', async () => {
  const call = new FakeCall();
  call.push(undefined);
  await serverStream(leaseRevokeRequest, async () => assert.fail('nobody asked'))(call);
  assert.equal(call.sent.length, 0);
});

test('whoever sends waits for room', async () => {
  const call = new FakeCall();
  call.room = 1;
  let isSent = false;
  const sent = sendWaiting(call, REQUEST).then(() => {
    isSent = true;
  });
  await Promise.resolve();
  assert.deepEqual([call.sent.length, isSent], [1, false]);
  call.take(1);
  await sent;
});
