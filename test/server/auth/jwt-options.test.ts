import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { UsageError } from '../../../src/errors.ts';
import { JWT_ALGORITHMS, jwtOptionsOf } from '../../../src/server/auth/jwt-options.ts';
import { selfSigned } from '../../support/authority.ts';
import { ED_PAIR, OTHER_RSA_PAIR, P256_PAIR, pairOf, pemOf, RSA_PAIR, SECRET } from './keys.ts';

const CERTIFICATE = (await selfSigned()).cert;

const INVALID = 'auth: invalid auth options';
const MISSING = 'auth: missing key data';
const MISMATCH = "auth: public and private keys don't match";

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'etcdkit-jwt-'));
});
after(() => rmSync(folder, { recursive: true }));

let fileCount = 0;
function file(content: string | Buffer): string {
  const path = join(folder, `key-${fileCount++}`);
  writeFileSync(path, content);
  return path;
}

const read = (options: Record<string, string>): ReturnType<typeof jwtOptionsOf> =>
  jwtOptionsOf(new Map(Object.entries(options)));

function assertRefused(options: Record<string, string>, text: string, problem: RegExp): void {
  assert.throws(
    () => read(options),
    (error) => {
      assert.ok(error instanceof UsageError, String(error));
      assert.equal(error.code, 'server.config');
      assert.equal(error.upstream, text);
      assert.ok(error.message.startsWith(`${text}: `), error.message);
      assert.match(error.message.slice(text.length), problem);
      return true;
    },
  );
}

function pem(key: KeyObject, type: 'pkcs1' | 'pkcs8' | 'sec1' | 'spki'): string {
  return key.export({ format: 'pem', type: type as 'pkcs8' }).toString();
}

const withLabel = (text: string, label: string): string =>
  text.replaceAll(/(-----(?:BEGIN|END) )[^-]+/g, `$1${label}`);

test('every algorithm of etcd, with the halves of a key or its secret', () => {
  for (const algorithm of JWT_ALGORITHMS) {
    const base = { 'sign-method': algorithm };
    if (algorithm.startsWith('HS')) {
      const { keys } = read({ ...base, 'priv-key': file(`${SECRET}\n`) });
      assert.equal(keys.verify.export().toString(), `${SECRET}\n`, 'the file as it is');
      assert.equal(keys.sign, keys.verify);
      continue;
    }
    const { publicKey, privateKey } = pairOf(algorithm);
    const [publicFile, privateFile] = [file(pemOf(publicKey)), file(pemOf(privateKey))];
    const both = read({ ...base, 'pub-key': publicFile, 'priv-key': privateFile }).keys;
    assert.ok(both.sign!.equals(privateKey) && both.verify.equals(publicKey));
    const privateOnly = read({ ...base, 'priv-key': privateFile }).keys;
    assert.ok(privateOnly.sign!.equals(privateKey) && privateOnly.verify.equals(publicKey));
    const publicOnly = read({ ...base, 'pub-key': publicFile }).keys;
    assert.ok(publicOnly.sign === undefined && publicOnly.verify.equals(publicKey));
  }
});

test('private keys in every form that golang-jwt takes, whatever their label says', () => {
  const rsa = pem(RSA_PAIR.privateKey, 'pkcs1');
  const forms: [string, string][] = [
    ['RS256', rsa],
    ['PS384', pem(RSA_PAIR.privateKey, 'pkcs8')],
    ['RS256', withLabel(rsa, 'ANY THING')],
    ['RS256', `some words\n${rsa}more words\n`],
    ['RS256', rsa.replaceAll('\n', '\r\n')],
    ['RS256', `${rsa}${pem(OTHER_RSA_PAIR.privateKey, 'pkcs1')}`],
    ['ES256', pem(P256_PAIR.privateKey, 'sec1')],
    ['ES256', pem(P256_PAIR.privateKey, 'pkcs8')],
    ['EdDSA', pem(ED_PAIR.privateKey, 'pkcs8')],
  ];
  for (const [algorithm, text] of forms) {
    const { keys } = read({ 'sign-method': algorithm, 'priv-key': file(text) });
    assert.ok(keys.sign, `${algorithm} ${text}`);
    if (algorithm !== 'ES256' && algorithm !== 'EdDSA') assert.ok(keys.sign.equals(RSA_PAIR.privateKey));
  }
});

test('public keys in every form that golang-jwt takes', () => {
  const forms: [string, string][] = [
    ['RS256', pem(RSA_PAIR.publicKey, 'spki')],
    ['RS256', pem(RSA_PAIR.publicKey, 'pkcs1')],
    ['RS256', withLabel(pem(RSA_PAIR.publicKey, 'spki'), 'ODD')],
    ['ES256', pem(P256_PAIR.publicKey, 'spki')],
    ['ES256', CERTIFICATE],
    ['EdDSA', pem(ED_PAIR.publicKey, 'spki')],
  ];
  for (const [algorithm, text] of forms)
    assert.ok(read({ 'sign-method': algorithm, 'pub-key': file(text) }).keys.verify, `${algorithm} ${text}`);
});

