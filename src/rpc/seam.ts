/**
 * Between a transport and the services: a call comes as bytes with its metadata, and goes back as bytes. Services know
 * no HTTP, a transport knows no message.
 */

/** What a call brings besides its message. Names are lower-case; of a name that came twice the first value counts. */
export interface Call {
  /** `/etcdserverpb.KV/Put` */
  path: string;
  metadata: ReadonlyMap<string, string>;
  /** Aborted when the client cancels, its deadline passes, or its connection is gone. */
  signal: AbortSignal;
  /** Address of the client, for logs. */
  peer: string;
  /** Common name in the client's certificate, if it showed one that the server trusts. */
  commonName: string | undefined;
}

/**
 * One message in, one out. Throws `RpcError` for a status, anything else becomes INTERNAL. The request is memory of its
 * own, so parts of it may be kept; the reply must not change any more.
 */
export type UnaryHandler = (request: Uint8Array, call: Call) => Uint8Array | Promise<Uint8Array>;

/** A call whose messages come and go as they please. */
export interface Stream extends Call {
  /** The next message of the client; undefined when it has ended its side. Throws when the call is over. */
  receive(): Promise<Uint8Array | undefined>;
  /**
   * Queues a message; gives whether more may be sent before {@link drained}. Nothing is lost when it gives false, but
   * whoever goes on regardless grows memory. After the call is over it does nothing. The message may be shared with
   * other streams, and must not change any more.
   */
  send(message: Uint8Array): boolean;
  /** Resolves when `send` may go on, or the call is over. */
  drained(): Promise<void>;
  /** Bytes that are queued and that the client has not taken. */
  readonly queuedBytes: number;
}

/** Runs for as long as the call does: OK when it returns, a status when it throws. */
export type StreamHandler = (stream: Stream) => Promise<void>;

/** The methods of one service, by their full path. */
export interface Methods {
  unary?: Readonly<Record<string, UnaryHandler>>;
  stream?: Readonly<Record<string, StreamHandler>>;
}
