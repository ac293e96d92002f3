/** Messages of a client from the body of its request: one, or as many as come. */
import type { Message } from '../../format/proto/field.ts';
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
  throw new RpcError(STATUS.resourceExhausted, text);
}

/**
 * The first value of a body, the empty message where there is none; what comes behind it is thrown away. Rejects once
 * the whole body is there, so that the client is listening, and as DEADLINE_EXCEEDED when it does not come.
 */
export function readMessage(body: HttpRequest, options: BodyOptions): Promise<Uint8Array> {
  // Differs from etcd, which takes bodies of any length and judges the message alone.
  const cutter = new JsonCutter(JSON_FACTOR * options.messageSizeMax);
  let json: Uint8Array | undefined;
  let failure: unknown;
  const attempt = (run: () => Uint8Array | undefined): void => {
    if (json !== undefined || failure !== undefined) return;
    try {
      json = run();
    } catch (error) {
      failure = error;
    }
  };
  return new Promise((resolve, reject) => {
    body.on('data', (chunk: Uint8Array) => {
      attempt(() => {
        cutter.push(chunk);
        return cutter.next();
      });
    });
    body.on('end', () => {
      attempt(() => cutter.last());
      attempt(() => Buffer.from('{}'));
      try {
        if (failure !== undefined) reject(failure);
        else resolve(encodeWithin(json!, options));
      } catch (error) {
        reject(error);
      }
    });
    const gone = (): void => reject(new RpcError(STATUS.cancelled, 'context canceled'));
    body.on('error', gone).on('close', gone);
    limitBody(body, () => {
      reject(new RpcError(STATUS.deadlineExceeded, 'the request did not come in time'));
      setTimeout(() => body.destroy(), LINGER_MS).unref();
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
  readonly #cutter: JsonCutter;
  #receiver: Receiver | undefined;
  /** No more comes. */
  #isEnded = false;
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
    if (!this.#receiver && this.#cutter.size >= UNREAD_BYTES_MAX) this.#body.pause();
  }

  #end(): void {
    this.#isEnded = true;
    if (this.#receiver) this.#settle();
  }

  /** What was not received is dropped, and every receiver told. */
  fail(failure: RpcError): void {
    this.#failure = failure;
    this.#isEnded = true;
    this.#body.resume();
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
        this.#body.resume();
        return;
      }
      resolve(message);
    } catch (error) {
      reject(error);
    }
    this.#receiver = undefined;
  }

  #next(): Uint8Array | undefined {
    try {
      const json = this.#isEnded ? this.#cutter.last() : this.#cutter.next();
      return json && encodeWithin(json, this.#options);
    } catch (error) {
      if (!(error instanceof RpcError) || error.status !== STATUS.invalidArgument) throw error;
      this.#isEnded = true;
      this.#body.resume();
      return undefined;
    }
  }
}
