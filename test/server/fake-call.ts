/** Calls without a transport: bytes go into a service's methods, and what comes out is decoded. */
import assert from 'node:assert/strict';
import type { Input, Message } from '../../src/format/proto/field.ts';
import type { Methods, Stream } from '../../src/rpc/seam.ts';
import { RpcError, STATUS } from '../../src/rpc/status.ts';

/** What a client shows of itself. */
interface Shown {
  metadata?: Readonly<Record<string, string>>;
  commonName?: string;
}

/** A client's side of one call. */
export class FakeCall implements Stream {
  readonly metadata: ReadonlyMap<string, string>;
  readonly commonName: string | undefined;
  readonly peer = '127.0.0.1:1';
  readonly path: string;
  /** Every message that the service sent. */
  readonly sent: Uint8Array[] = [];
  /** Messages the service may send before it must wait; they are counted down. */
  room = Infinity;
  readonly #controller = new AbortController();
  readonly #queue: Array<Uint8Array | undefined> = [];
  #wake: () => void = () => {};

  constructor(path = '', { metadata = {}, commonName }: Shown = {}) {
    this.path = path;
    this.metadata = new Map(Object.entries(metadata));
    this.commonName = commonName;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get queuedBytes(): number {
    return 0;
  }

  cancel(): void {
    this.#controller.abort();
    this.#wake();
  }

  /** Hands the service a message; undefined ends the client's side. */
  push(message: Uint8Array | undefined): void {
    this.#queue.push(message);
    this.#wake();
  }

  /** Lets the service send so many messages more. */
  take(count: number): void {
    this.room += count;
    this.#wake();
  }

  async receive(): Promise<Uint8Array | undefined> {
    await this.#until(() => this.#queue.length > 0 || this.signal.aborted);
    if (this.#queue.length === 0) throw new RpcError(STATUS.cancelled, 'context canceled');
    return this.#queue.shift();
  }

  send(message: Uint8Array): boolean {
    if (this.signal.aborted) return true;
    this.sent.push(message);
    this.room--;
    this.#wake();
    return this.room > 0;
  }

  async drained(): Promise<void> {
    await this.#until(() => this.room > 0 || this.signal.aborted);
  }

  /** Waits until the service has sent so many messages in all. */
  async sentCount(count: number): Promise<void> {
    await this.#until(() => this.sent.length >= count);
  }

  #waiting: Array<() => void> = [];

  async #until(isTrue: () => boolean): Promise<void> {
    this.#wake = () => {
      for (const wake of this.#waiting.splice(0)) wake();
    };
    while (!isTrue()) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }
}

/** A unary call. */
export async function ask<Q, A>(
  methods: Methods,
  path: string,
  request: [Message<Q>, Input<Q>],
  response: Message<A>,
  call = new FakeCall(path),
): Promise<A> {
  const handler = methods.unary?.[path];
  assert.ok(handler, `no method ${path}`);
  return response.decode(await handler(request[0].encode(request[1]), call));
}

/** A call whose messages come and go; gives how it ends. */
export function open(methods: Methods, path: string): { call: FakeCall; ended: Promise<void> } {
  const handler = methods.stream?.[path];
  assert.ok(handler, `no method ${path}`);
  const call = new FakeCall(path);
  const ended = handler(call);
  // Whoever waits for it sees the failure.
  ended.catch(() => {});
  return { call, ended };
}
