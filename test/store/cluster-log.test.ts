import assert from 'node:assert/strict';
import test from 'node:test';
import { confChange } from '../../src/format/proto/raftpb.ts';
import { internalRaftRequest } from '../../src/format/proto/rpcpb.ts';
import { v2Request } from '../../src/format/proto/v2pb.ts';
import { ClusterLog, isCustomRequest } from '../../src/store/cluster-log.ts';

const at = { file: 'log', offset: 0 };
type Request = Parameters<typeof internalRaftRequest.encode>[0];

function add(log: ClusterLog, index: number, data: Uint8Array, type = 0): void {
  log.add({ kind: 'entry', term: 2, index, type, data, isVerified: true, at });
}

const v3 = (request: Request): Uint8Array => internalRaftRequest.encode({ header: { id: 7n }, ...request });
const v2 = (method: string, path: string, val = ''): Uint8Array =>
  v2Request.encode({ id: 1n, method, path, val }, { zeros: 'write' });

test('entries about the cluster are kept, all others pass', () => {
  const log = new ClusterLog(3);
  add(log, 1, new Uint8Array());
  add(log, 2, v3({ put: { key: Buffer.from('a') } }));
  add(log, 3, v3({ clusterVersionSet: { ver: '3.6.0' } }));
  add(log, 4, v3({ downgradeInfoSet: { enabled: true, ver: '3.5.0' } }));
  add(log, 5, v3({ downgradeInfoSet: { enabled: false, ver: '' } }));
  add(
    log,
    6,
    v3({ clusterMemberAttrSet: { memberId: 9n, memberAttributes: { name: 'n', clientUrls: ['u'] } } }),
  );
  add(log, 7, v3({ downgradeVersionTest: { ver: '3.7.0' } }));
  add(log, 8, confChange.encode({ type: 1, nodeId: 5n }), 1);
  assert.deepEqual(
    log.events.map(({ index, kind }) => `${index} ${kind}`),
    ['3 version', '4 downgrade', '5 downgrade', '6 attributes', '7 version-test', '8 change'],
  );
  assert.equal(log.termAtIndex, 2);
});

test('v2 requests are what they stand for, or custom', () => {
  const log = new ClusterLog();
  add(log, 1, v2('PUT', '/0/version', '3.5.0'));
  add(log, 2, v2('PUT', '/0/members/Ff/attributes', '{"name":"n","clientURLs":["u"]}'));
  add(log, 3, v2('SYNC', ''));
  add(log, 4, v2('PUT', '/1/foo', 'x'));
  add(log, 5, v2('DELETE', '/0/version'));
  add(log, 6, v3({ v2: { id: 1n, method: 'PUT', path: '/0/version', val: '3.6.0' } }));
  assert.deepEqual(log.v2Indexes, [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(log.customIndexes, [3, 4, 5]);
  assert.deepEqual(log.events, [
    { index: 1, kind: 'version', version: '3.5.0' },
    { index: 2, kind: 'attributes', id: 255n, name: 'n', clientUrls: ['u'] },
    { index: 6, kind: 'version', version: '3.6.0' },
  ]);
  assert.ok(isCustomRequest(v2Request.decode(v2('QGET', '/0/version'))));
});

test('another leader replaces entries, and what they said', () => {
  const log = new ClusterLog(2);
  add(log, 1, v3({ clusterVersionSet: { ver: '3.5.0' } }));
  add(log, 2, v3({ clusterVersionSet: { ver: '3.6.0' } }));
  add(log, 3, v2('PUT', '/1/foo'));
  log.add({ kind: 'truncate', index: 2, at });
  assert.deepEqual(
    [log.events.length, log.v2Indexes, log.customIndexes, log.firstCustom, log.termAtIndex],
    [1, [], [], undefined, undefined],
  );
});

test('an entry that no server could read is damage', () => {
  assert.throws(() => add(new ClusterLog(), 1, Uint8Array.of(0xff, 0xff)), { code: 'proto.malformed' });
});
