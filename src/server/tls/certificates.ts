/**
 * The server's certificate and key, and the authorities of clients: read from their files again once those have
 * changed, at the next handshake, as etcd does with the pair (client/pkg/transport `GetCertificate`).
 *
 * Differs from etcd: the authorities are read again too, and while files do not fit, as in the middle of a renewal, the
 * last ones that did go on being used; etcd fails handshakes meanwhile.
 */
import { constants, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, rootCertificates, type SecureContextOptions } from 'node:tls';
import { UsageError } from '../../errors.ts';
import type { Log } from '../log.ts';
import { opensslCiphers } from './cipher-suites.ts';
import { readConfigured, stampOf } from './file-stamp.ts';
import { pemBlocks } from './pem.ts';
import { isClientCertRequired, type TlsInfo } from './tls-info.ts';

const wrong = (message: string, cause?: unknown): UsageError =>
  new UsageError('server.config', message, { cause });

/** A certificate with those behind it, and its key: PEM. */
export interface KeyPair {
  cert: string;
  key: string;
}

/** Throws `server.config` for what is no pair, in Go's words (crypto/tls `X509KeyPair`). */
export function readKeyPair(certFile: string, keyFile: string): KeyPair {
  const pair = {
    cert: certificatesIn(readConfigured(certFile)),
    key: keyIn(readConfigured(keyFile)),
  };
  const leaf = parseCertificate(pair.cert);
  const key = parseKey(pair.key);
  if (key.asymmetricKeyType !== leaf.publicKey.asymmetricKeyType)
    throw wrong('tls: private key type does not match public key type');
  if (!leaf.checkPrivateKey(key)) throw wrong('tls: private key does not match public key');
  return pair;
}

function certificatesIn(content: Buffer): string {
  const blocks = pemBlocks(content);
  const found = blocks.filter(({ type }) => type === 'CERTIFICATE').map(({ text }) => text);
  if (found.length > 0) return found.join('');
  if (blocks.length === 0) throw wrong('tls: failed to find any PEM data in certificate input');
  const types = blocks.map(({ type }) => type);
  if (types.length === 1 && types[0]!.endsWith('PRIVATE KEY')) {
    throw wrong(
      'tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched',
    );
  }
  throw wrong(
    `tls: failed to find "CERTIFICATE" PEM block in certificate input after skipping PEM blocks of the following types: [${types.join(' ')}]`,
  );
}

function keyIn(content: Buffer): string {
  const blocks = pemBlocks(content);
  const found = blocks.find(({ type }) => type === 'PRIVATE KEY' || type.endsWith(' PRIVATE KEY'));
  if (found) return found.text;
  if (blocks.length === 0) throw wrong('tls: failed to find any PEM data in key input');
  const types = blocks.map(({ type }) => type);
  if (types.length === 1 && types[0] === 'CERTIFICATE')
    throw wrong('tls: found a certificate rather than a key in the PEM for the private key');
  throw wrong(
    `tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input after skipping PEM blocks of the following types: [${types.join(' ')}]`,
  );
}

function parseKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw wrong(`tls: failed to parse private key: ${(cause as Error).message}`, cause);
  }
}

function parseCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw wrong(`x509: malformed certificate: ${(cause as Error).message}`, cause);
  }
}

/** Certificates of authorities. As in Go, a block of any kind has to be one, and none at all trusts nobody. */
function readAuthorities(path: string): X509Certificate[] {
  return pemBlocks(readConfigured(path)).map(({ text }) =>
    parseCertificate(text.replaceAll(/-----(BEGIN|END) [^-]*-----/g, '-----$1 CERTIFICATE-----')),
  );
}

/** Where Linux distributions keep what a host trusts, as Go looks for it (crypto/x509 `certFiles`). */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** What stands for authorities where clients must be certified and none is named: those of the host. */
function systemAuthorities(): string[] {
  const named = process.env['SSL_CERT_FILE'];
  if (named) return readAuthorities(named).map(String);
  for (const path of SYSTEM_BUNDLES) {
    try {
      const found = pemBlocks(readFileSync(path)).filter(({ type }) => type === 'CERTIFICATE');
      if (found.length > 0) return found.map(({ text }) => text);
    } catch {
      // Not such a distribution.
    }
  }
  return [...rootCertificates];
}

/**
 * No tickets: who comes back shows its certificate again, and is held against the list of revoked ones. Clients never
 * renegotiate with Go either.
 */
const SECURE_OPTIONS = constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION;
const NODE_VERSIONS = { 'TLS1.2': 'TLSv1.2', 'TLS1.3': 'TLSv1.3' } as const;

/** Throws `server.config` when a file is of no use. */
function loadMaterial(info: TlsInfo, given: KeyPair | undefined): SecureContextOptions {
  const { certFile, keyFile, trustedCaFile, cipherSuites, minVersion, maxVersion } = info;
  const { cert, key } = given ?? readKeyPair(certFile, keyFile);
  const trusted = trustedCaFile === '' ? undefined : readAuthorities(trustedCaFile);
  const options: SecureContextOptions = {
    cert,
    key,
    ciphers: opensslCiphers(cipherSuites),
    honorCipherOrder: true,
    minVersion: minVersion === 'TLS1.3' ? NODE_VERSIONS['TLS1.3'] : NODE_VERSIONS['TLS1.2'],
    maxVersion: maxVersion === 'TLS1.2' ? NODE_VERSIONS['TLS1.2'] : NODE_VERSIONS['TLS1.3'],
    secureOptions: SECURE_OPTIONS,
    // For Go any certificate in the file is an authority, whoever signed it.
    allowPartialTrustChain: true,
  };
  if (trusted) options.ca = trusted.map(String);
  else if (isClientCertRequired(info)) options.ca = systemAuthorities();
  try {
    createSecureContext(options);
  } catch (cause) {
    throw wrong(
      `the certificate, key and settings of TLS cannot be used: ${(cause as Error).message}`,
      cause,
    );
  }
  return options;
}

/** What is in the files, followed as they change. */
export class Certificates {
  readonly #info: TlsInfo;
  readonly #log: Log;
  /** Made on the spot, so that no file says it. */
  readonly #given: KeyPair | undefined;
  readonly #paths: readonly string[];
  #stamp: string;
  #material: SecureContextOptions;

  /** Throws `server.config` when a file is of no use. */
  constructor(info: TlsInfo, log: Log, given?: KeyPair) {
    this.#info = info;
    this.#log = log;
    this.#given = given;
    const pair = given ? [] : [info.certFile, info.keyFile];
    this.#paths = [...pair, ...(info.trustedCaFile === '' ? [] : [info.trustedCaFile])];
    this.#stamp = this.#stampNow();
    this.#material = loadMaterial(info, given);
  }

  #stampNow(): string {
    return this.#paths.map(stampOf).join(' ');
  }

  /** For `tls.createSecureContext` at the next handshake; the same object until something has changed. */
  current(): SecureContextOptions {
    const stamp = this.#stampNow();
    if (stamp === this.#stamp) return this.#material;
    this.#stamp = stamp;
    const { certFile, keyFile, trustedCaFile } = this.#info;
    const fields = { 'cert-file': certFile, 'key-file': keyFile, 'trusted-ca-file': trustedCaFile };
    try {
      this.#material = loadMaterial(this.#info, this.#given);
      this.#log.info(fields, 'reloaded server certificate');
    } catch (error) {
      this.#log.warn({ ...fields, error }, 'failed to reload server certificate; the last one is kept');
    }
    return this.#material;
  }
}
