/** Who calls are from, and what reaches them: each method at least once for somebody who may not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as cluster from '../../../src/format/proto/cluster-service.ts';
import * as contest from '../../../src/format/proto/concurrency-services.ts';
import type { Input, Message } from '../../../src/format/proto/field.ts';
import * as kv from '../../../src/format/proto/kvpb.ts';
import * as lease from '../../../src/format/proto/lease-service.ts';
import * as maintenance from '../../../src/format/proto/maintenance-service.ts';
import * as requests from '../../../src/format/proto/rpcpb.ts';
import { RpcError } from '../../../src/rpc/status.ts';
import { grant, put } from '../../store/apply/state-machine.ts';
import { FakeCall } from '../fake-call.ts';
import { WithUsers } from '../with-users.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const DENIED = 'etcdserver: permission denied';
const NOBODY = 'etcdserver: user name is empty';
const INVALID = 'etcdserver: invalid auth token';
const STALE = 'etcdserver: revision of auth store is old';
/** Lease 1 has key x, which nobody but root may use; lease 2 has w. */
const BEFORE = [grant(1n), grant(2n), put('x', '', 1n), put('w', '', 2n), put('a')];

type Method = [path: string, Message<never>, Message<unknown>, value: object];

function method<Q, A>(
  path: string,
  request: Message<Q>,
  response: Message<A>,
  value: Input<Q> = {} as Input<Q>,
) {
  return [path, request, response, value] as unknown as Method;
}

const range = (key: string, rangeEnd = ''): Method =>
  method('/etcdserverpb.KV/Range', requests.rangeRequest, kv.rangeResponse, {
    key: bytes(key),
    rangeEnd: bytes(rangeEnd),
  });
const txn = (value: Input<requests.TxnRequest>): Method =>
  method('/etcdserverpb.KV/Txn', requests.txnRequest, kv.txnResponse, value);
const putTo = (key: string, id = 0n): Method =>
  method('/etcdserverpb.KV/Put', requests.putRequest, kv.putResponse, { key: bytes(key), lease: id });
const remove = (key: string): Method =>
  method('/etcdserverpb.KV/DeleteRange', requests.deleteRangeRequest, kv.deleteRangeResponse, {
    key: bytes(key),
  });
const revoke = (id: bigint): Method =>
  method('/etcdserverpb.Lease/LeaseRevoke', requests.leaseRevokeRequest, lease.leaseRevokeResponse, { id });
const timeToLive = (id: bigint, keys: boolean): Method =>
  method('/etcdserverpb.Lease/LeaseTimeToLive', lease.leaseTimeToLiveRequest, lease.leaseTimeToLiveResponse, {
    id,
    keys,
  });
const alarm = (action: number): Method =>
  method('/etcdserverpb.Maintenance/Alarm', requests.alarmRequest, maintenance.alarmResponse, {
    action,
    alarm: 1,
  });
const lock = (name: string): Method =>
  method('/v3lockpb.Lock/Lock', contest.lockRequest, contest.lockResponse, { name: bytes(name), lease: 2n });
const leader = (name: string): Method =>
  method('/v3electionpb.Election/Leader', contest.leaderRequest, contest.leaderResponse, {
    name: bytes(name),
  });

async function outcome(
  users: WithUsers,
  [path, request, response, value]: Method,
  call: FakeCall,
): Promise<string> {
  try {
    await users.ask(path, [request, value as never], response, call);
    return 'ok';
  } catch (error) {
    assert.ok(error instanceof RpcError, String(error));
    return error.message;
  }
}

