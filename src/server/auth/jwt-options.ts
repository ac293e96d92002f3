/**
 * What `--auth-token jwt,…` asks for: how tokens are signed, with which keys, and for how long. Options and key files
 * are taken as etcd v3.6 server/auth/options.go and golang-jwt v5 take them; everything that would fail at the first
 * login fails here instead.
 */
import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseDuration } from '../../bytes/duration.ts';
import { ioError } from '../../bytes/io-error.ts';
import { UsageError } from '../../errors.ts';

interface KeyKind {
  /** Of `KeyObject.asymmetricKeyType`. */
  type: 'rsa' | 'ec' | 'ed25519';
  name: string;
  /** What a private key's PEM block may hold, in the order in which golang-jwt tries them. */
  privateForms: readonly ('pkcs1' | 'sec1' | 'pkcs8')[];
  publicForms: readonly ('spki' | 'certificate' | 'pkcs1')[];
}

const RSA: KeyKind = {
  type: 'rsa',
  name: 'RSA',
  privateForms: ['pkcs1', 'pkcs8'],
  publicForms: ['spki', 'certificate', 'pkcs1'],
};
const EC: KeyKind = {
  type: 'ec',
  name: 'ECDSA',
  privateForms: ['sec1', 'pkcs8'],
  publicForms: ['spki', 'certificate'],
};
const ED: KeyKind = { type: 'ed25519', name: 'Ed25519', privateForms: ['pkcs8'], publicForms: ['spki'] };

/** The standard's names, and OpenSSL's. */
const CURVES = { 'P-256': 'prime256v1', 'P-384': 'secp384r1', 'P-521': 'secp521r1' };

interface Method {
  /** Undefined: the key is a shared secret. */
  kind?: KeyKind;
  curve?: keyof typeof CURVES;
}

/** Every `sign-method` of etcd. */
const METHODS = {
  RS256: { kind: RSA },
  RS384: { kind: RSA },
  RS512: { kind: RSA },
  PS256: { kind: RSA },
  PS384: { kind: RSA },
  PS512: { kind: RSA },
  ES256: { kind: EC, curve: 'P-256' },
  ES384: { kind: EC, curve: 'P-384' },
  ES512: { kind: EC, curve: 'P-521' },
  HS256: {},
  HS384: {},
  HS512: {},
  EdDSA: { kind: ED },
} as const satisfies Record<string, Method>;
export type JwtAlgorithm = keyof typeof METHODS;
export const JWT_ALGORITHMS = Object.keys(METHODS) as readonly JwtAlgorithm[];

const DEFAULT_TTL_MS = 5 * 60_000;
/** RFC 7518 asks for it, and jose holds to it. */
const RSA_BITS_MIN = 2048;

export const INVALID_AUTH_OPTIONS = 'auth: invalid auth options';
const MISSING_KEY = 'auth: missing key data';
const KEY_MISMATCH = "auth: public and private keys don't match";

export interface JwtKeys {
  /** A public key, or the shared secret. */
  verify: KeyObject;
  /** Undefined: tokens are made elsewhere, and only read here. */
  sign: KeyObject | undefined;
}

export interface JwtOptions {
  algorithm: JwtAlgorithm;
  keys: JwtKeys;
  ttlMs: number;
}

/** The names etcd knows; others are told of, and ignored. */
export const JWT_OPTION_NAMES: readonly string[] = ['sign-method', 'pub-key', 'priv-key', 'ttl'];

/** Reads options and key files. Throws a `UsageError` that starts with etcd's text and says what is wrong. */
export function jwtOptionsOf(options: ReadonlyMap<string, string>): JwtOptions {
  const ttlMs = ttlOf(options.get('ttl') ?? '');
  // Both files are read before anything is judged, even one that the method has no use for, as etcd does.
  const publicFile = keyFileOf(options, 'pub-key');
  const privateFile = keyFileOf(options, 'priv-key');
  const algorithm = algorithmOf(options.get('sign-method') ?? '');
  return { algorithm, ttlMs, keys: keysOf(algorithm, { publicFile, privateFile }) };
}

/** A refusal in etcd's words, and what is wrong in ours. */
export function invalidOptions(
  problem: string,
  text: string = INVALID_AUTH_OPTIONS,
  cause?: unknown,
): UsageError {
  return new UsageError('server.config', `${text}: ${problem}`, { upstream: text, cause });
}

function ttlOf(text: string): number {
  if (text === '') return DEFAULT_TTL_MS;
  const ttlMs = parseDuration(text);
  if (typeof ttlMs !== 'number') throw invalidOptions(`ttl: ${ttlMs.problem}`);
  // Differs from etcd, which takes it, and makes tokens that are expired from the start.
  if (ttlMs <= 0) throw invalidOptions(`ttl is ${text}, so that every token would be expired from the start`);
  return ttlMs;
}

function algorithmOf(text: string): JwtAlgorithm {
  if (Object.hasOwn(METHODS, text)) return text as JwtAlgorithm;
  const known = `one of ${JWT_ALGORITHMS.join(', ')}`;
  throw invalidOptions(
    text === '' ? `sign-method is missing: ${known}` : `sign-method is ${text}, not ${known}`,
  );
}

