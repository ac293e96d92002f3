/** What a server has seen of its connections. */
import { HandshakeStats } from './secure.ts';

export class ServerStats {
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
  /** Connections turned away: too many, or none that speaks HTTP. */
  refused = 0;
  /** Connections ended for what their client did, by the reason. */
  readonly expelled = { pings: 0, resets: 0, silence: 0 };
  /** Handshakes of TLS. */
  readonly handshakes = new HandshakeStats();
}
