import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ToolError } from '../../../src/errors.ts';
import {
  checkTlsInfo,
  hasSecureUrl,
  isClientCertRequired,
  NO_TLS,
  type TlsInfo,
  type TlsUrls,
} from '../../../src/server/tls/tls-info.ts';

const HTTPS: TlsUrls = {
  listenClientUrls: ['https://127.0.0.1:1'],
  listenClientHttpUrls: [],
  listenMetricsUrls: [],
};
const HTTP: TlsUrls = { ...HTTPS, listenClientUrls: ['http://127.0.0.1:1'] };
const PAIR = { certFile: 'c.pem', keyFile: 'k.pem' };
const GCM = 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256';
const GCM_256 = 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384';

test('what contradicts itself is refused in the words of etcd', () => {
  const wrong: [Partial<TlsInfo>, TlsUrls, RegExp][] = [
    [{}, HTTPS, /^TLS key\/cert \(--cert-file, --key-file\) must be provided for client url https:\/\/127/],
    [
      {},
      { ...HTTP, listenMetricsUrls: ['https://127.0.0.1:2'] },
      /^client TLS key\/cert .* metrics secure url$/,
    ],
    [{ certFile: 'c.pem' }, HTTPS, /^KeyFile and CertFile must both be present\[key: , cert: c\.pem\]$/],
    [{ keyFile: 'k.pem' }, HTTPS, /^KeyFile and CertFile must both be present\[key: k\.pem, cert: \]$/],
    [
      { ...PAIR, ownCertFile: 'o.pem' },
      HTTPS,
      /^ClientKeyFile and ClientCertFile must both be present or both absent: key: , cert: o\.pem\]$/,
    ],
    [
      { ...PAIR, ownKeyFile: 'o.pem' },
      HTTPS,
      /^ClientKeyFile and ClientCertFile must both be present or both absent: key: o\.pem, cert: \]$/,
    ],
    [
      { minVersion: 'TLS1.1' },
      HTTP,
      /^unexpected TLS version "TLS1\.1" \(must be one of: TLS1\.2, TLS1\.3\)$/,
    ],
    [{ maxVersion: 'TLS1' }, HTTP, /^unexpected TLS version "TLS1" /],
    [
      { minVersion: 'TLS1.3', maxVersion: 'TLS1.2' },
      HTTP,
      /^min version \(TLS1\.3\) is greater than max version \(TLS1\.2\)$/,
    ],
    [
      { minVersion: 'TLS1.3', cipherSuites: [GCM] },
      HTTP,
      /^cipher suites cannot be configured when only TLS1\.3 is enabled$/,
    ],
    [{ cipherSuites: ['RC4'] }, HTTP, /^unexpected TLS cipher suite "RC4"$/],
    [{ ...PAIR, cipherSuites: [GCM_256] }, HTTPS, /^http2: TLSConfig\.CipherSuites is missing/],
    [
      { ...PAIR, cipherSuites: [GCM_256] },
      { ...HTTPS, listenClientHttpUrls: ['https://127.0.0.1:3'] },
      /^http2: TLSConfig\.CipherSuites is missing/,
    ],
    [
      { isAuto: true, validityYears: 0 },
      HTTP,
      /^selfSignedCertValidity is invalid,it should be greater than 0$/,
    ],
    [{ isAuto: true, isClientCertAuth: true }, HTTPS, /^a certificate made by --auto-tls goes without/],
  ];
  for (const [change, urls, message] of wrong) {
    assert.throws(
      () => checkTlsInfo({ ...NO_TLS, ...change }, urls),
      (error) => error instanceof ToolError && error.code === 'server.config' && message.test(error.message),
      String(message),
    );
  }
});

test('what fits is taken', () => {
  const good: [Partial<TlsInfo>, TlsUrls][] = [
    [{}, HTTP],
    [PAIR, HTTPS],
    [{ isAuto: true }, HTTPS],
    [{ ...PAIR, isAuto: true, isClientCertAuth: true }, HTTPS],
    [{ certFile: 'c.pem' }, HTTP],
    [{ ...PAIR, ownCertFile: 'o.pem' }, HTTP],
    [{ isAuto: true, ownCertFile: 'o.pem' }, HTTPS],
    [{ ...PAIR, ownCertFile: 'o.pem', ownKeyFile: 'o.pem' }, HTTPS],
    [{ ...PAIR, minVersion: '', maxVersion: 'TLS1.2', cipherSuites: [GCM] }, HTTPS],
    [
      { ...PAIR, cipherSuites: [GCM_256] },
      { ...HTTPS, listenClientHttpUrls: ['http://127.0.0.1:3'] },
    ],
  ];
  for (const [change, urls] of good) assert.doesNotThrow(() => checkTlsInfo({ ...NO_TLS, ...change }, urls));
});

test('authorities alone make a certificate of clients necessary, as for etcd', () => {
  assert.equal(isClientCertRequired(NO_TLS), false);
  assert.equal(isClientCertRequired({ ...NO_TLS, trustedCaFile: 'ca.pem' }), true);
  assert.equal(isClientCertRequired({ ...NO_TLS, isClientCertAuth: true }), true);
  assert.equal(hasSecureUrl(HTTP), false);
  assert.equal(hasSecureUrl({ ...HTTP, listenMetricsUrls: ['unixs:///m.sock'] }), true);
});
