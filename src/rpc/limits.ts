/** What one client, and all of them, may cost a server. Every number is finite on purpose. */

export interface Limits {
  /** Of a request; longer ones are RESOURCE_EXHAUSTED. etcd: 1.5 MiB and 512 KiB for what is around them. */
  messageSizeMax: number;
  /** Calls that a connection may have open; clients wait with further ones. */
  streamsPerConnectionMax: number;
  /** Calls on all connections; once there are so many, a connection gets no more than a few. */
  streamsMax: number;
  /** Connections at once; further ones are closed as they come. */
  connectionsMax: number;
  /**
   * Bytes of requests that are not complete and of replies that were not taken, of all clients. A connection may have
   * a quarter of it; further requests on it wait.
   */
  heldBytesMax: number;
  /** Bytes of a stream that may wait to be sent before `send` says stop. */
  queuedBytesMax: number;
  /** Bytes of requests of a stream that may wait to be received before its reading pauses. */
  unreadBytesMax: number;
  /** Names and values of a request's headers together. */
  headerListSizeMax: number;
  /** A connection that has not said by then what it speaks, or over HTTP/1.1 what it wants, is closed. */
  handshakeTimeoutMs: number;
  /** How long a request may take to come, and a reply over HTTP/1.1 to be taken. */
  requestTimeoutMs: number;
  /** Pings of a client that come faster than this count against it (`--grpc-keepalive-min-time`). */
  pingIntervalMinMs: number;
  /** Whether a client without calls may ping at that pace. */
  canPingWithoutStream: boolean;
  /** A connection on which nothing came for so long is pinged (`--grpc-keepalive-interval`). */
  keepAliveIntervalMs: number;
  /** And is closed when that is not answered in this time (`--grpc-keepalive-timeout`). */
  keepAliveTimeoutMs: number;
  /** A connection on which nothing came for so long is pinged to see whether HTTP/2 has given it up unnoticed. */
  muteProbeMs: number;
  /** Cancelled calls after which a connection is told to move; they are forgotten at 33 a second. */
  resetsSoftMax: number;
  /** Cancelled calls after which it is closed: below the 1000 at which Node's HTTP/2 falls silent. */
  resetsHardMax: number;
}

export const DEFAULT_LIMITS: Limits = {
  messageSizeMax: 1.5 * 1024 * 1024 + 512 * 1024,
  streamsPerConnectionMax: 4096,
  streamsMax: 32_768,
  connectionsMax: 16_384,
  heldBytesMax: 512 * 1024 * 1024,
  queuedBytesMax: 64 * 1024,
  unreadBytesMax: 64 * 1024,
  headerListSizeMax: 64 * 1024,
  handshakeTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  pingIntervalMinMs: 5000,
  canPingWithoutStream: false,
  keepAliveIntervalMs: 2 * 3600 * 1000,
  keepAliveTimeoutMs: 20_000,
  muteProbeMs: 30_000,
  resetsSoftMax: 500,
  resetsHardMax: 900,
};
