import assert from 'node:assert/strict';
import { createSecureContext, getCiphers } from 'node:tls';
import { test } from 'node:test';
import {
  checkCipherSuites,
  missingCipherSuites,
  opensslCiphers,
} from '../../../src/server/tls/cipher-suites.ts';

test('suites of TLS 1.3 are always there, and those named beside them', () => {
  const ciphers = opensslCiphers(['TLS_RSA_WITH_AES_128_CBC_SHA', 'TLS_AES_128_GCM_SHA256']);
  assert.equal(
    ciphers,
    'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:AES128-SHA',
  );
  createSecureContext({ ciphers });
});

test('without names they are those of Go: no key exchange but by elliptic curves', () => {
  const names = opensslCiphers([]).split(':').slice(3);
  assert.equal(names.length, 10);
  for (const name of names) {
    assert.match(name, /^ECDHE-/);
    assert.ok(getCiphers().includes(name.toLowerCase()), name);
  }
});

test('old names of ChaCha20 are known, and what OpenSSL does not have is said', () => {
  const old = 'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305';
  assert.doesNotThrow(() => checkCipherSuites([old, 'TLS_RSA_WITH_RC4_128_SHA']));
  assert.deepEqual(missingCipherSuites([old, 'TLS_RSA_WITH_RC4_128_SHA']), ['TLS_RSA_WITH_RC4_128_SHA']);
  for (const name of ['', 'AES128-SHA', 'tls_aes_128_gcm_sha256', 'toString'])
    assert.throws(() => checkCipherSuites([name]), {
      message: `unexpected TLS cipher suite ${JSON.stringify(name)}`,
    });
});
