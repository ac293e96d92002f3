/**
 * TLS on the connections of a port: the handshake, in bounded time, and then what etcd asks of a client's certificate
 * beyond its chain (client/pkg/transport listener.go and listener_tls.go). Nothing that a client sends is passed on
 * before all of it is settled. Every connection that is not let in is counted once, by the reason.
 */
import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import {
  createSecureContext,
  createServer,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
} from 'node:tls';
import { DEFAULT_LIMITS } from '../../rpc/limits.ts';
import type { Deliver, HandshakeRefusal, HandshakeStats, SecureLayer } from '../../rpc/secure.ts';
import type { Log } from '../log.ts';
import type { Certificates } from './certificates.ts';
import { addressRefusal } from './client-address.ts';
import { isForHost } from './names.ts';
import type { Revocations } from './revocation.ts';
import { isClientCertRequired, type TlsInfo } from './tls-info.ts';

/** HTTP/2 first; etcd offers no other, and Go takes clients that offer HTTP/1.1 alone as if they had offered nothing. */
const PROTOCOLS = ['h2', 'http/1.1'];
/** Refusals are logged at most so often; those between are only counted. */
const LOG_INTERVAL_MS = 1000;
const CHAIN_LENGTH_MAX = 16;
const REJECTED = 'rejected connection on client endpoint';

export interface TlsLayerOptions {
  info: TlsInfo;
  certificates: Certificates;
  revocations: Revocations | undefined;
  stats: HandshakeStats;
  log: Log;
  /** Whether clients must call from an address that their certificate names. */
  isAddressChecked?: boolean;
  /** How long a handshake may take. */
  timeoutMs?: number;
}

interface Refusal {
  reason: HandshakeRefusal;
  text: string;
  /** The client only went away, as probes of a port do. */
  isGone?: boolean;
}

export class TlsLayer implements SecureLayer {
  readonly #options: TlsLayerOptions;
  /** Never listens: connections are handed to it. */
  readonly #server: Server;
  #material: SecureContextOptions | undefined;
  /** By the socket below. */
  readonly #waiting = new WeakMap<object, { deliver: Deliver; address: string }>();
  #loggedMs = Number.NEGATIVE_INFINITY;
  #unlogged = 0;

