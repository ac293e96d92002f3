import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pemBlocks } from '../../../src/server/tls/pem.ts';

test('blocks of any kind, with headers, in either kind of line, and nothing of what is around them', () => {
  const text = [
    'Bag Attributes',
    '-----BEGIN EC PARAMETERS-----\r\nAAAA\r\n-----END EC PARAMETERS-----\r',
    '-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nBBBB\n-----END RSA PRIVATE KEY-----',
    '-----BEGIN CERTIFICATE-----\nCCCC',
  ].join('\n');
  assert.deepEqual(
    pemBlocks(Buffer.from(text)).map(({ type }) => type),
    ['EC PARAMETERS', 'RSA PRIVATE KEY'],
  );
  assert.deepEqual(pemBlocks(Buffer.alloc(100)), []);
});
