/**
 * What may stand between a port and what its connections speak: TLS, as the port sees it. Who sets it up, and judges
 * certificates, is not known here.
 */
import type { Socket } from 'node:net';

/** Takes a connection once its client has been let in, by the common name of its certificate if it showed one. */
export type Deliver = (socket: Socket, commonName?: string) => void;

/** Speaks first on every connection of a port. It ends those that it does not let in. */
export interface SecureLayer {
  open(raw: Socket, deliver: Deliver): void;
}

/**
 * Why a client was not let in: by its handshake, the time that took, or its certificate. `record`: it was, and then sent
 * what is no TLS.
 */
export const HANDSHAKE_REFUSALS = [
  'handshake',
  'timeout',
  'certificate',
  'hostname',
  'revoked',
  'address',
  'record',
] as const;

export type HandshakeRefusal = (typeof HANDSHAKE_REFUSALS)[number];

/** Handshakes that ended well, and those that did not. */
export class HandshakeStats {
  completed = 0;
  readonly refused: Record<HandshakeRefusal, number> = {
    handshake: 0,
    timeout: 0,
    certificate: 0,
    hostname: 0,
    revoked: 0,
    address: 0,
    record: 0,
  };
}
