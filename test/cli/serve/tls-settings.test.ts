import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { collectSettings } from '../../../src/cli/serve/settings.ts';
import { tlsNotes, tlsOf } from '../../../src/cli/serve/tls-settings.ts';
import { defaultConfig, type ServerConfig } from '../../../src/server/config.ts';
import { NO_TLS, type TlsInfo } from '../../../src/server/tls/tls-info.ts';
import { scratch } from '../../support/scratch.ts';

function read(flags: Record<string, string>): TlsInfo {
  return tlsOf(collectSettings({ flags: new Map(Object.entries(flags)), environment: {} }).settings);
}

test('nothing given is no TLS', () => {
  assert.deepEqual(read({}), NO_TLS);
});

test('every flag has its value', () => {
  const flags = {
    'cert-file': 'c',
    'key-file': 'k',
    'trusted-ca-file': 'ca',
    'client-cert-file': 'own-c',
    'client-key-file': 'own-k',
    'client-cert-auth': 'true',
    'client-cert-allowed-hostname': 'a,b',
    'client-crl-file': 'crl',
    'auto-tls': 'true',
    'self-signed-cert-validity': '0',
    'cipher-suites': 'X,Y',
    'tls-min-version': '',
    'tls-max-version': 'TLS1.3',
  };
  assert.deepEqual(read(flags), {
    certFile: 'c',
    keyFile: 'k',
    trustedCaFile: 'ca',
    ownCertFile: 'own-c',
    ownKeyFile: 'own-k',
    isClientCertAuth: true,
    allowedHostnames: ['a', 'b'],
    crlFile: 'crl',
    isAuto: true,
    validityYears: 0,
    cipherSuites: ['X', 'Y'],
    minVersion: '',
    maxVersion: 'TLS1.3',
  } satisfies TlsInfo);
});

test('a configuration file has them in a group, and zero years there are the default', (t) => {
  const file = join(scratch(t), 'etcd.yml');
  const group = 'client-transport-security: { cert-file: c, allowed-hostname: [a, b], auto-tls: true }';
  writeFileSync(
    file,
    `${group}\ncert-file: passed over\nself-signed-cert-validity: 0\ntls-max-version: TLS1.2\n`,
  );
  const expected = { certFile: 'c', allowedHostnames: ['a', 'b'], isAuto: true, maxVersion: 'TLS1.2' };
  assert.deepEqual(read({ 'config-file': file }), { ...NO_TLS, ...expected });
});

test('what is given and not used is told as etcd tells it', () => {
  const told = (change: Partial<ServerConfig>): string[] =>
    tlsNotes({ ...defaultConfig(), ...change }).map(({ message }) => message.replace(/[;:].*/, ''));
  const pair = { ...NO_TLS, certFile: 'c', keyFile: 'k' };
  assert.deepEqual(told({}), []);
  assert.deepEqual(told({ clientTls: pair, listenClientUrls: ['https://127.0.0.1:1'] }), []);
  assert.deepEqual(told({ clientTls: { ...pair, isAuto: true, isClientCertAuth: true } }), [
    'ignoring client auto TLS since certs given',
    'scheme is http or unix while key and cert files are present',
    'scheme is http or unix while --client-cert-auth is enabled',
  ]);
});
