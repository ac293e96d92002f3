import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeMember, type MemberChange } from '../../../src/format/proto/member-json.ts';
import { CONF_CHANGE_TYPE, confChange, ENTRY_TYPE } from '../../../src/format/proto/raftpb.ts';
import { v2Request } from '../../../src/format/proto/v2pb.ts';
import { StateMachine } from './state-machine.ts';

const { addNode, addLearnerNode, removeNode, updateNode } = CONF_CHANGE_TYPE;
type Change = [type: number, id: bigint, over?: Partial<MemberChange>];

function change(state: StateMachine, [type, id, over = {}]: Change): string | undefined {
  const blank = {
    id,
    peerUrls: [`http://${id}`],
    isLearner: false,
    name: '',
    clientUrls: [],
    isPromote: false,
  };
  const context = type === removeNode ? undefined : encodeMember({ ...blank, ...over });
  const bytes = confChange.encode({ id: 1n, type, nodeId: id, ...(context ? { context } : {}) });
  return state.entry(bytes, ENTRY_TYPE.confChange);
}

/** Members 1 and 10, learner 2; 3 was removed. */
function cluster(): StateMachine {
  const state = new StateMachine();
  const learner = { isLearner: true };
  for (const one of [
    [addNode, 16n],
    [addNode, 1n],
    [addLearnerNode, 2n, learner],
    [addNode, 3n],
  ] as Change[])
    assert.equal(change(state, one), undefined);
  assert.equal(change(state, [removeNode, 3n]), undefined);
  return state;
}

test('members come and go, and confState lists them in order of their numbers', () => {
  const state = cluster();
  assert.deepEqual(state.rows('members'), [
    ['1', '{"id":1,"peerURLs":["http://1"]}'],
    ['10', '{"id":16,"peerURLs":["http://16"]}'],
    ['2', '{"id":2,"peerURLs":["http://2"],"isLearner":true}'],
  ]);
  assert.deepEqual(state.rows('members_removed'), [['3', 'removed']]);
  assert.equal(state.row('meta', 'confState'), '{"voters":[1,16],"learners":[2],"auto_leave":false}');
});

test('an update changes peer URLs alone, a promotion the flag alone', () => {
  const state = cluster();
  state.accept({
    clusterMemberAttrSet: { memberId: 2n, memberAttributes: { name: 'n', clientUrls: ['c'] } },
  });
  assert.equal(change(state, [updateNode, 2n, { peerUrls: ['p'] }]), undefined);
  const rest = '"name":"n","clientURLs":["c"]}';
  assert.equal(state.row('members', '2'), `{"id":2,"peerURLs":["p"],"isLearner":true,${rest}`);
  assert.equal(change(state, [addNode, 2n, { isPromote: true, peerUrls: ['other'] }]), undefined);
  assert.equal(state.row('members', '2'), `{"id":2,"peerURLs":["p"],${rest}`);
  assert.equal(state.row('meta', 'confState'), '{"voters":[1,2,16],"auto_leave":false}');
});

const refused: Array<[Change, string]> = [
  [[addNode, 3n], 'ID removed'],
  [[removeNode, 3n], 'ID removed'],
  [[addNode, 1n, { peerUrls: ['new'] }], 'ID exists'],
  [[addNode, 4n, { peerUrls: ['new', 'http://1'] }], 'peerURL exists'],
  [[updateNode, 1n, { peerUrls: ['http://2'] }], 'peerURL exists'],
  [[updateNode, 4n], 'ID not found'],
  [[removeNode, 4n], 'ID not found'],
  [[addNode, 4n, { isPromote: true }], 'ID not found'],
  [[addNode, 1n, { isPromote: true }], 'can only promote a learner member'],
  [[addLearnerNode, 4n, { isLearner: true }], 'too many learner members in cluster'],
];
for (const [one, reason] of refused) {
  test(`a change of kind ${one[0]} to ${one[1]}: ${reason}`, () => {
    const state = cluster();
    const before = [state.rows('members'), state.rows('members_removed'), state.row('meta', 'confState')];
    assert.equal(change(state, one), `membership: ${reason}`);
    assert.deepEqual(
      [state.rows('members'), state.rows('members_removed'), state.row('meta', 'confState')],
      before,
    );
  });
}

test('attributes of a removed member are dropped, those of an unknown one refused', () => {
  const state = cluster();
  const before = state.rows('members');
  assert.equal(state.ask({ clusterMemberAttrSet: { memberId: 3n } }), undefined);
  assert.equal(state.ask({ clusterMemberAttrSet: { memberId: 9n } }), 'etcdserver: member not found');
  assert.deepEqual(state.rows('members'), before);
});

test('versions and downgrades are rows', () => {
  const state = new StateMachine();
  state.accept(
    { clusterVersionSet: { ver: '3.6.0' } },
    { downgradeInfoSet: { enabled: true, ver: '3.5.0' } },
  );
  assert.equal(state.row('cluster', 'clusterVersion'), '3.6.0');
  assert.equal(state.row('cluster', 'downgrade'), '{"target-version":"3.5.0","enabled":true}');
  state.accept({ downgradeInfoSet: { enabled: false, ver: '3.5.0' } });
  assert.equal(state.row('cluster', 'downgrade'), '{"target-version":"","enabled":false}');
});

test('of the v2 API two requests count', () => {
  const state = cluster();
  const ask = (method: string, path: string, val: string): string | undefined =>
    state.entry(v2Request.encode({ id: 1n, method, path, val }));
  assert.equal(ask('PUT', '/0/version', '3.5.0'), undefined);
  assert.equal(state.row('cluster', 'clusterVersion'), '3.5.0');
  assert.equal(ask('PUT', '/0/members/10/attributes', '{"name":"x","clientURLs":["u"]}'), undefined);
  assert.equal(
    state.row('members', '10'),
    '{"id":16,"peerURLs":["http://16"],"name":"x","clientURLs":["u"]}',
  );
  assert.match(ask('DELETE', '/0/version', '') ?? '', /v2 API/);
  assert.match(ask('PUT', '/1/key', 'v') ?? '', /v2 API/);
});
