/**
 * gRPC's message framing: one byte that says whether the message is compressed, four of length, the message. What is
 * read is bounded before it is kept, and every message is handed on in memory of its own, so that whoever stores a
 * small value does not keep the whole chunk of the socket alive.
 */
import { gunzipSync } from 'node:zlib';
import { RpcError, STATUS } from './status.ts';

const PREFIX_SIZE = 5;
/** Larger messages go out beside their prefix instead of being copied behind it. */
const COPY_MAX = 32 * 1024;

/** Bytes that a message takes on the wire. */
export function framedSize(message: Uint8Array): number {
  return PREFIX_SIZE + message.length;
}

/** Messages as they go out: in one piece where they are small, a large one as it is behind its prefix. */
export function frames(messages: readonly Uint8Array[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for (const message of messages) size += PREFIX_SIZE + (message.length <= COPY_MAX ? message.length : 0);
  const bytes = Buffer.allocUnsafe(size);
  let from = 0;
  let at = 0;
  for (const message of messages) {
    bytes[at] = 0;
    bytes.writeUInt32BE(message.length, at + 1);
    at += PREFIX_SIZE;
    if (message.length <= COPY_MAX) {
      bytes.set(message, at);
      at += message.length;
      continue;
    }
    pieces.push(bytes.subarray(from, at), message);
    from = at;
  }
  if (from < at) pieces.push(bytes.subarray(from, at));
  return pieces;
}

/** The message, when a chunk is exactly one that is not compressed: the usual call, without a reader. */
export function wholeMessage(chunk: Uint8Array, sizeMax: number): Uint8Array | undefined {
  if (chunk.length < PREFIX_SIZE || chunk[0] !== 0) return undefined;
  const length = lengthAt(chunk, 0);
  if (length !== chunk.length - PREFIX_SIZE || length > sizeMax) return undefined;
  const message = new Uint8Array(length);
  message.set(chunk.subarray(PREFIX_SIZE));
  return message;
}

/** Shifts alone would make lengths of 2 GiB and more negative. */
function lengthAt(bytes: Uint8Array, at: number): number {
  return bytes[at + 1]! * 0x1000000 + (bytes[at + 2]! << 16) + (bytes[at + 3]! << 8) + bytes[at + 4]!;
}

interface FrameLimits {
  /** Longer messages are refused as RESOURCE_EXHAUSTED. */
  messageSizeMax: number;
  /** `grpc-encoding` of the other side; undefined is none. */
  encoding?: string | undefined;
}

/** Cuts what arrives into messages. */
export class FrameReader {
  readonly #limits: FrameLimits;
  #chunks: Uint8Array[] = [];
  /** Of the first chunk, used already. */
  #offset = 0;
  /** Bytes that are held. */
  size = 0;

  constructor(limits: FrameLimits) {
    this.#limits = limits;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.size += chunk.length;
  }

  /** Whether {@link next} would give a message, or fail. */
  get hasNext(): boolean {
    if (this.size < PREFIX_SIZE) return false;
    const length = this.#length();
    return length > this.#limits.messageSizeMax || this.size >= PREFIX_SIZE + length;
  }

  /** The next whole message; undefined when more bytes are needed. */
  next(): Uint8Array | undefined {
    if (this.size < PREFIX_SIZE) return undefined;
    const length = this.#length();
    const { messageSizeMax } = this.#limits;
    if (length > messageSizeMax) throw tooLarge(length, messageSizeMax);
    if (this.size < PREFIX_SIZE + length) return undefined;
    const format = this.#at(0);
    this.#skip(PREFIX_SIZE);
    const message = this.#take(length);
    return format === 0 ? message : this.#decompress(format, message);
  }

  #at(index: number): number {
    let at = this.#offset + index;
    for (const chunk of this.#chunks) {
      if (at < chunk.length) return chunk[at]!;
      at -= chunk.length;
    }
    return 0;
  }

  #length(): number {
    const first = this.#chunks[0]!;
    const at = this.#offset;
    if (first.length - at >= PREFIX_SIZE) return lengthAt(first, at);
    const prefix = Uint8Array.from({ length: PREFIX_SIZE }, (_, index) => this.#at(index));
    return lengthAt(prefix, 0);
  }

  #skip(length: number): void {
    this.size -= length;
    let at = this.#offset + length;
    let used = 0;
    while (used < this.#chunks.length && at >= this.#chunks[used]!.length) at -= this.#chunks[used++]!.length;
    if (used > 0) this.#chunks.splice(0, used);
    this.#offset = at;
  }

  #take(length: number): Uint8Array {
    const message = new Uint8Array(length);
    let filled = 0;
    let offset = this.#offset;
    for (const chunk of this.#chunks) {
      if (filled === length) break;
      const piece = chunk.subarray(offset, offset + length - filled);
      message.set(piece, filled);
      filled += piece.length;
      offset = 0;
    }
    this.#skip(length);
    return message;
  }

  #decompress(format: number, message: Uint8Array): Uint8Array {
    const { encoding, messageSizeMax } = this.#limits;
    if (format !== 1)
      throw new RpcError(STATUS.internal, `grpc: received unexpected payload format ${format}`);
    if (encoding === undefined || encoding === 'identity') {
      throw new RpcError(STATUS.internal, 'grpc: compressed flag set with identity or empty encoding');
    }
    if (encoding !== 'gzip') throw unknownEncoding(encoding);
    try {
      const plain = gunzipSync(message, { maxOutputLength: Math.max(1, messageSizeMax) });
      return Uint8Array.from(plain);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
        const text = `grpc: received message after decompression larger than max ${messageSizeMax}`;
        throw new MessageSizeError(text, error);
      }
      const text = `grpc: failed to decompress the message: ${(error as Error).message}`;
      throw new RpcError(STATUS.internal, text, error);
    }
  }
}

/** Whether messages that say `grpc-encoding: <encoding>` can be read. */
export function isKnownEncoding(encoding: string | undefined): boolean {
  return encoding === undefined || encoding === 'identity' || encoding === 'gzip';
}

/** The refusal of an encoding, in grpc-go's words. */
export function unknownEncoding(encoding: string): RpcError {
  const text = `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(encoding)}`;
  return new RpcError(STATUS.unimplemented, text);
}

/** A message is larger than it may be. */
export class MessageSizeError extends RpcError {
  constructor(text: string, cause?: unknown) {
    super(STATUS.resourceExhausted, text, cause);
  }
}

function tooLarge(length: number, max: number): RpcError {
  return new MessageSizeError(`grpc: received message larger than max (${length} vs. ${max})`);
}
