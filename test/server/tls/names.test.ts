import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { dnsNamesOf, hasAddresses, isForHost } from '../../../src/server/tls/names.ts';
import { Authority } from '../../support/authority.ts';

const authority = await Authority.create();
const NAMES = ['a.example', '10.0.0.1', '*.b.example', '*.one', '::1', 'UPPER.example'];
const issued = await authority.issue({ names: NAMES, commonName: 'common.example' });
const certificate = new X509Certificate(issued.cert);

test('names are told from addresses', async () => {
  assert.deepEqual(dnsNamesOf(certificate), ['a.example', '*.b.example', '*.one', 'UPPER.example']);
  assert.equal(hasAddresses(certificate), true);
  const bare = new X509Certificate((await authority.issue()).cert);
  assert.deepEqual([dnsNamesOf(bare), hasAddresses(bare)], [[], false]);
});

test('a host is named as it is, by a star for its first label, or by its address', () => {
  const hosts: [string, boolean][] = [
    ['a.example', true],
    ['A.Example.', true],
    ['x.b.example', true],
    ['x.y.b.example', false],
    ['b.example', false],
    ['x.one', true],
    ['upper.example', true],
    ['common.example', false],
    ['', false],
    ['.b.example', false],
    ['10.0.0.1', true],
    ['10.0.0.2', false],
    ['[::1]', true],
    ['::1', true],
  ];
  for (const [host, isGood] of hosts) assert.equal(isForHost(certificate, host), isGood, host);
});
