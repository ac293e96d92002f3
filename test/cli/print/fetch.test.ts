import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetchEntry, fetchText } from '../../../src/cli/print/fetch.ts';

const REPORT = {
  endpoint: 'http://127.0.0.1:2379',
  output: 'backup.db',
  serverVersion: '3.6.0',
  revision: 25,
  keyCount: 12,
  sizeBytes: 12_320,
  sha256: new Uint8Array(32).fill(0xab),
  tookMs: 1234.5,
};

test('says for people where it came from and what it is', () => {
  assert.equal(
    fetchText(REPORT),
    `saved http://127.0.0.1:2379 as backup.db
  server     storage version 3.6.0
  backup     revision 25, 12 keys, 12 kB, verified in full
  SHA-256    ${'ab'.repeat(32)}
  took       1.2s
`,
  );
  const old = fetchText({ ...REPORT, serverVersion: undefined, keyCount: 1 });
  assert.match(old, /\n {2}server {5}does not say its version\n {2}backup {5}revision 25, 1 key, /);
});

test('has a name for each value in JSON', () => {
  const values = Object.fromEntries(fetchEntry(REPORT).map(({ json, value }) => [json, value]));
  assert.deepEqual(values, {
    endpoint: 'http://127.0.0.1:2379',
    output: 'backup.db',
    serverVersion: '3.6.0',
    revision: 25,
    keys: 12,
    size: 12_320,
    sha256: 'ab'.repeat(32),
    tookMs: 1235,
  });
});
