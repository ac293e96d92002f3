/** What needs how much room, and what happens when there is none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PutRequest, putRequest, txnRequest } from '../../src/format/proto/rpcpb.ts';
import { STATUS } from '../../src/rpc/status.ts';
import { costOf, Quota } from '../../src/server/quota.ts';

const put = (valueSize: number): PutRequest =>
  putRequest.decode(putRequest.encode({ key: Buffer.from('key'), value: Buffer.alloc(valueSize, 1) }));

function quotaOf(limitBytes: number, sizeBytes: number) {
  const alarms: number[] = [];
  const quota = new Quota({
    limitBytes,
    sizeBytes: () => sizeBytes,
    async raiseAlarm() {
      alarms.push(alarms.length);
      await new Promise((resolve) => setImmediate(resolve));
    },
  });
  return { quota, alarms };
}

test('a put costs its bytes and a flat charge, a transaction its dearer branch', () => {
  assert.equal(costOf({ put: put(100) }), 256 + 3 + 100);
  const one = { requestPut: put(10) };
  const success = [one, { requestRange: { key: Buffer.from('x') } }];
  const txn = txnRequest.decode(txnRequest.encode({ success, failure: [one, one] }));
  assert.equal(costOf({ txn }), 2 * (256 + 3 + 10));
  assert.equal(costOf({ leaseGrant: { id: 1n, ttl: 5n } }), 64);
});

test('what fits is let through, what reaches the limit is not', async () => {
  const { quota, alarms } = quotaOf(1000, 1000 - 269 - 1);
  await quota.assertRoom({ put: put(10) });
  assert.equal(alarms.length, 0);
  await assert.rejects(quota.assertRoom({ put: put(11) }), {
    status: STATUS.resourceExhausted,
    message: 'etcdserver: mvcc: database space exceeded',
  });
  assert.equal(alarms.length, 1);
});

test('many that are refused at once raise one alarm', async () => {
  const { quota, alarms } = quotaOf(10, 1000);
  await Promise.all([1, 2, 3].map((size) => assert.rejects(quota.assertRoom({ put: put(size) }))));
  assert.equal(alarms.length, 1);
});

test('transactions that only read or delete need no room, and a negative limit is none', async () => {
  const txn = txnRequest.decode(
    txnRequest.encode({ success: [{ requestDeleteRange: { key: Buffer.from('x') } }] }),
  );
  await quotaOf(10, 1000).quota.assertRoom({ txn });
  await quotaOf(-1, 1000).quota.assertRoom({ put: put(1) });
});
