/**
 * `--auto-tls`: a certificate of the server's own, made once and kept below its data directory, where etcd keeps it too
 * and finds it again (client/pkg/transport `SelfCert`).
 */
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import { dirname, join } from 'node:path';
import type { Disk } from '../../bytes/disk.ts';
import { entryAt } from '../../bytes/directory.ts';
import { StagedFile } from '../../bytes/replace.ts';
import { addressOf } from '../../format/urls.ts';
import type { Log } from '../log.ts';
import type { KeyPair } from './certificates.ts';

const YEAR_MS = 365 * 24 * 3600 * 1000;
const DIRECTORY_MODE = 0o700;
const CERT_MODE = 0o644;
const KEY_MODE = 0o600;
const SIGNING = { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' };

export interface SelfSignedOptions {
  /** URLs that are listened on: the certificate is for their hosts. */
  urls: readonly string[];
  validityYears: number;
  nowMs?: number;
}

/** Makes a certificate that signs itself. */
export async function makeSelfSigned({
  urls,
  validityYears,
  nowMs = Date.now(),
}: SelfSignedOptions): Promise<KeyPair> {
  // Large, and needed once in a server's life; the first is what the second stands on.
  await import('reflect-metadata');
  // By its default, which is there in the bundle too.
  const { default: x509 } = await import('@peculiar/x509');
  const keys = await webcrypto.subtle.generateKey(SIGNING, true, ['sign', 'verify']);
  const { digitalSignature, keyEncipherment, cRLSign } = x509.KeyUsageFlags;
  const names = hostsOf(urls).map((host): { type: 'ip' | 'dns'; value: string } => ({
    type: isIP(host) > 0 ? 'ip' : 'dns',
    value: host,
  }));
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: 'O=etcd',
    notBefore: new Date(nowMs),
    notAfter: new Date(nowMs + validityYears * YEAR_MS),
    signingAlgorithm: SIGNING,
    keys,
    extensions: [
      new x509.KeyUsagesExtension(digitalSignature | keyEncipherment | cRLSign, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.BasicConstraintsExtension(true, undefined, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
    ],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  return {
    cert: `${certificate.toString('pem')}\n`,
    key: key.export({ type: 'sec1', format: 'pem' }).toString(),
  };
}

/** 128 random bits, as a positive number. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x01;
  return bytes.toString('hex');
}

function hostsOf(urls: readonly string[]): string[] {
  const hosts = urls.map(addressOf).map((address) => (address.kind === 'tcp' ? address.host : ''));
  return [...new Set(hosts.filter((host) => host !== ''))];
}

/** Paths of the pair that a directory keeps, made first where one of the two is not there. */
export async function keptSelfSigned(
  dataDir: string,
  options: SelfSignedOptions,
  { disk, log }: { disk: Disk; log: Log },
): Promise<{ certFile: string; keyFile: string }> {
  const folder = join(dataDir, 'fixtures', 'client');
  const certFile = join(folder, 'cert.pem');
  const keyFile = join(folder, 'key.pem');
  if (entryAt(certFile) && entryAt(keyFile)) return { certFile, keyFile };
  makeDirectories(disk, folder);
  const { cert, key } = await makeSelfSigned(options);
  log.warn({ 'validity-years': options.validityYears }, 'automatically generate certificates');
  // The key first: a certificate without its key would be made again, and a key alone is.
  writeWhole(disk, { path: keyFile, text: key, mode: KEY_MODE });
  log.info({ path: keyFile }, 'created key file');
  writeWhole(disk, { path: certFile, text: cert, mode: CERT_MODE });
  log.info({ path: certFile }, 'created cert file');
  return { certFile, keyFile };
}

function writeWhole(disk: Disk, { path, text, mode }: { path: string; text: string; mode: number }): void {
  const file = new StagedFile(disk, path, { mode });
  try {
    file.write(Buffer.from(text), 0);
    file.commit();
  } catch (error) {
    file.discard();
    throw error;
  }
}

function makeDirectories(disk: Disk, path: string): void {
  if (entryAt(path)) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectories(disk, parent);
  disk.makeDirectory(path, DIRECTORY_MODE);
  disk.syncDirectory(parent);
}
