import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { realDisk } from '../../../src/bytes/disk.ts';
import { keptSelfSigned, makeSelfSigned } from '../../../src/server/tls/self-signed.ts';
import { rememberingLog } from '../../support/opened-member.ts';
import { scratch } from '../../support/scratch.ts';

const URLS = [
  'https://127.0.0.1:2379',
  'https://[::1]:2379',
  'https://localhost:2379',
  'unixs:///run/e.sock',
];

test('a certificate as etcd makes it', async () => {
  const { cert, key } = await makeSelfSigned({ urls: URLS, validityYears: 3, nowMs: Date.UTC(2030, 0, 1) });
  const certificate = new X509Certificate(cert);
  assert.equal(certificate.subject, 'O=etcd');
  assert.equal(new Date(certificate.validFrom).toISOString(), '2030-01-01T00:00:00.000Z');
  assert.equal(new Date(certificate.validTo).getTime() - Date.UTC(2030, 0, 1), 3 * 365 * 24 * 3600 * 1000);
  assert.equal(certificate.subjectAltName, 'IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:localhost');
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  assert.ok(certificate.verify(certificate.publicKey));
  assert.match(key, /^-----BEGIN EC PRIVATE KEY-----/);
  const parsed = createPrivateKey(key);
  assert.equal(parsed.asymmetricKeyDetails?.namedCurve, 'secp521r1');
  assert.ok(certificate.checkPrivateKey(parsed));
});

test('it is made once, and found again', async (t) => {
  const dataDir = join(scratch(t), 'new', 'data');
  const { log } = rememberingLog();
  const context = { disk: realDisk(), log };
  const files = await keptSelfSigned(dataDir, { urls: URLS, validityYears: 1 }, context);
  assert.deepEqual(files, {
    certFile: join(dataDir, 'fixtures', 'client', 'cert.pem'),
    keyFile: join(dataDir, 'fixtures', 'client', 'key.pem'),
  });
  assert.equal(statSync(files.keyFile).mode & 0o777, 0o600);
  const first = readFileSync(files.certFile, 'utf8');
  await keptSelfSigned(dataDir, { urls: [], validityYears: 9 }, context);
  assert.equal(readFileSync(files.certFile, 'utf8'), first);

  rmSync(files.keyFile);
  await keptSelfSigned(dataDir, { urls: URLS, validityYears: 1 }, context);
  assert.notEqual(readFileSync(files.certFile, 'utf8'), first);
  rmSync(files.certFile);
  writeFileSync(files.keyFile, 'a key alone');
  await keptSelfSigned(dataDir, { urls: URLS, validityYears: 1 }, context);
  assert.match(readFileSync(files.keyFile, 'utf8'), /^-----BEGIN EC/);
});
