/**
 * One port for HTTP/2 and HTTP/1.1, as etcd has it: the first bytes of a connection tell which it is. A connection
 * that does not say in time is closed.
 */
import type { Server as HttpServer } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { RefusedError } from '../errors.ts';
import type { SecureLayer } from './secure.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
/** What every connection under TLS begins with. */
const TLS_RECORD = 0x16;

/** Where to listen: an address, or the path of a Unix socket. */
export type Listen = ({ host: string; port: number } | { path: string }) & {
  /** Under TLS; in the clear without it. */
  secure?: SecureLayer | undefined;
  /** Both: the first byte tells which. */
  isMixed?: boolean;
};

interface PortHandlers {
  /** `commonName` of the client's certificate, if it showed one that makes it a user. */
  http2(socket: Socket, commonName?: string): void;
  http1: HttpServer;
  /** Whether one more connection is too many. */
  isFull(): boolean;
  refused(): void;
  handshakeTimeoutMs: number;
}

export class Port {
  readonly #server: Server;
  readonly #handlers: PortHandlers;
  /** Connections that have not said what they speak, by when they came. */
  readonly #silent = new Map<Socket, number>();
  #secure: SecureLayer | undefined;
  #isMixed = false;

  constructor(handlers: PortHandlers) {
    this.#handlers = handlers;
    this.#server = createServer({ noDelay: true }, (socket) => this.accept(socket));
  }

  /** The port it listens on; 0 for a Unix socket. */
  async listen({ secure, isMixed = false, ...listen }: Listen): Promise<number> {
    this.#secure = secure;
    this.#isMixed = isMixed;
    await new Promise<void>((resolve, reject) => {
      const fail = (cause: Error): void => {
        const what = 'path' in listen ? listen.path : `${listen.host}:${listen.port}`;
        reject(new RefusedError('server.listen', `cannot listen on ${what}: ${cause.message}`, { cause }));
      };
      this.#server.once('error', fail);
      this.#server.listen(listen, () => {
        this.#server.off('error', fail);
        resolve();
      });
    });
    const address = this.#server.address();
    return typeof address === 'object' && address ? address.port : 0;
  }

  /** Takes a connection that came here, or elsewhere. */
  accept(socket: Socket): void {
    if (this.#handlers.isFull()) {
      this.#handlers.refused();
      socket.destroy();
      return;
    }
    // Under TLS, Node leaves it open.
    socket.on('error', () => socket.destroy());
    this.#silent.set(socket, performance.now());
    socket.on('close', () => this.#silent.delete(socket));
    if (!this.#secure) this.#sniff(socket, socket);
    else if (this.#isMixed) this.#sniffRecord(socket, this.#secure);
    else this.#openSecure(socket, this.#secure);
  }

  /** Its handshake is part of the time it has. */
  #openSecure(raw: Socket, secure: SecureLayer): void {
    secure.open(raw, (socket, commonName) => this.#sniff(raw, socket, commonName));
  }

  #sniffRecord(raw: Socket, secure: SecureLayer): void {
    raw.once('readable', () => {
      const bytes = raw.read() as Buffer | null;
      if (!bytes) return;
      raw.unshift(bytes);
      if (bytes[0] === TLS_RECORD) this.#openSecure(raw, secure);
      else this.#sniff(raw, raw);
    });
  }

  /** What is spoken on a connection, or under TLS on what was made of it. */
  #sniff(raw: Socket, socket: Socket, commonName?: string): void {
    // At most a preface: whatever is longer, or differs, decides.
    let bytes: Buffer = Buffer.alloc(0);
    const sniff = (): void => {
      const more = socket.read() as Buffer | null;
      if (!more) return;
      bytes = Buffer.concat([bytes, more]);
      const isPreface = PREFACE.subarray(0, bytes.length).equals(bytes.subarray(0, PREFACE.length));
      if (isPreface && bytes.length < PREFACE.length) return;
      socket.off('readable', sniff);
      if (bytes[0] === TLS_RECORD) {
        this.#handlers.refused();
        socket.destroy();
        return;
      }
      socket.unshift(bytes);
      this.#silent.delete(raw);
      if (isPreface) this.#handlers.http2(socket, commonName);
      else this.#handlers.http1.emit('connection', socket);
    };
    socket.on('readable', sniff);
  }

  /** Closes connections that said nothing for too long. */
  watch(nowMs: number): void {
    for (const [socket, sinceMs] of this.#silent) {
      if (nowMs - sinceMs <= this.#handlers.handshakeTimeoutMs) return;
      this.#handlers.refused();
      socket.destroy();
    }
  }

  /** Whether what it accepts is to speak TLS. */
  get isSecure(): boolean {
    return this.#secure !== undefined;
  }

  get silentCount(): number {
    return this.#silent.size;
  }

  /** Takes no more connections, and drops those that have said nothing. */
  close(): void {
    this.#server.close();
    for (const socket of this.#silent.keys()) socket.destroy();
  }
}