/** What user u, somebody without rights, and nobody get. */
const TABLE: Array<[name: string, Method, u: string, idle: string, none: string]> = [
  ['a key', range('a'), 'ok', DENIED, NOBODY],
  ['a range', range('a', 'c'), 'ok', DENIED, NOBODY],
  ['a range beyond', range('a', 'd'), DENIED, DENIED, NOBODY],
  ['all from a key on', range('a', '\0'), DENIED, DENIED, NOBODY],
  ['reads in a txn', txn({ success: [{ requestRange: { key: bytes('a') } }] }), 'ok', DENIED, NOBODY],
  [
    'a read in the other branch',
    txn({ failure: [{ requestRange: { key: bytes('x') } }] }),
    DENIED,
    DENIED,
    NOBODY,
  ],
  ['a compare', txn({ compare: [{ key: bytes('w') }] }), DENIED, DENIED, NOBODY],
  ['an empty txn', txn({}), 'ok', 'ok', 'ok'],
  ['a put', putTo('w'), 'ok', DENIED, NOBODY],
  ['a put elsewhere', putTo('a'), DENIED, DENIED, NOBODY],
  ["a put to another's lease", putTo('w', 1n), DENIED, DENIED, NOBODY],
  ['a deletion', remove('w'), 'ok', DENIED, NOBODY],
  ['a deletion elsewhere', remove('a'), DENIED, DENIED, NOBODY],
  [
    'a lease',
    method('/etcdserverpb.Lease/LeaseGrant', requests.leaseGrantRequest, lease.leaseGrantResponse, {
      ttl: 9n,
    }),
    'ok',
    'ok',
    NOBODY,
  ],
  ['the end of a lease', revoke(2n), 'ok', DENIED, NOBODY],
  ["the end of another's lease", revoke(1n), DENIED, DENIED, NOBODY],
  ['what is left of a lease', timeToLive(1n, false), 'ok', 'ok', NOBODY],
  ["what hangs on another's lease", timeToLive(1n, true), DENIED, DENIED, NOBODY],
  [
    'all leases',
    method('/etcdserverpb.Lease/LeaseLeases', lease.leaseLeasesRequest, lease.leaseLeasesResponse),
    DENIED,
    DENIED,
    NOBODY,
  ],
  [
    'a compaction',
    method('/etcdserverpb.KV/Compact', requests.compactionRequest, kv.compactionResponse, { revision: 2n }),
    DENIED,
    DENIED,
    NOBODY,
  ],
  [
    'members',
    method('/etcdserverpb.Cluster/MemberList', cluster.memberListRequest, cluster.memberListResponse),
    'ok',
    'ok',
    NOBODY,
  ],
  [
    'a new member',
    method('/etcdserverpb.Cluster/MemberAdd', cluster.memberAddRequest, cluster.memberAddResponse, {
      peerUrls: ['http://127.0.0.1:1'],
    }),
    DENIED,
    DENIED,
    NOBODY,
  ],
  [
    'the end of a member',
    method('/etcdserverpb.Cluster/MemberRemove', cluster.memberRemoveRequest, cluster.memberRemoveResponse, {
      id: 1n,
    }),
    DENIED,
    DENIED,
    NOBODY,
  ],
  [
    'status',
    method('/etcdserverpb.Maintenance/Status', maintenance.statusRequest, maintenance.statusResponse),
    'ok',
    'ok',
    NOBODY,
  ],
  ['alarms', alarm(0), 'ok', 'ok', NOBODY],
  ['an alarm', alarm(1), DENIED, DENIED, NOBODY],
  [
    'a hash',
    method('/etcdserverpb.Maintenance/HashKV', kv.hashKvRequest, maintenance.hashKvResponse),
    DENIED,
    DENIED,
    NOBODY,
  ],
  [
    'a defragmentation',
    method(
      '/etcdserverpb.Maintenance/Defragment',
      maintenance.defragmentRequest,
      maintenance.defragmentResponse,
    ),
    DENIED,
    DENIED,
    NOBODY,
  ],
  ['a lock', lock('a'), DENIED, DENIED, NOBODY],
  ['a leader', leader('a'), 'election: no leader', DENIED, NOBODY],
  ['a leader elsewhere', leader('x'), DENIED, DENIED, NOBODY],
];

describe('users, and who is none', () => {
  for (const [name, what, ofUser, ofIdle, ofNobody] of TABLE) {
    for (const [username, expected] of [
      ['u', ofUser],
      ['nobody', ofIdle],
      [undefined, ofNobody],
    ] as const) {
      test(`${name}, for ${username ?? 'no user'}: ${expected}`, async () => {
        const users = await WithUsers.make({ before: BEFORE });
        assert.equal(await outcome(users, what, users.callOf(username)), expected);
      });
    }
  }

  test('root may do everything', async () => {
    for (const [name, what] of TABLE) {
      const users = await WithUsers.make({ before: BEFORE });
      const said = await outcome(users, what, users.callOf('root'));
      assert.ok(![DENIED, NOBODY].includes(said), `${name}: ${said}`);
    }
  });
});

