import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rangeResponse, txnResponse } from '../../../src/format/proto/kvpb.ts';
import { memberListResponse } from '../../../src/format/proto/cluster-service.ts';
import { hashKvResponse } from '../../../src/format/proto/maintenance-service.ts';
import type { Input, Message } from '../../../src/format/proto/field.ts';
import { keyValue } from '../../../src/format/proto/mvccpb.ts';
import { alarmMember } from '../../../src/format/proto/rpcpb.ts';
import { jsonOf } from '../../../src/server/gateway/to-json.ts';

const json = <V>(of: Message<V>, value: Input<V>): string => jsonOf(of as Message<unknown>, of.encode(value));

test('the names of the schema, in its order; 64-bit numbers are texts; zeros are left out', () => {
  const value = {
    compactRevision: -1n,
    hash: 5,
    hashRevision: 0,
    header: { revision: 3, clusterId: 2n ** 64n - 1n },
  };
  assert.equal(
    json(hashKvResponse, value),
    '{"header":{"cluster_id":"18446744073709551615","revision":"3"},"hash":5,"compact_revision":"-1"}',
  );
  assert.equal(
    json(memberListResponse, { members: [{ id: 1n, peerUrls: ['a'], isLearner: true }, {}] }),
    '{"members":[{"ID":"1","peerURLs":["a"],"isLearner":true},{}]}',
  );
});

test('keys and values that travel encoded are messages', () => {
  const kvs = [keyValue.encode({ key: Buffer.from('k'), value: Buffer.from([0xff]), modRevision: 2 })];
  assert.equal(
    json(rangeResponse, { kvs, count: 1 }),
    '{"kvs":[{"key":"aw==","mod_revision":"2","value":"/w=="}],"count":"1"}',
  );
});

test('a message that is there is written, be it empty', () => {
  assert.equal(
    json(txnResponse, { responses: [{ responsePut: {} }] }),
    '{"responses":[{"response_put":{}}]}',
  );
});

test('members of enums by name, unknown ones by number', () => {
  assert.equal(json(alarmMember, { alarm: 1 }), '{"alarm":"NOSPACE"}');
  assert.equal(json(alarmMember, { alarm: -9 }), '{"alarm":-9}');
});
