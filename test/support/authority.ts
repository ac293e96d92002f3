/** A small certificate authority for tests: certificates of every kind, and lists of revoked ones, none of which runs out. */
import { randomBytes, webcrypto } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

const SIGNING = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 24 * 3600 * 1000;

/** PEM. */
export interface Identity {
  cert: string;
  key: string;
}

export interface Issued extends Identity {
  /** Hexadecimal. */
  serialNumber: string;
}

export interface IssueOptions {
  commonName?: string;
  /** DNS names and addresses. */
  names?: readonly string[];
  /** For servers and clients unless it is said. */
  usages?: readonly ('serverAuth' | 'clientAuth')[];
  /** Days from now. */
  from?: number;
  until?: number;
  /** An authority below this one. */
  isAuthority?: boolean;
  serialNumber?: string;
  isRsa?: boolean;
}

const RSA = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 2048,
  publicExponent: Uint8Array.from([1, 0, 1]),
};

const makeKeys = (isRsa = false): Promise<webcrypto.CryptoKeyPair> =>
  webcrypto.subtle.generateKey(isRsa ? RSA : SIGNING, true, ['sign', 'verify']);

const inDays = (days: number): Date => new Date(Date.now() + days * DAY_MS);

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  const bytes = await webcrypto.subtle.exportKey('pkcs8', key);
  return x509.PemConverter.encode(bytes, 'PRIVATE KEY');
}

function newSerial(): string {
  const bytes = randomBytes(8);
  bytes[0] = (bytes[0]! & 0x7f) | 0x10;
  return bytes.toString('hex');
}

function extensionsOf({ names = [], usages, isAuthority = false }: IssueOptions): x509.Extension[] {
  const { digitalSignature, keyCertSign, cRLSign } = x509.KeyUsageFlags;
  const wanted = usages ?? ['serverAuth', 'clientAuth'];
  return [
    new x509.BasicConstraintsExtension(isAuthority, undefined, true),
    new x509.KeyUsagesExtension(isAuthority ? keyCertSign | cRLSign : digitalSignature, true),
    ...(isAuthority
      ? []
      : [new x509.ExtendedKeyUsageExtension(wanted.map((usage) => x509.ExtendedKeyUsage[usage]))]),
    ...(names.length === 0
      ? []
      : [
          new x509.SubjectAlternativeNameExtension(
            names.map((value) => ({ type: isIP(value) > 0 ? ('ip' as const) : ('dns' as const), value })),
          ),
        ]),
  ];
}

export class Authority {
  /** PEM. */
  readonly cert: string;
  readonly #name: string;
  readonly #keys: webcrypto.CryptoKeyPair;

  private constructor(cert: string, name: string, keys: webcrypto.CryptoKeyPair) {
    this.cert = cert;
    this.#name = name;
    this.#keys = keys;
  }

  static async create(commonName = 'etcdkit test authority'): Promise<Authority> {
    const keys = await makeKeys();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: newSerial(),
      name: `CN=${commonName}`,
      notBefore: inDays(-2),
      notAfter: inDays(2),
      signingAlgorithm: SIGNING,
      keys,
      extensions: extensionsOf({ isAuthority: true }),
    });
    return new Authority(`${certificate.toString('pem')}\n`, `CN=${commonName}`, keys);
  }

  async issue(options: IssueOptions = {}): Promise<Issued> {
    const keys = await makeKeys(options.isRsa);
    const { serialNumber, cert } = await this.#sign(keys.publicKey, options);
    return { cert, key: await pemOf(keys.privateKey), serialNumber };
  }

  /** An authority that this one vouches for. */
  async intermediate(commonName: string): Promise<Authority> {
    const keys = await makeKeys();
    const { cert } = await this.#sign(keys.publicKey, { commonName, isAuthority: true });
    return new Authority(cert, `CN=${commonName}`, keys);
  }

  async #sign(
    publicKey: webcrypto.CryptoKey,
    options: IssueOptions,
  ): Promise<{ cert: string; serialNumber: string }> {
    const { commonName, from = -1, until = 1, serialNumber = newSerial() } = options;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber,
      subject: commonName === undefined ? 'O=etcdkit' : `CN=${commonName}`,
      issuer: this.#name,
      notBefore: inDays(from),
      notAfter: inDays(until),
      signingAlgorithm: SIGNING,
      publicKey,
      signingKey: this.#keys.privateKey,
      extensions: extensionsOf(options),
    });
    return { cert: `${certificate.toString('pem')}\n`, serialNumber };
  }

  /** A list of revoked certificates: DER. */
  async revoke(serialNumbers: readonly string[]): Promise<Buffer> {
    const list = await x509.X509CrlGenerator.create({
      issuer: this.#name,
      thisUpdate: inDays(-1),
      nextUpdate: inDays(1),
      signingAlgorithm: SIGNING,
      signingKey: this.#keys.privateKey,
      entries: serialNumbers.map((serialNumber) => ({ serialNumber, revocationDate: inDays(-1) })),
    });
    return Buffer.from(list.rawData);
  }
}

/** A server's certificate for 127.0.0.1 that is its own authority. */
export async function selfSigned(): Promise<Identity> {
  const keys = await makeKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: 'CN=etcdkit test',
    notBefore: inDays(-1),
    notAfter: inDays(1),
    signingAlgorithm: SIGNING,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }]),
    ],
  });
  return { cert: `${certificate.toString('pem')}\n`, key: await pemOf(keys.privateKey) };
}

/** Writes a pair as files for `--cert-file` and `--key-file`. */
export function writePair(
  folder: string,
  name: string,
  { cert, key }: Identity,
): { certFile: string; keyFile: string } {
  const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  return { certFile, keyFile };
}