test('what golang-jwt does not take as a private key', () => {
  const rsa = pem(RSA_PAIR.privateKey, 'pkcs1');
  const encrypted = { format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' } as const;
  const wrong: [string, string | Buffer][] = [
    ['RS256', 'no PEM'],
    ['RS256', rsa.slice(0, 200)],
    ['RS256', rsa.replace('END RSA', 'END DSA')],
    ['RS256', RSA_PAIR.privateKey.export({ format: 'der', type: 'pkcs1' })],
    ['RS256', RSA_PAIR.privateKey.export({ ...encrypted, type: 'pkcs8' })],
    ['RS256', RSA_PAIR.privateKey.export({ ...encrypted, type: 'pkcs1' })],
    ['RS256', pem(RSA_PAIR.publicKey, 'spki')],
    ['RS256', pem(P256_PAIR.privateKey, 'pkcs8')],
    ['RS256', pem(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey, 'pkcs8')],
    ['ES256', rsa],
    [
      'ES256',
      `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${pem(P256_PAIR.privateKey, 'sec1')}`,
    ],
    ['EdDSA', pem(P256_PAIR.privateKey, 'pkcs8')],
    ['EdDSA', pem(generateKeyPairSync('ed448').privateKey, 'pkcs8')],
  ];
  for (const [algorithm, content] of wrong)
    assertRefused(
      { 'sign-method': algorithm, 'priv-key': file(content) },
      INVALID,
      /priv-key: .*(?:holds no|is not PEM)/,
    );
});

test('what golang-jwt does not take as a public key', () => {
  const wrong: [string, string][] = [
    ['RS256', 'no PEM'],
    ['RS256', pem(RSA_PAIR.privateKey, 'pkcs1')],
    ['RS256', pem(RSA_PAIR.privateKey, 'pkcs8')],
    ['PS256', pem(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey, 'spki')],
    ['RS256', pem(P256_PAIR.publicKey, 'spki')],
    ['RS256', CERTIFICATE],
    ['ES256', pem(P256_PAIR.privateKey, 'sec1')],
    ['EdDSA', pem(P256_PAIR.publicKey, 'spki')],
    ['EdDSA', CERTIFICATE],
  ];
  for (const [algorithm, content] of wrong)
    assertRefused(
      { 'sign-method': algorithm, 'pub-key': file(content) },
      INVALID,
      /pub-key: .*(?:holds no|is not PEM)/,
    );
});

test('keys that would fail at the first login', () => {
  const p384 = pem(pairOf('ES384').privateKey, 'sec1');
  assertRefused(
    { 'sign-method': 'ES256', 'priv-key': file(p384) },
    INVALID,
    /needs a key on P-256, .* on secp384r1/,
  );
  const short = pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey, 'spki');
  assertRefused(
    { 'sign-method': 'RS256', 'pub-key': file(short) },
    INVALID,
    /has 1024 bits, and RS256 needs 2048/,
  );
});

test('keys that are absent, and halves of two keys', () => {
  const privateFile = file(pem(RSA_PAIR.privateKey, 'pkcs1'));
  const otherFile = file(pem(OTHER_RSA_PAIR.publicKey, 'spki'));
  assertRefused({ 'sign-method': 'RS256' }, MISSING, /RS256 needs the file of pub-key/);
  assertRefused({ 'sign-method': 'RS256', 'priv-key': '' }, MISSING, /RS256/);
  assertRefused({ 'sign-method': 'ES256', 'priv-key': file('') }, MISSING, /ES256/);
  assertRefused({ 'sign-method': 'HS256' }, MISSING, /a secret in the file of priv-key/);
  assertRefused({ 'sign-method': 'HS256', 'pub-key': file(SECRET) }, MISSING, /priv-key/);
  assertRefused({ 'sign-method': 'HS256', 'priv-key': file('') }, MISSING, /priv-key/);
  assertRefused(
    { 'sign-method': 'RS256', 'priv-key': privateFile, 'pub-key': otherFile },
    MISMATCH,
    /other half/,
  );
  const absent = join(folder, 'absent');
  assertRefused(
    { 'sign-method': 'RS256', 'priv-key': absent },
    INVALID,
    /priv-key: open .*: no such file or directory/,
  );
  const secret = file(SECRET);
  assertRefused({ 'sign-method': 'HS256', 'priv-key': secret, 'pub-key': absent }, INVALID, /pub-key: open/);
  assertRefused({ 'sign-method': 'HS256', 'priv-key': folder }, INVALID, /priv-key: .*is a directory/);
});

test('sign-method is one of etcd’s, as it is written', () => {
  for (const method of ['', 'none', 'hs256', 'Ed25519', 'ES256K', 'constructor', ' HS256'])
    assertRefused(
      { 'sign-method': method, 'priv-key': file(SECRET) },
      INVALID,
      /sign-method is .*RS256.*EdDSA/,
    );
});

test('ttl is a duration of Go; five minutes without one', () => {
  const base = { 'sign-method': 'HS256', 'priv-key': file(SECRET) };
  assert.equal(read(base).ttlMs, 300_000);
  assert.equal(read({ ...base, ttl: '' }).ttlMs, 300_000);
  assert.equal(read({ ...base, ttl: '1h30m' }).ttlMs, 5_400_000);
  assertRefused({ ...base, ttl: '5' }, INVALID, /ttl: time: missing unit in duration "5"/);
  assertRefused({ ...base, ttl: '10000000h' }, INVALID, /ttl: time: invalid duration/);
  for (const ttl of ['0', '-5m']) assertRefused({ ...base, ttl }, INVALID, /expired from the start/);
});
