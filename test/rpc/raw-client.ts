/** HTTP/2 by hand, for clients that do not behave: frames go out as they are given, and what comes back is kept. */
import { connect, type Socket } from 'node:net';

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const FLAG = { endStream: 1, ack: 1, endHeaders: 4 } as const;

export interface Frame {
  type: number;
  flags: number;
  stream: number;
  payload: Buffer;
}

export function encodeFrame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header block of literals: no table, no Huffman code. */
export function encodeHeaders(fields: Readonly<Record<string, string>>): Buffer {
  const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  const parts = Object.entries(fields).flatMap(([name, value]) => [
    Buffer.from([0]),
    text(name),
    text(value),
  ]);
  return Buffer.concat(parts);
}

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** The headers of a call, as one frame. */
export function callFrame(stream: number, path: string, flags: number = FLAG.endHeaders): Buffer {
  const block = encodeHeaders({
    ':method': 'POST',
    ':scheme': 'http',
    ':path': path,
    ':authority': 'localhost',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  return encodeFrame(FRAME.headers, flags, stream, block);
}

export const resetFrame = (stream: number): Buffer =>
  encodeFrame(FRAME.resetStream, 0, stream, Buffer.from([0, 0, 0, 8]));

export class RawClient {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  isClosed = false;
  #unread: Buffer = Buffer.alloc(0);

  constructor(port: number, socket = connect(port, '127.0.0.1')) {
    this.socket = socket;
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.isClosed = true;
    });
    this.socket.on('data', (chunk: Buffer) => this.#take(chunk));
  }

  /** Preface and empty settings: the client is accepted. */
  greet(): this {
    return this.write(PREFACE, encodeFrame(FRAME.settings, 0, 0));
  }

  write(...frames: Buffer[]): this {
    this.socket.write(Buffer.concat(frames));
    return this;
  }

  #take(chunk: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, chunk]);
    while (this.#unread.length >= 9) {
      const end = 9 + this.#unread.readUIntBE(0, 3);
      if (this.#unread.length < end) return;
      this.frames.push({
        type: this.#unread[3]!,
        flags: this.#unread[4]!,
        stream: this.#unread.readUInt32BE(5),
        payload: Buffer.from(this.#unread.subarray(9, end)),
      });
      this.#unread = this.#unread.subarray(end);
    }
  }

  of(type: number): Frame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** The first GOAWAY: its error code and debug data. */
  get goaway(): { code: number; text: string } | undefined {
    const [frame] = this.of(FRAME.goaway);
    return frame && { code: frame.payload.readUInt32BE(4), text: frame.payload.toString('latin1', 8) };
  }
}
