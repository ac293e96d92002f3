/** TLS towards clients from its settings: what every listener that speaks it shares. */
import type { Disk } from '../../bytes/disk.ts';
import type { HandshakeStats } from '../../rpc/secure.ts';
import type { Log } from '../log.ts';
import { Certificates, type KeyPair, readKeyPair } from './certificates.ts';
import { missingCipherSuites } from './cipher-suites.ts';
import { Revocations } from './revocation.ts';
import { keptSelfSigned, makeSelfSigned } from './self-signed.ts';
import { hasSecureUrl, isClientCertRequired, isSelfSigned, type TlsInfo, type TlsUrls } from './tls-info.ts';
import { TlsLayer } from './tls-layer.ts';

export interface ClientTlsOptions extends TlsUrls {
  info: TlsInfo;
  /** Where a certificate that is made is kept; for this run alone without it. */
  dataDir: string | undefined;
  stats: HandshakeStats;
  /** Ten seconds without it. */
  handshakeTimeoutMs?: number;
  disk: Disk;
  log: Log;
}

/** TLS for client URLs, and for metrics URLs, where etcd asks more of a client. */
export interface ClientTls {
  clients: TlsLayer;
  metrics: TlsLayer;
}

/** Undefined when no URL asks for TLS. Throws `server.config` when a file is of no use. */
export async function openClientTls(options: ClientTlsOptions): Promise<ClientTls | undefined> {
  const { log, stats } = options;
  const { info, pair } = await withCertificate(options);
  if (!hasSecureUrl(options)) return undefined;
  const missing = missingCipherSuites(info.cipherSuites);
  if (missing.length > 0)
    log.warn({ 'cipher-suites': missing }, 'cipher suites that this host does not have are not offered');
  const certificates = new Certificates(info, log, pair);
  if (info.ownCertFile !== '' && !isSelfSigned(options.info)) readKeyPair(info.ownCertFile, info.ownKeyFile);
  const revocations =
    info.crlFile !== '' && isClientCertRequired(info) ? new Revocations(info.crlFile, log) : undefined;
  const { handshakeTimeoutMs: timeoutMs } = options;
  const timeout = timeoutMs === undefined ? {} : { timeoutMs };
  const shared = { info, certificates, revocations, stats, log, ...timeout };
  log.info(
    {
      cert: info.certFile,
      key: info.keyFile,
      'trusted-ca': info.trustedCaFile,
      'client-cert-auth': info.isClientCertAuth,
      'crl-file': info.crlFile,
      'cipher-suites': info.cipherSuites,
    },
    'starting with client TLS',
  );
  return { clients: new TlsLayer(shared), metrics: new TlsLayer({ ...shared, isAddressChecked: true }) };
}

async function withCertificate(options: ClientTlsOptions): Promise<{ info: TlsInfo; pair?: KeyPair }> {
  const { info, dataDir, listenClientUrls, listenClientHttpUrls, disk, log } = options;
  if (!isSelfSigned(info)) return { info };
  const made = {
    urls: [...listenClientUrls, ...listenClientHttpUrls],
    validityYears: info.validityYears,
  };
  if (dataDir === undefined) return { info, pair: await makeSelfSigned(made) };
  return { info: { ...info, ...(await keptSelfSigned(dataDir, made, { disk, log })) } };
}