describe('tokens', () => {
  const shown: Array<[name: string, (users: WithUsers) => Record<string, string>, expected: string]> = [
    ['in token', (users) => ({ token: users.token('u') }), 'ok'],
    ['in authorization', (users) => ({ authorization: users.token('u') }), 'ok'],
    ['as a bearer', (users) => ({ authorization: `Bearer ${users.token('u')}` }), 'ok'],
    [
      'in both, of which the first counts',
      (users) => ({ token: users.token('u'), authorization: 'x' }),
      'ok',
    ],
    ['that nobody made', () => ({ token: 'aaaaaaaaaaaaaaaa.7' }), INVALID],
    ['of no shape', () => ({ token: 'x' }), INVALID],
    ['that is empty', () => ({ token: '' }), INVALID],
  ];
  for (const [name, metadata, expected] of shown) {
    test(`a token ${name}: ${expected}`, async () => {
      const users = await WithUsers.make();
      const call = new FakeCall('', { metadata: metadata(users) });
      assert.equal(await outcome(users, range('a'), call), expected);
    });
  }

  test('a request is signed with its user and the revision that the token was known under', async () => {
    const users = await WithUsers.make();
    await outcome(users, putTo('w'), users.callOf('u'));
    const { username, authRevision } = users.core.proposals[0]!.header!;
    assert.deepEqual([username, authRevision], ['u', users.core.applier.users.revision]);
  });

  test('an invalid token says so before anything else that is asked of its user', async () => {
    const users = await WithUsers.make();
    for (const what of [putTo('w'), revoke(2n), timeToLive(1n, true), alarm(1), lock('a')])
      assert.equal(await outcome(users, what, users.callWith('x')), INVALID);
  });

  test('while authentication is off a token means nothing, whatever it is', async () => {
    const users = await WithUsers.make();
    await users.core.propose({ authDisable: {}, header: { username: 'root', authRevision: 99 } });
    assert.equal(await outcome(users, putTo('x'), users.callWith('x')), 'ok');
    assert.equal(users.core.proposals.at(-1)!.header, undefined);
  });

  test('a token read as of before a change of users is old', async () => {
    const users = await WithUsers.make();
    const { revision } = users.core.applier.users;
    users.tokens.infoOf = () => ({ username: 'u', revision: revision - 1 });
    for (const what of [range('a'), putTo('w'), txn({ compare: [{ key: bytes('a') }] })])
      assert.equal(await outcome(users, what, users.callWith('x')), STALE);
    users.tokens.infoOf = () => ({ username: 'u', revision: revision + 1 });
    assert.equal(await outcome(users, range('a'), users.callWith('x')), STALE);
  });

  test('a token that takes a while to read is waited for', async () => {
    const users = await WithUsers.make();
    const { revision } = users.core.applier.users;
    Object.assign(users.tokens, { infoOf: async () => ({ username: 'u', revision }) });
    for (const what of [range('a'), putTo('w'), txn({}), timeToLive(2n, false), alarm(0)])
      assert.equal(await outcome(users, what, users.callWith('x')), 'ok');
    Object.assign(users.tokens, { infoOf: async () => 'signature' });
    assert.equal(await outcome(users, range('a'), users.callWith('x')), INVALID);
  });

  test('a deleted user is logged out, one with another password too, and all when it is turned off', async () => {
    const header = { username: 'root', authRevision: 99 };
    for (const request of [
      { authUserDelete: { name: 'u' } },
      { authUserChangePassword: { name: 'u', hashedPassword: '' } },
    ]) {
      const users = await WithUsers.make();
      const [call, other] = [users.callOf('u'), users.callOf('root')];
      await users.core.propose({ ...request, header });
      assert.equal(await outcome(users, range('a'), call), INVALID);
      assert.equal(await outcome(users, range('a'), other), 'ok');
    }
    const users = await WithUsers.make();
    const call = users.callOf('root');
    await users.core.propose({ authDisable: {}, header });
    await users.core.propose({ authEnable: {} });
    assert.equal(await outcome(users, range('a'), call), INVALID);
  });
});

describe('certificates', () => {
  const call = (token?: string): FakeCall =>
    new FakeCall('', { commonName: 'u', ...(token === undefined ? {} : { metadata: { token } }) });

  test('the common name is the user where certificates are asked for, and only there', async () => {
    const named = await WithUsers.make({ isNamedByCertificate: true });
    assert.equal(await outcome(named, range('a'), call()), 'ok');
    assert.equal(await outcome(named, range('x'), call()), DENIED);
    const open = await WithUsers.make();
    assert.equal(await outcome(open, range('a'), call()), NOBODY);
  });

  test('one that a gateway shows is not that of whoever asked it', async () => {
    const users = await WithUsers.make({ isNamedByCertificate: true });
    const metadata = { 'grpcgateway-accept': '*/*' };
    assert.equal(await outcome(users, range('a'), new FakeCall('', { commonName: 'u', metadata })), NOBODY);
  });

  test('a token counts more, also one that is not valid', async () => {
    const users = await WithUsers.make({ isNamedByCertificate: true });
    assert.equal(await outcome(users, range('x'), call(users.token('root'))), 'ok');
    assert.equal(await outcome(users, range('a'), call('x')), INVALID);
  });
});

test('tokens that are refused are counted; one that nobody had time for is no wrong one', async () => {
  const users = await WithUsers.make();
  for (const token of ['x', 'x.1', 'xx.99'])
    assert.equal(await outcome(users, range('a'), users.callWith(token)), INVALID);
  const { shape, unknown } = users.stats.access.tokensRefused;
  assert.deepEqual([shape, unknown], [1, 2]);
  users.tokens.infoOf = () => 'busy';
  assert.equal(await outcome(users, range('a'), users.callWith('x')), 'etcdserver: too many requests');
  assert.equal(users.stats.access.tokensRefused.busy, 1);
});

test('where users are skipped everybody is root', async () => {
  const users = await WithUsers.make({ isSkipped: true, before: BEFORE });
  for (const what of [range('x'), putTo('x'), revoke(1n), alarm(1)])
    assert.equal(await outcome(users, what, users.callOf(undefined)), 'ok');
});
