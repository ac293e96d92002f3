import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { clusterId, formatId, memberId, parseId } from '../../src/format/ids.ts';
import { readFixture } from '../support/fixtures.ts';

const URLS = [41101, 41102, 41103].map((port) => [`http://127.0.0.1:${port}`]);
const SETS: [token: string, urls: string[][]][] = [
  ['tokR', URLS],
  ['tokR', URLS.slice(0, 2)],
  ['tokS', [['http://127.0.0.1:41104']]],
  ['tok-3.6', [['http://127.0.0.1:41021']]],
];

test('members and clusters get the ids that etcdutl gave them', () => {
  const lines = readFixture('expected/restore-dump.txt').toString().split('\n');
  for (const [i, [token, urls]] of SETS.entries()) {
    const ids = urls.map((peerUrls) => memberId({ peerUrls, token }));
    const cluster = clusterId(ids);
    const members = ids.map((id) => `'${formatId(id)}'`).join(', ');
    assert.equal(`${token} [${members}] cluster ${formatId(cluster)} ${cluster}`, lines[i]);
    assert.equal(clusterId([...ids].reverse()), cluster);
  }
});

test('the order of peer URLs does not matter, the time of adding does', () => {
  const [a, b] = ['http://b:1', 'http://a:2'];
  const one = memberId({ peerUrls: [a!, b!], token: 't' });
  assert.equal(memberId({ peerUrls: [b!, a!], token: 't' }), one);
  assert.notEqual(memberId({ peerUrls: [a!, b!], token: 't', addedAtSeconds: 1 }), one);
  assert.equal(
    memberId({ peerUrls: [a!, b!], token: 't', addedAtSeconds: 12 }),
    memberId({ peerUrls: [a!, b!], token: 't12' }),
  );
});

test('ids are hex without padding', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (id) => assert.equal(parseId(formatId(id)), id)),
  );
  for (const bad of ['', '0a', 'G', 'A', '10000000000000000', '0x1', ' 1'])
    assert.equal(parseId(bad), undefined, bad);
});
