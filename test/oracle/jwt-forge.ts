/** Keys for each algorithm of signed tokens, and tokens made by hand with them: good ones, and all kinds of bad ones. */
import { constants, createHmac, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'HS256',
  'HS384',
  'HS512',
] as const;

export type Algorithm = (typeof ALGORITHMS)[number];

const CURVES = { ES256: 'prime256v1', ES384: 'secp384r1', ES512: 'secp521r1' } as const;

/** Keys of one algorithm, in files as etcd's flag names them. */
export interface Keys {
  readonly algorithm: Algorithm;
  /** Absent for a secret. */
  readonly publicFile?: string;
  readonly privateFile: string;
  /** What stands in the file whose content others may know; of a secret there is none. */
  readonly publicText?: string;
  readonly secret?: Buffer;
  readonly privateKey?: KeyObject;
}

/** Makes keys, in the forms in which they are found: PKCS #1 and SEC 1 as well as PKCS #8 and SPKI. */
export function makeKeys(algorithm: Algorithm, folder: string, name = 'key'): Keys {
  const privateFile = join(folder, `${name}.private`);
  if (algorithm.startsWith('HS')) {
    const secret = Buffer.from(randomBytes(64).toString('base64'));
    writeFileSync(privateFile, secret);
    return { algorithm, privateFile, secret };
  }
  const { publicKey, privateKey } = pairFor(algorithm);
  const isOldForm = algorithm.endsWith('256');
  const oldType = algorithm.startsWith('ES') ? 'sec1' : 'pkcs1';
  const privateText = privateKey.export({ format: 'pem', type: isOldForm ? oldType : 'pkcs8' });
  const isOldPublic = algorithm === 'RS256' || algorithm === 'PS256';
  const publicText = String(publicKey.export({ format: 'pem', type: isOldPublic ? 'pkcs1' : 'spki' }));
  const publicFile = join(folder, `${name}.public`);
  writeFileSync(privateFile, privateText);
  writeFileSync(publicFile, publicText);
  return { algorithm, publicFile, privateFile, publicText, privateKey };
}

function pairFor(algorithm: Algorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  if (algorithm === 'ES256' || algorithm === 'ES384' || algorithm === 'ES512')
    return generateKeyPairSync('ec', { namedCurve: CURVES[algorithm] });
  if (algorithm === 'EdDSA') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('rsa', { modulusLength: 2048 });
}

/** How a signature is made otherwise than it should be. */
interface Style {
  /** For elliptic curves the form of certificates instead of the two numbers side by side. */
  isDer?: boolean;
  saltLength?: number;
}

/** The signature over a text by one's own keys. */
export function signatureOf(text: string, algorithm: Algorithm, keys: Keys, style: Style = {}): Buffer {
  const hash = `sha${algorithm.slice(2)}`;
  const { secret, privateKey: key } = keys;
  if (secret) return createHmac(hash, secret).update(text).digest();
  const data = Buffer.from(text);
  if (!key) return Buffer.alloc(0);
  if (algorithm === 'EdDSA') return sign(null, data, key);
  if (algorithm.startsWith('ES'))
    return sign(hash, data, { key, dsaEncoding: style.isDer ? 'der' : 'ieee-p1363' });
  if (algorithm.startsWith('RS')) return sign(hash, data, { key, padding: constants.RSA_PKCS1_PADDING });
  const saltLength = style.saltLength ?? constants.RSA_PSS_SALTLEN_DIGEST;
  return sign(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
}

/** A part of a token: JSON of a value, or a text as it is. */
export function partOf(value: object | string): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

/** A token of a header, claims and a signature over both. */
export function tokenOf(
  header: object | string,
  claims: object | string,
  signer: (text: string) => Buffer,
): string {
  const text = `${partOf(header)}.${partOf(claims)}`;
  return `${text}.${signer(text).toString('base64url')}`;
}
