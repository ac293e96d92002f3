/** Keys of every kind, made once a process, and tokens signed by node:crypto alone. */
import {
  constants,
  createHmac,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  type SignKeyObjectInput,
} from 'node:crypto';
import type { JwtAlgorithm, JwtKeys } from '../../../src/server/auth/jwt-options.ts';

export interface KeyPair {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

export const SECRET = 'secret of a few';
export const RSA_PAIR: KeyPair = generateKeyPairSync('rsa', { modulusLength: 2048 });
export const OTHER_RSA_PAIR: KeyPair = generateKeyPairSync('rsa', { modulusLength: 2048 });
export const P256_PAIR: KeyPair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const P384_PAIR: KeyPair = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const P521_PAIR: KeyPair = generateKeyPairSync('ec', { namedCurve: 'P-521' });
export const ED_PAIR: KeyPair = generateKeyPairSync('ed25519');

const secret = createSecretKey(Buffer.from(SECRET));
const SECRET_PAIR: KeyPair = { publicKey: secret, privateKey: secret };

export function pairOf(algorithm: JwtAlgorithm): KeyPair {
  if (algorithm.startsWith('HS')) return SECRET_PAIR;
  if (algorithm === 'ES256') return P256_PAIR;
  if (algorithm === 'ES384') return P384_PAIR;
  if (algorithm === 'ES512') return P521_PAIR;
  return algorithm === 'EdDSA' ? ED_PAIR : RSA_PAIR;
}

export function keysOf(algorithm: JwtAlgorithm): JwtKeys {
  const { publicKey, privateKey } = pairOf(algorithm);
  return { verify: publicKey, sign: privateKey };
}

export function pemOf(key: KeyObject): string {
  return key.export({ format: 'pem', type: key.type === 'private' ? 'pkcs8' : 'spki' }).toString();
}

export const base64url = (text: string): string => Buffer.from(text).toString('base64url');

export interface TokenParts {
  algorithm: JwtAlgorithm;
  claims: object | string;
  /** Of the header; the algorithm's name without it. */
  header?: object;
  key?: KeyObject;
}

export function signedByNode({ algorithm, claims, header, key }: TokenParts): string {
  const payload = typeof claims === 'string' ? claims : JSON.stringify(claims);
  const text = `${base64url(JSON.stringify(header ?? { alg: algorithm }))}.${base64url(payload)}`;
  const signature = signatureOf(algorithm, text, key ?? pairOf(algorithm).privateKey);
  return `${text}.${signature.toString('base64url')}`;
}

function signatureOf(algorithm: JwtAlgorithm, text: string, key: KeyObject): Buffer {
  const digest = `sha${algorithm.slice(2)}`;
  if (algorithm.startsWith('HS')) return createHmac(digest, key).update(text).digest();
  if (algorithm === 'EdDSA') return sign(null, Buffer.from(text), key);
  const input: SignKeyObjectInput = { key };
  if (algorithm.startsWith('ES')) input.dsaEncoding = 'ieee-p1363';
  if (algorithm.startsWith('PS')) {
    input.padding = constants.RSA_PKCS1_PSS_PADDING;
    input.saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
  }
  return sign(digest, Buffer.from(text), input);
}
