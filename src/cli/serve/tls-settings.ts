/** TLS from settings, and what etcd has to say of it in its log. */
import { addressOf } from '../../format/urls.ts';
import type { ServerConfig } from '../../server/config.ts';
import { hasNoPair, NO_TLS, type TlsInfo } from '../../server/tls/tls-info.ts';
import type { Note, Settings } from './settings.ts';

export function tlsOf(settings: Settings): TlsInfo {
  const years = settings.integer('self-signed-cert-validity');
  return {
    certFile: settings.text('cert-file') ?? '',
    keyFile: settings.text('key-file') ?? '',
    trustedCaFile: settings.text('trusted-ca-file') ?? '',
    ownCertFile: settings.text('client-cert-file') ?? '',
    ownKeyFile: settings.text('client-key-file') ?? '',
    isClientCertAuth: settings.boolean('client-cert-auth'),
    allowedHostnames: settings.list('client-cert-allowed-hostname'),
    crlFile: settings.text('client-crl-file') ?? '',
    isAuto: settings.boolean('auto-tls'),
    // In a configuration file, zero stands for the default.
    validityYears: settings.isFromFile ? years || NO_TLS.validityYears : years,
    cipherSuites: settings.list('cipher-suites'),
    minVersion: settings.text('tls-min-version')!,
    maxVersion: settings.text('tls-max-version') ?? '',
  };
}

/** etcd v3.6 server/embed/etcd.go `configureClientListeners`: what is given and not used. */
export function tlsNotes({ clientTls, listenClientUrls, listenClientHttpUrls }: ServerConfig): Note[] {
  const notes: Note[] = [];
  const warn = (message: string, fields: Record<string, unknown> = {}): void => {
    notes.push({ level: 'warn', fields, message });
  };
  const hasPair = !hasNoPair(clientTls);
  if (clientTls.isAuto && hasPair) warn('ignoring client auto TLS since certs given');
  for (const url of [...listenClientUrls, ...listenClientHttpUrls]) {
    if (addressOf(url).isSecure) continue;
    const fields = { 'client-url': url };
    if (hasPair || clientTls.isAuto) {
      warn(
        'scheme is http or unix while key and cert files are present; ignoring key and cert files',
        fields,
      );
    }
    if (clientTls.isClientCertAuth) {
      warn(
        'scheme is http or unix while --client-cert-auth is enabled; ignoring client cert auth for this URL',
        fields,
      );
    }
  }
  return notes;
}