  constructor(options: TlsLayerOptions) {
    this.#options = options;
    this.#server = createServer({
      requestCert: isClientCertRequired(options.info),
      rejectUnauthorized: true,
      ALPNProtocols: PROTOCOLS,
      handshakeTimeout: options.timeoutMs ?? DEFAULT_LIMITS.handshakeTimeoutMs,
    });
    this.#server.on('secureConnection', (socket) => void this.#admit(socket));
    this.#server.on('tlsClientError', (error, socket) => this.#refuse(socket, failureOf(error, socket)));
  }

  open(raw: Socket, deliver: Deliver): void {
    this.#refresh();
    this.#waiting.set(raw, { deliver, address: raw.remoteAddress ?? '' });
    this.#server.emit('connection', raw);
  }

  /** New handshakes have what the files say now. */
  #refresh(): void {
    const material = this.#options.certificates.current();
    if (material === this.#material) return;
    this.#material = material;
    this.#server.setSecureContext(material);
    // `setSecureContext` passes over `allowPartialTrustChain`; without this name, Node would go on without it.
    Object.assign(this.#server, { _sharedCreds: createSecureContext(material) });
  }

  async #admit(socket: TLSSocket): Promise<void> {
    // Node leaves a socket under TLS open after an error.
    socket.on('error', (error: Error & { code?: string }) => {
      if (error.code?.startsWith('ERR_SSL_')) this.#refuse(socket, { reason: 'record', text: error.message });
      else socket.destroy();
    });
    const { stats, info } = this.#options;
    const certificate = isClientCertRequired(info) ? socket.getPeerX509Certificate() : undefined;
    const refusal = certificate && (await this.#judgeSafely(certificate, socket));
    if (socket.destroyed) return;
    const deliver = this.#waitingFor(socket)?.deliver;
    if (refusal || !deliver) {
      this.#refuse(
        socket,
        refusal ?? { reason: 'handshake', text: 'it is not known where the connection came' },
      );
      return;
    }
    stats.completed++;
    const isUser = info.isClientCertAuth && socket.authorized;
    deliver(socket, isUser ? commonNameOf(socket) : undefined);
  }

  /** Who waits for the connection below. */
  #waitingFor(socket: TLSSocket): { deliver: Deliver; address: string } | undefined {
    // Node tells of both sockets, but not which belongs to which.
    const { _parent: raw } = socket as { _parent?: object };
    return raw && this.#waiting.get(raw);
  }

  /** Who cannot be judged is not let in. */
  async #judgeSafely(certificate: X509Certificate, socket: TLSSocket): Promise<Refusal | undefined> {
    try {
      return await this.#judge(certificate, socket);
    } catch (error) {
      return { reason: 'certificate', text: (error as Error).message };
    }
  }

  /** What is wrong with a certificate whose chain is good. */
  async #judge(certificate: X509Certificate, socket: TLSSocket): Promise<Refusal | undefined> {
    const { info, revocations, isAddressChecked } = this.#options;
    const { allowedHostnames } = info;
    if (allowedHostnames.length > 0 && !allowedHostnames.some((name) => isForHost(certificate, name)))
      return { reason: 'hostname', text: 'client certificate authentication failed' };
    if (isAddressChecked) {
      const text = await addressRefusal(certificate, socket.remoteAddress ?? '');
      if (text !== undefined) return { reason: 'address', text };
    }
    if (!revocations) return undefined;
    const shown = shownBy(certificate);
    if (!shown) return { reason: 'certificate', text: 'too many certificates' };
    const text = revocations.refusalOf(shown.map(({ serialNumber }) => serialNumber));
    return text === undefined ? undefined : { reason: 'revoked', text };
  }

  #refuse(socket: TLSSocket, { reason, text, isGone = false }: Refusal): void {
    const { stats, log } = this.#options;
    stats.refused[reason]++;
    // A socket that has ended says no more where it came from.
    const address = socket.remoteAddress ?? this.#waitingFor(socket)?.address ?? '';
    socket.destroy();
    if (isGone) {
      log.debug({ 'remote-addr': address, error: text }, REJECTED);
      return;
    }
    const now = performance.now();
    if (now - this.#loggedMs < LOG_INTERVAL_MS) {
      this.#unlogged++;
      return;
    }
    this.#loggedMs = now;
    const fields = { 'remote-addr': address, reason, error: text, unlogged: this.#unlogged };
    this.#unlogged = 0;
    log.warn(fields, REJECTED);
  }
}

function failureOf(error: Error & { code?: string; reason?: string }, socket: TLSSocket): Refusal {
  // Node's types say it is an error; it is the code of one.
  const problem: unknown = socket.authorizationError;
  if (problem)
    return { reason: 'certificate', text: `tls: ${typeof problem === 'string' ? problem : 'refused'}` };
  if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return { reason: 'timeout', text: error.message };
  const isAbsent = error.code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE';
  return {
    reason: isAbsent ? 'certificate' : 'handshake',
    text: error.reason ?? error.message,
    isGone: error.code === 'ECONNRESET',
  };
}

/**
 * The certificate and what the client showed besides, save authorities that sign themselves; undefined for more than
 * can be meant well. Node gives them as they came, whatever issued what, so that none ends the walk.
 */
function shownBy(leaf: X509Certificate): X509Certificate[] | undefined {
  const shown = [leaf];
  let { issuerCertificate: next } = leaf;
  for (let count = 0; next; count++) {
    if (count === CHAIN_LENGTH_MAX) return undefined;
    if (!next.checkIssued(next)) shown.push(next);
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
  }
  return shown;
}

/**
 * The common name in the certificate that a client has shown, the last one as in Go; empty where there is none, which
 * for etcd is a user's name too, though nobody's. Who signed it was checked.
 */
function commonNameOf(socket: TLSSocket): string {
  const name: unknown = socket.getPeerCertificate().subject?.CN;
  const last: unknown = Array.isArray(name) ? name.at(-1) : name;
  return typeof last === 'string' ? last : '';
}
