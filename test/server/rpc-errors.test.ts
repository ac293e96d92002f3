import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ToolError } from '../../src/errors.ts';
import { RpcError, STATUS } from '../../src/rpc/status.ts';
import {
  ETCD_STATUS,
  etcdError,
  type EtcdText,
  readOnlyError,
  rpcErrorOf,
} from '../../src/server/rpc-errors.ts';
import { rejected } from '../../src/store/apply/rejected.ts';

test('a rejection in the words of the API has the status that goes with them', () => {
  for (const text of Object.keys(ETCD_STATUS) as EtcdText[]) {
    const error = rpcErrorOf(rejected(text));
    assert.deepEqual([error.status, error.message], [ETCD_STATUS[text], text]);
  }
});

const otherwise: Array<[ToolError, EtcdText]> = [
  [rejected('requested lease not found'), 'etcdserver: requested lease not found'],
  [rejected('lease already exists'), 'etcdserver: lease already exists'],
  [rejected('too large lease TTL'), 'etcdserver: too large lease TTL'],
  [rejected('membership: ID removed'), 'etcdserver: member not found'],
  [rejected('membership: ID not found'), 'etcdserver: member not found'],
  [rejected('membership: ID exists'), 'etcdserver: member ID already exist'],
  [rejected('membership: peerURL exists'), 'etcdserver: Peer URLs already exists'],
  [
    rejected('membership: can only promote a learner member'),
    'etcdserver: can only promote a learner member',
  ],
  [
    rejected('membership: too many learner members in cluster'),
    'etcdserver: too many learner members in cluster',
  ],
  [
    new ToolError('mvcc.compacted', 'revision 3 was compacted'),
    'etcdserver: mvcc: required revision has been compacted',
  ],
  [
    new ToolError('mvcc.future', 'revision 9 is in the future'),
    'etcdserver: mvcc: required revision is a future revision',
  ],
  [new ToolError('server.stopped', 'the server has stopped'), 'etcdserver: server stopped'],
  [new ToolError('server.log', 'no space left on device'), 'etcdserver: server stopped'],
  [new ToolError('interrupted', 'interrupted; nothing was changed'), 'etcdserver: request canceled'],
];
for (const [error, text] of otherwise) {
  test(`${error.code} ${error.message} is told as ${text}`, () => {
    const told = rpcErrorOf(error);
    assert.deepEqual([told.status, told.message, told.cause], [ETCD_STATUS[text], text, error]);
  });
}

test('an error with a status stays as it is', () => {
  const error = etcdError('etcdserver: not leader');
  assert.equal(rpcErrorOf(error), error);
});

test('of other errors the text is kept, and the status is UNKNOWN', () => {
  const unknown = rpcErrorOf(rejected('a request of the v2 API'));
  assert.deepEqual([unknown.status, unknown.message], [STATUS.unknown, 'a request of the v2 API']);
  assert.equal(rpcErrorOf('just text').message, 'just text');
  assert.equal(rpcErrorOf(rejected('toString')).status, STATUS.unknown);
});

test('the refusal over a mounted backup says what can be done', () => {
  const error = readOnlyError();
  assert.ok(error instanceof RpcError);
  assert.equal(error.status, STATUS.failedPrecondition);
  assert.match(error.message, /read-only; .*--scratch/);
});
