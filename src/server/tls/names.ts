/** Names in a certificate, and which host they stand for, as Go sees it (crypto/x509 `VerifyHostname`). */
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

/** DNS names in a certificate, in its order. */
export function dnsNamesOf({ subjectAltName = '' }: X509Certificate): string[] {
  return [...subjectAltName.matchAll(/(?:^|, )DNS:("(?:[^"\\]|\\.)*"|[^,]*)/g)].map((match) => match[1]!);
}

/** Whether it holds any address. */
export function hasAddresses({ subjectAltName = '' }: X509Certificate): boolean {
  return /(?:^|, )IP Address:/.test(subjectAltName);
}

/** Whether a certificate is for a host, an address or a name; the common name does not count. */
export function isForHost(certificate: X509Certificate, host: string): boolean {
  const address = host.replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) > 0) return certificate.checkIP(address) !== undefined;
  const labels = host.toLowerCase().replace(/\.$/, '').split('.');
  if (labels.includes('')) return false;
  return dnsNamesOf(certificate).some((name) => {
    const pattern = name.toLowerCase().split('.');
    if (pattern.length !== labels.length) return false;
    return pattern.every(
      (label, i) => label === labels[i] || (i === 0 && label === '*' && pattern.length > 1),
    );
  });
}
