/** Messages of a client from the body of its request: one, or as many as come. */
import type { Message } from '../../format/proto/field.ts';
import { MessageSizeError } from '../../rpc/framing.ts';
import { LateRequestError } from '../../rpc/http2-request.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import { type HttpRequest, limitBody } from '../monitor/http-exchange.ts';
import { encodeJson } from './from-json.ts';
import { JsonCutter } from './json-cutter.ts';

/** JSON may be so much longer than the message it stands for: base64 and names take their room. */
const JSON_FACTOR = 4;
const UNREAD_BYTES_MAX = 64 * 1024;
/** What a client that is late gets to hear of it. */
const LINGER_MS = 1000;

export interface BodyOptions {
  request: Message<unknown>;
  /** Longer messages are refused as RESOURCE_EXHAUSTED. */
  messageSizeMax: number;
}

function encodeWithin(json: Uint8Array, { request, messageSizeMax }: BodyOptions): Uint8Array {
  const message = encodeJson(request, json);
  if (message.length <= messageSizeMax) return message;
  const text = `grpc: received message larger than max (${message.length} vs. ${messageSizeMax})`;
  throw new MessageSizeError(text);
}

/** Counts it when a message of a body is too long; gives the error as it is. */
function noted(error: unknown, { account }: HttpRequest): unknown {
  if (error instanceof MessageSizeError) account?.noteTooLong();
  return error;
}

/** The first value of what comes. Once that is there, or is none, nothing more is kept. */
class FirstValue {
  #cutter: JsonCutter | undefined;
  #json: Uint8Array | undefined;
  #failure: unknown;

  constructor({ messageSizeMax }: BodyOptions) {
    // Differs from etcd, which takes bodies of any length and judges the message alone.
    this.#cutter = new JsonCutter(JSON_FACTOR * messageSizeMax);
  }

  /** Bytes that are kept. */
  get size(): number {
    return this.#json?.length ?? this.#cutter?.size ?? 0;
  }

  push(chunk: Uint8Array): void {
    this.#cutter?.push(chunk);
    this.#attempt((cutter) => cutter.next());
  }

  /** No more comes. Throws what was wrong. */
  end(): Uint8Array {
    this.#attempt((cutter) => cutter.last() ?? Buffer.from('{}'));
    if (this.#failure !== undefined) throw this.#failure;
    return this.#json!;
  }

  drop(): void {
    this.#cutter = undefined;
    this.#json = undefined;
  }

  #attempt(run: (cutter: JsonCutter) => Uint8Array | undefined): void {
    if (!this.#cutter) return;
    try {
      this.#json = run(this.#cutter);
    } catch (error) {
      this.#failure = error;
    }
    if (this.#json !== undefined || this.#failure !== undefined) this.#cutter = undefined;
  }
}

/**
 * The first value of a body, the empty message where there is none; what comes behind it is thrown away. Rejects once
 * the whole body is there, so that the client is listening, and as DEADLINE_EXCEEDED when it does not come.
 */
export function readMessage(body: HttpRequest, options: BodyOptions): Promise<Uint8Array> {
  const first = new FirstValue(options);
  const drop = (): void => {
    first.drop();
    body.account?.hold(0);
  };
  return new Promise((resolve, reject) => {
    body.on('data', (chunk: Uint8Array) => {
      first.push(chunk);
      body.account?.hold(first.size);
    });
    body.on('end', () => {
      try {
        resolve(encodeWithin(first.end(), options));
      } catch (error) {
        reject(noted(error, body));
      }
      drop();
    });
    const gone = (): void => {
      reject(new RpcError(STATUS.cancelled, 'context canceled'));
      drop();
    };
    body.on('error', gone).on('close', gone);
    limitBody(body, () => {
      const late = new LateRequestError();
      reject(late);
      drop();
      setTimeout(() => body.destroy(late), LINGER_MS).unref();
    });
  });
}

interface Receiver {
  resolve: (message: Uint8Array | undefined) => void;
  reject: (error: unknown) => void;
}

/** Messages as they come. Little of what nobody receives is kept: the client is made to wait. */
export class JsonInbox {
  readonly #body: HttpRequest;
  readonly #options: BodyOptions;
  #cutter: JsonCutter;
  #receiver: Receiver | undefined;
  /** No more comes. */
  #isEnded = false;
  #isDropped = false;
  #failure: RpcError | undefined;

  constructor(body: HttpRequest, options: BodyOptions) {
    this.#body = body;
    this.#options = options;
    this.#cutter = new JsonCutter(JSON_FACTOR * options.messageSizeMax);
    body.on('data', (chunk: Uint8Array) => this.#take(chunk));
    body.on('end', () => this.#end());
    body.on('error', () => this.#end());
  }

  #take(chunk: Uint8Array): void {
    if (this.#isEnded) return;
    this.#cutter.push(chunk);
    if (this.#receiver) this.#settle();
    this.#account();
    if (!this.#receiver && this.#cutter.size >= UNREAD_BYTES_MAX) this.#body.pause();
  }

  #end(): void {
    this.#isEnded = true;
    if (this.#receiver) this.#settle();
  }

  #account(): void {
    this.#body.account?.hold(this.#cutter.size);
  }

  #drop(): void {
    this.#isEnded = true;
    this.#isDropped = true;
    this.#cutter = new JsonCutter(0);
    this.#account();
    this.#body.resume();
  }

  /** What was not received is dropped, and every receiver told. */
  fail(failure: RpcError): void {
    this.#failure = failure;
    this.#drop();
    if (this.#receiver) this.#settle();
  }

  /** For one caller at a time. JSON that is none ends the messages, as in etcd. */
  receive(): Promise<Uint8Array | undefined> {
    return new Promise((resolve, reject) => {
      this.#receiver = { resolve, reject };
      this.#settle();
    });
  }

  #settle(): void {
    const { resolve, reject } = this.#receiver!;
    let message: Uint8Array | undefined;
    try {
      if (this.#failure) throw this.#failure;
      message = this.#next();
      if (message === undefined && !this.#isEnded) {
        if (this.#body.account?.isHeldUp !== true) this.#body.resume();
        return;
      }
      resolve(message);
    } catch (error) {
      reject(noted(error, this.#body));
    }
    this.#receiver = undefined;
    this.#account();
  }

  #next(): Uint8Array | undefined {
    if (this.#isDropped) return undefined;
    try {
      const json = this.#isEnded ? this.#cutter.last() : this.#cutter.next();
      return json && encodeWithin(json, this.#options);
    } catch (error) {
      if (!(error instanceof RpcError) || error.status !== STATUS.invalidArgument) throw error;
      this.#drop();
      return undefined;
    }
  }
}
