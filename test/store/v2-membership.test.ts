import assert from 'node:assert/strict';
import test from 'node:test';
import { encodeMember, type Member } from '../../src/format/proto/member-json.ts';
import { CONF_CHANGE_TYPE } from '../../src/format/proto/raftpb.ts';
import type { ClusterEvent } from '../../src/store/cluster-log.ts';
import { replayMembership } from '../../src/store/v2-membership.ts';

const member = (id: bigint, more: Partial<Member> = {}): Member => ({
  id,
  peerUrls: [`http://m${id}`],
  isLearner: false,
  name: '',
  clientUrls: [],
  ...more,
});

function change(
  index: number,
  type: number,
  id: bigint,
  context?: Member & { isPromote?: boolean },
): ClusterEvent {
  const change = { id: 0n, type, nodeId: id };
  return {
    index,
    kind: 'change',
    change: context ? { ...change, context: encodeMember({ isPromote: false, ...context }) } : change,
  };
}

const { addNode, removeNode, updateNode, addLearnerNode } = CONF_CHANGE_TYPE;
const EMPTY = { members: [], removedMembers: [] };

function idsAfter(events: readonly ClusterEvent[], upTo = 99): string {
  const { members, removedMembers } = replayMembership(EMPTY, events, { after: 0, upTo });
  return `${members.map(({ id, isLearner }) => `${id}${isLearner ? 'L' : ''}`).join(' ')} / ${removedMembers.join(' ')}`;
}

test('members join, learn, are promoted, move and leave', () => {
  const events = [
    change(1, addNode, 1n, member(1n)),
    change(2, addLearnerNode, 2n, member(2n, { isLearner: true })),
    change(3, addNode, 2n, { ...member(2n, { peerUrls: [] }), isPromote: true }),
    change(4, updateNode, 1n, member(1n, { peerUrls: ['http://new'] })),
    change(5, removeNode, 2n),
  ];
  assert.deepEqual(
    [1, 2, 3, 5].map((upTo) => idsAfter(events, upTo)),
    ['1 / ', '1 2L / ', '1 2 / ', '1 / 2'],
  );
  const { members } = replayMembership(EMPTY, events, { after: 0, upTo: 99 });
  assert.deepEqual(members[0]!.peerUrls, ['http://new']);
});

test('changes that the members refuse have no effect', () => {
  const events = [
    change(1, addNode, 1n, member(1n)),
    change(2, addNode, 1n, member(1n, { peerUrls: ['http://other'] })),
    change(3, addNode, 3n, member(3n, { peerUrls: ['http://m1'] })),
    change(4, removeNode, 9n),
    change(5, addNode, 1n, { ...member(1n), isPromote: true }),
    change(6, addLearnerNode, 4n, member(4n, { isLearner: true })),
    change(7, addLearnerNode, 5n, member(5n, { isLearner: true })),
    change(8, updateNode, 4n, member(4n, { peerUrls: ['http://m1'] })),
    change(9, removeNode, 4n),
    change(10, addNode, 4n, member(4n)),
  ];
  assert.equal(idsAfter(events), '1 / 4');
});

test('attributes and the version follow the log; what the store holds already is not played again', () => {
  const store = { members: [member(1n, { name: 'old' })], removedMembers: [7n], clusterVersion: '3.4.0' };
  const events: ClusterEvent[] = [
    { index: 4, kind: 'version', version: '3.3.0' },
    { index: 6, kind: 'version', version: '3.5.0' },
    { index: 7, kind: 'attributes', id: 1n, name: 'new', clientUrls: ['u'] },
    { index: 8, kind: 'attributes', id: 2n, name: 'nobody', clientUrls: [] },
  ];
  const replayed = replayMembership(store, events, { after: 5, upTo: 8 });
  assert.deepEqual(replayed, {
    members: [member(1n, { name: 'new', clientUrls: ['u'] })],
    removedMembers: [7n],
    clusterVersion: '3.5.0',
  });
  assert.equal(replayMembership(store, events, { after: 5, upTo: 5 }).clusterVersion, '3.4.0');
});
