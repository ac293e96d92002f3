/** What a server has seen of its connections. */
import { HandshakeStats } from './secure.ts';

/** Why something of a client was refused, cut off, or its connection ended. */
export const REFUSALS = [
  /** Connections: one too many, one that did not say in time what it speaks, one that is no HTTP. */
  'connections',
  'handshake',
  'malformed',
  /** Headers or messages that are too large. */
  'headers',
  'message_size',
  /** Requests that did not come to their end in time, and replies that were not taken. */
  'request_timeout',
  'unread_replies',
  /** Bytes of unfinished requests of one connection. */
  'unfinished_requests',
  /** Calls beyond a connection's share. */
  'streams',
  /** Connections that were ended for what their client did: pings, cancelled calls, frames of any kind, nothing. */
  'pings',
  'resets',
  'flood',
  'silence',
  /** Connections whose clients were asked to move, since they had cancelled many calls. */
  'moved',
] as const;

export type Refusal = (typeof REFUSALS)[number];

export class ServerStats {
  /** Connections that have not said what they speak. */
  silent = 0;
  /** HTTP/2 connections now, and ever. */
  connections = 0;
  connectionsTotal = 0;
  /** HTTP/1.1 connections now, and ever. */
  http1 = 0;
  http1Total = 0;
  /** Calls that are open now. */
  streams = 0;
  /** Calls that clients cancelled. */
  resets = 0;
  /** Bytes of replies to unary calls that clients have not taken. */
  replyBytes = 0;
  /** The same of calls whose messages come and go, and of unfinished requests with their headers: a second ago. */
  queuedBytes = 0;
  requestBytes = 0;
  /** Of bodies over HTTP that are not complete, now; and how many of them wait for room. */
  bodyBytes = 0;
  bodiesHeldUp = 0;
  /** Of answers over HTTP/1.1, a second ago. */
  answerBytes = 0;
  /** Calls whose client takes too little, a second ago. */
  stalledStreams = 0;
  /** Requests that wait until their client has taken replies. */
  postponed = 0;
  readonly refused = Object.fromEntries(REFUSALS.map((reason) => [reason, 0])) as Record<Refusal, number>;

  /** Handshakes of TLS. */
  readonly handshakes = new HandshakeStats();

  /** What all clients together make the server hold. */
  get heldBytes(): number {
    return this.replyBytes + this.queuedBytes + this.requestBytes + this.bodyBytes + this.answerBytes;
  }

  /** What has to go when so much may be held; none when negative. Bodies that wait need more than a little room. */
  excessBytes(heldBytesMax: number): number {
    const excess = this.heldBytes - heldBytesMax;
    return excess < 0 || this.bodiesHeldUp === 0 ? excess : excess + heldBytesMax / 4;
  }

  /** Connections of clients, whatever they speak. */
  get clientConnections(): number {
    return this.silent + this.connections + this.http1;
  }
}
