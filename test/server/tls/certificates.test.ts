import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Certificates, readKeyPair } from '../../../src/server/tls/certificates.ts';
import { NO_TLS } from '../../../src/server/tls/tls-info.ts';
import { Authority, writePair } from '../../support/authority.ts';
import { rememberingLog } from '../../support/opened-member.ts';
import { scratch } from '../../support/scratch.ts';

const authority = await Authority.create();
const [one, two] = [
  await authority.issue({ commonName: 'one' }),
  await authority.issue({ commonName: 'two' }),
];

test('a pair: certificates in order, the first key among other blocks', (t) => {
  const folder = scratch(t);
  const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
  const files = writePair(folder, 'x', { cert: `${one.cert}${authority.cert}`, key: parameters + one.key });
  const { cert, key } = readKeyPair(files.certFile, files.keyFile);
  assert.equal(cert.match(/BEGIN CERTIFICATE/g)?.length, 2);
  assert.equal(new X509Certificate(cert).subject, 'CN=one');
  assert.match(key, /^-----BEGIN PRIVATE KEY/);
});

test('what is no pair is told in the words of Go', (t) => {
  const folder = scratch(t);
  const wrong: [cert: string, key: string, message: string][] = [
    ['junk', one.key, 'tls: failed to find any PEM data in certificate input'],
    [
      one.key,
      one.key,
      'tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched',
    ],
    [one.cert, 'junk', 'tls: failed to find any PEM data in key input'],
    [one.cert, one.cert, 'tls: found a certificate rather than a key in the PEM for the private key'],
    [one.cert, two.key, 'tls: private key does not match public key'],
  ];
  for (const [cert, key, message] of wrong) {
    const { certFile, keyFile } = writePair(folder, 'x', { cert, key });
    assert.throws(() => readKeyPair(certFile, keyFile), { code: 'server.config', message });
  }
  const missing = join(folder, 'none');
  assert.throws(() => readKeyPair(missing, missing), {
    message: `open ${missing}: no such file or directory`,
  });
  const half = writePair(folder, 'x', { cert: one.cert.replace(/\n.*\n/, '\nAAAA\n'), key: one.key });
  assert.throws(() => readKeyPair(half.certFile, half.keyFile), { message: /^x509: malformed certificate/ });
});

test('files are followed; while they do not fit, the last ones that did are kept, and that is logged once', (t) => {
  const folder = scratch(t);
  const { log, said } = rememberingLog();
  const files = writePair(folder, 'server', one);
  const caFile = join(folder, 'ca.crt');
  writeFileSync(caFile, authority.cert);
  const certificates = new Certificates({ ...NO_TLS, ...files, trustedCaFile: caFile }, log);
  const first = certificates.current();
  assert.equal(certificates.current(), first);

  writeFileSync(files.certFile, two.cert);
  assert.equal(certificates.current(), first);
  assert.equal(certificates.current(), first);
  assert.deepEqual(
    said.map(({ level }) => level),
    ['warn'],
  );
  writeFileSync(files.keyFile, two.key);
  const second = certificates.current();
  assert.equal(second.cert, two.cert);

  writeFileSync(caFile, 'no authority at all');
  assert.deepEqual(certificates.current().ca, []);
  writeFileSync(caFile, authority.cert.replace(/\n.*\n/, '\nAAAA\n'));
  assert.deepEqual(certificates.current().ca, []);
  assert.equal(said.at(-1)?.level, 'warn');
});

test('without authorities of its own, it is those of the host that certify clients', (t) => {
  const { log } = rememberingLog();
  const files = writePair(scratch(t), 'server', one);
  assert.equal(new Certificates({ ...NO_TLS, ...files }, log).current().ca, undefined);
  const { ca } = new Certificates({ ...NO_TLS, ...files, isClientCertAuth: true }, log).current();
  assert.ok(Array.isArray(ca) && ca.length > 0);
});
