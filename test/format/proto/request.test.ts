import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { CorruptError } from '../../../src/errors.ts';
import { isV2Request, requestName, requestOf } from '../../../src/format/proto/request.ts';
import { internalRaftRequest } from '../../../src/format/proto/rpcpb.ts';
import { v2Request } from '../../../src/format/proto/v2pb.ts';
import { listSegments, LogReader } from '../../../src/format/wal/log.ts';
import { memberDir, unpacked, VERSIONS } from '../../support/fixtures.ts';

interface Seen {
  names: Map<string, number>;
  v2: { method: string; path: string; val: string }[];
  empty: number;
}

/** Every request of a log; each must encode to its own bytes. */
function requestsIn(walDir: string): Seen {
  const seen: Seen = { names: new Map(), v2: [], empty: 0 };
  for (const event of new LogReader(listSegments(walDir).segments).events()) {
    if (event.kind !== 'entry' || event.type !== 0) continue;
    const request = requestOf(event.data);
    assert.equal(isV2Request(event.data), request.kind === 'v2');
    if (request.kind === 'empty') seen.empty++;
    else if (request.kind === 'v2') {
      seen.v2.push(request.request);
      assert.deepEqual(
        Buffer.from(v2Request.encode(request.request, { zeros: 'write' })),
        Buffer.from(event.data),
      );
    } else {
      const name = requestName(request.request)!;
      seen.names.set(name, (seen.names.get(name) ?? 0) + 1);
      assert.deepEqual(Buffer.from(internalRaftRequest.encode(request.request)), Buffer.from(event.data));
    }
  }
  return seen;
}

for (const version of VERSIONS) {
  test(`every request in the log of ${version} is known, and encodes to the same bytes`, () => {
    const { names, v2, empty } = requestsIn(join(memberDir(version), 'wal'));
    assert.equal(empty, 1);
    assert.equal(names.get('put'), 15);
    assert.equal(names.get('txn'), 1);
    assert.deepEqual(
      v2.map(({ method, path }) => `${method} ${path.replace(/[0-9a-f]{12,}/, '<id>')}`),
      version === '3.4' || version === '3.5' ? ['PUT /0/members/<id>/attributes', 'PUT /0/version'] : [],
    );
    assert.equal(names.has('clusterVersionSet'), version === '3.6' || version === '3.7');
  });
}

for (const version of ['3.5', '3.6', '3.7']) {
  test(`every kind of request is in the tail log of ${version}, and encodes to the same bytes`, () => {
    const { names } = requestsIn(
      unpacked(`tail/tail-before-${version}.tar.gz`, `tail-${version}/member/wal`),
    );
    for (const name of [
      'put',
      'deleteRange',
      'txn',
      'compaction',
      'leaseGrant',
      'leaseRevoke',
      'alarm',
      'authEnable',
      'authDisable',
      'authUserAdd',
      'authUserDelete',
      'authUserGrantRole',
      'authRoleAdd',
      'authRoleDelete',
      'authRoleGrantPermission',
      'authRoleRevokePermission',
    ]) {
      assert.ok(names.has(name), `${name} of ${[...names.keys()].join(' ')}`);
    }
  });
}

test('no data is a no-op; an unknown request is kept, and has no name', () => {
  assert.deepEqual(requestOf(undefined), { kind: 'empty' });
  assert.deepEqual(requestOf(new Uint8Array()), { kind: 'empty' });
  // A header with auth_revision 3, and field 9000.
  const future = Uint8Array.from(Buffer.from('a206021803c2b20403616263', 'hex'));
  const request = requestOf(future);
  assert.ok(request.kind === 'v3');
  assert.equal(requestName(request.request), undefined);
  assert.deepEqual(internalRaftRequest.encode(request.request), future);
});

test('a v2 request inside a v3 one is a v2 request', () => {
  const data = internalRaftRequest.encode({ v2: { method: 'PUT', path: '/0/version', val: '3.0.0' } });
  const request = requestOf(data);
  assert.ok(request.kind === 'v2');
  assert.equal(request.request.path, '/0/version');
  assert.ok(isV2Request(data));
});

test('what is neither is damage', () => {
  for (const hex of ['ff', '2205', '1203ffffff', '08']) {
    const data = Buffer.from(hex, 'hex');
    assert.throws(() => requestOf(data, { file: 'x' }), CorruptError);
    assert.equal(isV2Request(data), false);
  }
});
