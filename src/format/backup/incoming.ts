/**
 * A backup that comes in pieces of any size, as a server sends it: a database and then its SHA-256. Where the database
 * ends shows only at the end, so the last bytes so far are always held back from the digest.
 */
import { createHash } from 'node:crypto';
import { CorruptError } from '../../errors.ts';
import { hasTrailer, TRAILER_SIZE } from './trailer.ts';

export class IncomingBackup {
  readonly #hash = createHash('sha256');
  #tail: Uint8Array = new Uint8Array();
  /** Bytes so far, the digest among them. */
  size = 0;

  add(piece: Uint8Array): void {
    this.size += piece.length;
    if (piece.length >= TRAILER_SIZE) {
      this.#hash.update(this.#tail);
      this.#hash.update(piece.subarray(0, piece.length - TRAILER_SIZE));
      this.#tail = Uint8Array.from(piece.subarray(-TRAILER_SIZE));
      return;
    }
    const held = Buffer.concat([this.#tail, piece]);
    const end = Math.max(0, held.length - TRAILER_SIZE);
    this.#hash.update(held.subarray(0, end));
    this.#tail = held.subarray(end);
  }

  /** Ends it; gives the digest. Throws `backup.digest-missing` or `backup.digest`; `from` says whose backup it is. */
  finish(from: string): Uint8Array {
    if (!hasTrailer(this.size)) {
      const text = `${from} sent ${this.size} bytes, which do not end with a SHA-256 digest`;
      throw new CorruptError('backup.digest-missing', text, {
        upstream: `sha256 checksum not found [bytes: ${this.size}]`,
      });
    }
    const computed = this.#hash.digest();
    if (Buffer.compare(this.#tail, computed) === 0) return computed;
    const [sent, found] = [Buffer.from(this.#tail).toString('hex'), computed.toString('hex')];
    const text = `${from} sent SHA-256 ${sent}, but its database hashes to ${found}`;
    throw new CorruptError('backup.digest', text);
  }
}
