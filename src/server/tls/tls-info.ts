/**
 * What etcd's flags say about TLS towards clients, as values, and what of it cannot be. Checks and texts are those of
 * etcd v3.6 server/embed (config.go `Validate`, etcd.go `configureClientListeners`) and client/pkg/transport.
 */
import { UsageError } from '../../errors.ts';
import { addressOf } from '../../format/urls.ts';
import { checkCipherSuites, checkHttp2CipherSuites } from './cipher-suites.ts';

/** Texts are empty, and lists too, where nothing was given. */
export interface TlsInfo {
  /** PEM: the server's certificate, before those that lead to its authority; and its key. */
  certFile: string;
  keyFile: string;
  /** PEM: the authorities of clients. With it, or with the next, every client must show a certificate. */
  trustedCaFile: string;
  /** PEM: etcd shows them to itself. Nobody is shown them here, but they must be a pair. */
  ownCertFile: string;
  ownKeyFile: string;
  /** Also makes the common name in it the client's user. */
  isClientCertAuth: boolean;
  /** Names of which a client's certificate must hold one. */
  allowedHostnames: readonly string[];
  /** DER: serial numbers of certificates that are no longer good. */
  crlFile: string;
  /** Without files, a certificate is made. */
  isAuto: boolean;
  /** How long such a certificate holds. */
  validityYears: number;
  /** By Go's names; those of TLS 1.2 that are offered. */
  cipherSuites: readonly string[];
  /** `TLS1.2`, `TLS1.3`, or nothing for etcd's defaults. */
  minVersion: string;
  maxVersion: string;
}

/** Those of a server's URLs that TLS may be spoken on. */
export interface TlsUrls {
  listenClientUrls: readonly string[];
  listenClientHttpUrls: readonly string[];
  listenMetricsUrls: readonly string[];
}

/** What a server does that is told nothing. */
export const NO_TLS: TlsInfo = {
  certFile: '',
  keyFile: '',
  trustedCaFile: '',
  ownCertFile: '',
  ownKeyFile: '',
  isClientCertAuth: false,
  allowedHostnames: [],
  crlFile: '',
  isAuto: false,
  validityYears: 1,
  cipherSuites: [],
  minVersion: 'TLS1.2',
  maxVersion: '',
};

/** Whether neither certificate nor key was given. */
export function hasNoPair({ certFile, keyFile }: TlsInfo): boolean {
  return certFile === '' && keyFile === '';
}

/** Whether a certificate is to be made: given ones are preferred. */
export function isSelfSigned(info: TlsInfo): boolean {
  return info.isAuto && hasNoPair(info);
}

/** Whether clients have to show a certificate. */
export function isClientCertRequired({ trustedCaFile, isClientCertAuth }: TlsInfo): boolean {
  return trustedCaFile !== '' || isClientCertAuth;
}

/** Whether any of the URLs is one of TLS. */
export function hasSecureUrl({
  listenClientUrls,
  listenClientHttpUrls,
  listenMetricsUrls,
}: TlsUrls): boolean {
  return [...listenClientUrls, ...listenClientHttpUrls, ...listenMetricsUrls].some(isSecureUrl);
}

function isSecureUrl(url: string): boolean {
  return addressOf(url).isSecure;
}

const wrong = (message: string): UsageError => new UsageError('server.config', message);

const VERSIONS: readonly string[] = ['', 'TLS1.2', 'TLS1.3'];

/** Throws `server.config` for settings that contradict each other, or the URLs. */
export function checkTlsInfo(info: TlsInfo, urls: TlsUrls): void {
  checkVersions(info);
  checkCipherSuites(info.cipherSuites);
  if (isSelfSigned(info)) checkSelfSigned(info);
  checkPresence(info, urls);
  if (!hasSecureUrl(urls)) return;
  const { certFile, keyFile } = info;
  if (!isSelfSigned(info) && (certFile === '' || keyFile === ''))
    throw wrong(`KeyFile and CertFile must both be present[key: ${keyFile}, cert: ${certFile}]`);
  checkOwnPair(info);
  const { listenClientUrls, listenClientHttpUrls } = urls;
  // HTTP/2 beside HTTP/1.1 asks for a suite of its own; gRPC alone does not.
  const withHttp = listenClientHttpUrls.length > 0 ? listenClientHttpUrls : listenClientUrls;
  if (withHttp.some(isSecureUrl)) checkHttp2CipherSuites(info.cipherSuites);
}

function checkVersions({ minVersion, maxVersion, cipherSuites }: TlsInfo): void {
  for (const version of [minVersion, maxVersion]) {
    if (VERSIONS.includes(version)) continue;
    throw wrong(`unexpected TLS version ${JSON.stringify(version)} (must be one of: TLS1.2, TLS1.3)`);
  }
  if (maxVersion !== '' && minVersion > maxVersion)
    throw wrong(`min version (${minVersion}) is greater than max version (${maxVersion})`);
  if (minVersion === 'TLS1.3' && cipherSuites.length > 0)
    throw wrong('cipher suites cannot be configured when only TLS1.3 is enabled');
}

function checkSelfSigned(info: TlsInfo): void {
  const { trustedCaFile, isClientCertAuth, crlFile, allowedHostnames, validityYears } = info;
  if (validityYears === 0) throw wrong('selfSignedCertValidity is invalid,it should be greater than 0');
  // Differs from etcd, which forgets all this beside a certificate of its own, and lets every client in.
  if (trustedCaFile === '' && !isClientCertAuth && crlFile === '' && allowedHostnames.length === 0) return;
  throw new UsageError(
    'server.config',
    'a certificate made by --auto-tls goes without --trusted-ca-file, --client-cert-auth, --client-crl-file and --client-cert-allowed-hostname: etcd ignores them then, and asks no client for a certificate',
    { hint: 'give --cert-file and --key-file' },
  );
}

/** Beside a certificate that is made, etcd forgets them. */
function checkOwnPair(info: TlsInfo): void {
  const { ownCertFile, ownKeyFile } = info;
  if (isSelfSigned(info) || (ownCertFile === '') === (ownKeyFile === '')) return;
  throw wrong(
    `ClientKeyFile and ClientCertFile must both be present or both absent: key: ${ownKeyFile}, cert: ${ownCertFile}]`,
  );
}

/** TLS where it is asked for needs a certificate. */
function checkPresence(info: TlsInfo, urls: TlsUrls): void {
  if (!hasNoPair(info) || isSelfSigned(info)) return;
  const secure = [...urls.listenClientUrls, ...urls.listenClientHttpUrls].find(isSecureUrl);
  if (secure !== undefined)
    throw wrong(
      `TLS key/cert (--cert-file, --key-file) must be provided for client url ${secure} with HTTPS scheme`,
    );
  if (urls.listenMetricsUrls.some(isSecureUrl))
    throw wrong('client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url');
}
