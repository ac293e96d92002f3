import { OPEN_ACCESS } from '../open-access.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as messages from '../../../src/format/proto/cluster-service.ts';
import type { Member } from '../../../src/format/proto/member-json.ts';
import { STATUS } from '../../../src/rpc/status.ts';
import { clusterService } from '../../../src/server/services/cluster.ts';
import { MEMBER } from '../../store/database-builder.ts';
import { ask } from '../fake-call.ts';
import { MemoryCore } from '../memory-core.ts';

const LEARNER: Member = {
  id: 0x10n,
  peerUrls: ['http://127.0.0.1:3380'],
  isLearner: true,
  name: '',
  clientUrls: [],
};

function bench({ members = [MEMBER], isReadOnly = false } = {}) {
  const core = new MemoryCore({ members, isReadOnly });
  const methods = clusterService(core, { access: OPEN_ACCESS });
  const path = (name: string): string => `/etcdserverpb.Cluster/${name}`;
  return {
    core,
    list: (linearizable = true) =>
      ask(
        methods,
        path('MemberList'),
        [messages.memberListRequest, { linearizable }],
        messages.memberListResponse,
      ),
    add: (peerUrls: string[], isLearner = false) =>
      ask(
        methods,
        path('MemberAdd'),
        [messages.memberAddRequest, { peerUrls, isLearner }],
        messages.memberAddResponse,
      ),
    remove: (id: bigint) =>
      ask(
        methods,
        path('MemberRemove'),
        [messages.memberRemoveRequest, { id }],
        messages.memberRemoveResponse,
      ),
    update: (id: bigint, peerUrls: string[]) =>
      ask(
        methods,
        path('MemberUpdate'),
        [messages.memberUpdateRequest, { id, peerUrls }],
        messages.memberUpdateResponse,
      ),
    promote: (id: bigint) =>
      ask(
        methods,
        path('MemberPromote'),
        [messages.memberPromoteRequest, { id }],
        messages.memberPromoteResponse,
      ),
  };
}

test('members are listed in order of their ids, under a header without a revision', async () => {
  const { list, core } = bench({ members: [MEMBER, LEARNER] });
  for (const linearizable of [true, false]) {
    assert.deepEqual(await list(linearizable), {
      header: { ...core.header(), revision: 0 },
      members: [LEARNER, MEMBER],
    });
  }
});

for (const urls of [
  [],
  ['not a url'],
  ['http://127.0.0.1'],
  ['ftp://a:1'],
  ['http://a:1/path'],
  ['http://a:1', ''],
]) {
  test(`peer URLs that etcd does not take: ${JSON.stringify(urls)}`, async () => {
    const { add, update, core } = bench();
    const expected = {
      status: STATUS.invalidArgument,
      message: 'etcdserver: given member URLs are invalid',
    };
    await assert.rejects(add(urls), expected);
    await assert.rejects(update(MEMBER.id, urls), expected);
    assert.deepEqual(core.changes, []);
  });
}

test('adding a member is refused with the way to do it', async () => {
  for (const isLearner of [false, true]) {
    await assert.rejects(bench().add(['http://127.0.0.1:3380'], isLearner), {
      status: STATUS.failedPrecondition,
      message: /one member .* stop it, start etcd on its data directory, and run member add again/,
    });
  }
});

test('an update changes the peer URLs, and lists the members then', async () => {
  const { update, list } = bench();
  const urls = ['http://127.0.0.1:5380', 'https://[::1]:1', 'unix://sock:7'];
  const { members } = await update(MEMBER.id, urls);
  assert.deepEqual(members, [{ ...MEMBER, peerUrls: urls }]);
  assert.deepEqual((await list()).members, members);
});

test('an update of an unknown member, or to URLs of another one, is refused', async () => {
  const { update } = bench({ members: [MEMBER, LEARNER] });
  await assert.rejects(update(9n, ['http://a:1']), {
    status: STATUS.notFound,
    message: 'etcdserver: member not found',
  });
  await assert.rejects(update(MEMBER.id, LEARNER.peerUrls), {
    status: STATUS.failedPrecondition,
    message: 'etcdserver: Peer URLs already exists',
  });
});

test('the last voter stays, a learner goes, and nobody knows it then', async () => {
  const { remove, list } = bench({ members: [MEMBER, LEARNER] });
  await assert.rejects(remove(MEMBER.id), {
    status: STATUS.unknown,
    message: 'etcdserver: re-configuration failed due to not enough started members',
  });
  assert.deepEqual((await remove(LEARNER.id)).members, [MEMBER]);
  assert.deepEqual((await list()).members, [MEMBER]);
  for (const id of [LEARNER.id, 9n])
    await assert.rejects(remove(id), { status: STATUS.notFound, message: 'etcdserver: member not found' });
});

for (const [id, status, message] of [
  [9n, STATUS.notFound, 'etcdserver: member not found'],
  [MEMBER.id, STATUS.failedPrecondition, 'etcdserver: can only promote a learner member'],
  [
    LEARNER.id,
    STATUS.failedPrecondition,
    'etcdserver: can only promote a learner member which is in sync with leader',
  ],
] as const) {
  test(`promoting ${id.toString(16)}: ${message}`, async () => {
    await assert.rejects(bench({ members: [MEMBER, LEARNER] }).promote(id), { status, message });
  });
}

test('over data that is only looked at members are listed, and not changed', async () => {
  const { update, list } = bench({ isReadOnly: true });
  assert.deepEqual((await list()).members, [MEMBER]);
  await assert.rejects(update(MEMBER.id, ['http://a:1']), { message: /read-only/ });
});
