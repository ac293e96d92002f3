import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { addressRefusal, type Resolver } from '../../../src/server/tls/client-address.ts';
import { Authority } from '../../support/authority.ts';

const resolver: Resolver = {
  reverse: async (address) => {
    if (address !== '10.0.0.1') throw new Error('ENOTFOUND');
    return ['node1.example.com.'];
  },
  lookup: async (name) => {
    if (name !== 'other.example') throw new Error('ENOTFOUND');
    return ['10.0.0.2'];
  },
};

/** Names in a certificate, an address, and whether one may call from the other. */
const CASES: [names: string[], address: string, isGood: boolean][] = [
  [[], '10.9.9.9', true],
  [['10.0.0.1'], '10.0.0.1', true],
  [['10.0.0.1'], '::ffff:10.0.0.1', true],
  [['10.0.0.1'], '10.0.0.2', false],
  [['::1'], '::1', true],
  [['node1.example.com'], '10.0.0.1', true],
  [['*.example.com'], '10.0.0.1', true],
  [['*.example.org'], '10.0.0.1', false],
  [['other.example'], '10.0.0.2', true],
  [['other.example', '10.0.0.9'], '10.0.0.2', true],
  [['other.example', '10.0.0.9'], '10.0.0.3', false],
  [['unknown.example'], '10.0.0.3', false],
];

test('an address fits by itself, by its names, or by the addresses of a name', async () => {
  const authority = await Authority.create();
  for (const [names, address, isGood] of CASES) {
    const certificate = new X509Certificate((await authority.issue({ names })).cert);
    const refusal = await addressRefusal(certificate, address, resolver);
    assert.equal(refusal === undefined, isGood, `${names.join()} from ${address}: ${refusal}`);
    if (!isGood) assert.match(refusal!, /^tls: "10\./);
  }
});