interface KeyFile {
  option: string;
  path: string;
  bytes: Buffer;
}

/** Undefined where none is named, or it is empty: etcd takes both as no key. */
function keyFileOf(options: ReadonlyMap<string, string>, option: string): KeyFile | undefined {
  const path = options.get(option) ?? '';
  if (path === '') return undefined;
  try {
    const bytes = readFileSync(path);
    return bytes.length > 0 ? { option, path, bytes } : undefined;
  } catch (error) {
    const { message } = ioError(error, { operation: 'open', path });
    throw invalidOptions(`${option}: ${message}`, INVALID_AUTH_OPTIONS, error);
  }
}

interface KeyFiles {
  publicFile: KeyFile | undefined;
  privateFile: KeyFile | undefined;
}

function keysOf(algorithm: JwtAlgorithm, { publicFile, privateFile }: KeyFiles): JwtKeys {
  const method: Method = METHODS[algorithm];
  if (!method.kind) {
    if (!privateFile)
      throw invalidOptions(`${algorithm} needs a secret in the file of priv-key`, MISSING_KEY);
    const secret = createSecretKey(privateFile.bytes);
    return { verify: secret, sign: secret };
  }
  const sign = privateFile && privateKeyOf(privateFile, method.kind);
  const verify = publicFile && publicKeyOf(publicFile, method.kind);
  const key = sign ? createPublicKey(sign) : verify;
  if (!key) throw invalidOptions(`${algorithm} needs the file of pub-key, of priv-key, or both`, MISSING_KEY);
  if (verify && !verify.equals(key))
    throw invalidOptions(`${publicFile.path} is not the other half of ${privateFile!.path}`, KEY_MISMATCH);
  refuseUnfit(key, algorithm, (privateFile ?? publicFile)!);
  return { verify: key, sign };
}

/** Differs from etcd, which starts with such a key, and fails at the first login or, with short ones, goes on. */
function refuseUnfit(key: KeyObject, algorithm: JwtAlgorithm, { option, path }: KeyFile): void {
  const { curve }: Method = METHODS[algorithm];
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  if (curve && namedCurve !== CURVES[curve])
    throw invalidOptions(
      `${option}: ${algorithm} needs a key on ${curve}, and that of ${path} is on ${namedCurve}`,
    );
  if (modulusLength !== undefined && modulusLength < RSA_BITS_MIN)
    throw invalidOptions(
      `${option}: the key of ${path} has ${modulusLength} bits, and ${algorithm} needs ${RSA_BITS_MIN} or more`,
    );
}

function privateKeyOf(file: KeyFile, kind: KeyKind): KeyObject {
  const key = firstBlockOf(file);
  const forms = kind.privateForms.map((type) => () => createPrivateKey({ key, format: 'der', type }));
  return keyOf(file, { kind, forms, what: 'private key' });
}

function publicKeyOf(file: KeyFile, kind: KeyKind): KeyObject {
  const der = firstBlockOf(file);
  const forms = kind.publicForms.map((form) => () => publicKeyIn(der, form));
  return keyOf(file, { kind, forms, what: 'public key' });
}

function publicKeyIn(key: Buffer, form: KeyKind['publicForms'][number]): KeyObject | undefined {
  if (form === 'certificate') return new X509Certificate(key).publicKey;
  const found = createPublicKey({ key, format: 'der', type: form });
  // Node finds the public half of a private key too, where etcd finds none.
  return found.export({ format: 'der', type: form }).equals(key) ? found : undefined;
}

interface KeySearch {
  kind: KeyKind;
  forms: readonly (() => KeyObject | undefined)[];
  what: string;
}

function keyOf({ option, path }: KeyFile, { kind, forms, what }: KeySearch): KeyObject {
  let cause: unknown;
  for (const form of forms) {
    try {
      const key = form();
      if (key?.asymmetricKeyType === kind.type) return key;
    } catch (error) {
      cause ??= error;
    }
  }
  throw invalidOptions(`${option}: ${path} holds no ${kind.name} ${what}`, INVALID_AUTH_OPTIONS, cause);
}

/**
 * What the first PEM block of a file holds, whatever its label says. Only the first counts, as in Go: a file of
 * `openssl ecparam -genkey` starts with the name of a curve, and is none for etcd either.
 */
function firstBlockOf({ option, path, bytes }: KeyFile): Buffer {
  for (const [, , body] of bytes.toString('latin1').matchAll(PEM_BLOCK)) {
    const base64 = body!.replace(PEM_HEADERS, '').replaceAll(/\s/g, '');
    if (BASE64.test(base64)) return Buffer.from(base64, 'base64');
  }
  throw invalidOptions(`${option}: ${path} is not PEM: no block between -----BEGIN … and -----END … lines`);
}

const PEM_BLOCK = /^-----BEGIN (.+)-----[ \t\r]*\n([^]*?)^-----END \1-----/gm;
/** Lines of an encrypted key; what follows them then is no key that can be read. */
const PEM_HEADERS = /^(?:[^\n:]+:[^\n]*\n)+\r?\n/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
