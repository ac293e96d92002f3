/**
 * `--client-crl-file`: serial numbers of certificates that are no longer good. As for etcd (client/pkg/transport
 * `checkCRL`), the file is DER, a number counts whoever the list and the certificate are from, and neither the list's
 * signature nor its dates are looked at. A list that cannot be read lets nobody in who shows a certificate.
 *
 * Read by hand: @peculiar/x509 refuses a list of some thousand entries.
 */
import { CorruptError } from '../../errors.ts';
import type { Log } from '../log.ts';
import { readElement, readTagged, TAG } from './der.ts';
import { readConfigured, stampOf } from './file-stamp.ts';

/** Serial numbers as {@link serialOf} writes them. Throws `server.tls` for what Go would not take. */
export function readRevokedSerials(der: Uint8Array): Set<string> {
  const list = readTagged(der, 0, der.length, TAG.sequence);
  if (list.end !== der.length) throw new CorruptError('server.tls', 'bytes behind the revocation list');
  const { end, start } = readTagged(der, list.start, list.end, TAG.sequence);
  const version = readElement(der, start, end);
  if (version.tag !== TAG.integer || version.end - version.start !== 1 || der[version.start] !== 1)
    throw new CorruptError('server.tls', 'unsupported version of a revocation list');
  const algorithm = readTagged(der, version.end, end, TAG.sequence);
  const issuer = readTagged(der, algorithm.end, end, TAG.sequence);
  let { end: at } = readElement(der, issuer.end, end);
  const isTime = (tag: number | undefined): boolean => tag === TAG.utcTime || tag === TAG.generalizedTime;
  if (at < end && isTime(der[at])) at = readElement(der, at, end).end;
  const serials = new Set<string>();
  if (at === end || der[at] !== TAG.sequence) return serials;
  const entries = readElement(der, at, end);
  for (let next = entries.start; next < entries.end;) {
    const entry = readTagged(der, next, entries.end, TAG.sequence);
    const serial = readTagged(der, entry.start, entry.end, TAG.integer);
    serials.add(serialOf(Buffer.from(der.subarray(serial.start, serial.end)).toString('hex')));
    next = entry.end;
  }
  return serials;
}

/** Hexadecimal digits in the one way that can be compared. */
export function serialOf(hex: string): string {
  return hex.toLowerCase().replace(/^0+/, '');
}

/** A list in a file, read again when the file has changed. */
export class Revocations {
  readonly #path: string;
  readonly #log: Log;
  #stamp: string | undefined;
  #serials: ReadonlySet<string> | undefined;
  #problem = '';

  constructor(path: string, log: Log) {
    this.#path = path;
    this.#log = log;
    // So that a list of no use is in the log before the first client is turned away.
    this.#refresh();
  }

  /** What is wrong with a client that shows certificates of these numbers; undefined when nothing is. */
  refusalOf(serials: readonly string[]): string | undefined {
    this.#refresh();
    if (this.#serials === undefined) return this.#problem;
    const found = serials.map(serialOf).find((serial) => this.#serials!.has(serial));
    return found === undefined ? undefined : `transport: certificate serial ${found} revoked`;
  }

  #refresh(): void {
    const stamp = stampOf(this.#path);
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    try {
      const content = readConfigured(this.#path);
      if (content.subarray(0, 64).toString('latin1').trimStart().startsWith('-----BEGIN'))
        throw new CorruptError('server.tls', 'the revocation list is PEM, and DER is what etcd takes', {
          hint: 'openssl crl -outform der',
        });
      this.#serials = readRevokedSerials(content);
      this.#log.info({ path: this.#path, revoked: this.#serials.size }, 'loaded certificate revocation list');
    } catch (error) {
      this.#serials = undefined;
      this.#problem = (error as Error).message;
      this.#log.warn(
        { path: this.#path, error },
        'failed to load certificate revocation list; client certificates are refused',
      );
    }
  }
}
