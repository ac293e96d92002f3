/** A listener for HTTP/1.1 alone, as for `--listen-metrics-urls` and `--listen-client-http-urls`. */
import type { AddressInfo } from 'node:net';
import { ToolError } from '../../errors.ts';
import { Http1Server } from '../../rpc/http1.ts';
import { DEFAULT_LIMITS, type Limits } from '../../rpc/limits.ts';
import { ServerStats } from '../../rpc/stats.ts';
import type { HttpHandler } from './http-exchange.ts';
import { listenTarget, removeStaleSocket } from '../listen-target.ts';

export interface HttpListener {
  /** With the port that was really taken. */
  url: string;
  /** Takes no more connections, and ends those that are idle; others are cut after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Throws `server.listen` when the address cannot be had. */
export async function listenHttp(
  url: string,
  handler: HttpHandler,
  { limits = DEFAULT_LIMITS, stats = new ServerStats() }: { limits?: Limits; stats?: ServerStats } = {},
): Promise<HttpListener> {
  const target = listenTarget(url);
  await removeStaleSocket(target);
  const isFull = (): boolean => stats.clientConnections >= limits.connectionsMax;
  const http1 = new Http1Server({ limits, stats, handler, isFull });
  const { server } = http1;
  await new Promise<void>((resolve, reject) => {
    server.on('error', (cause) => {
      http1.end();
      reject(new ToolError('server.listen', `cannot listen on ${url}: ${cause.message}`, { cause }));
    });
    server.listen(target, resolve);
  });
  const close = async (graceMs: number): Promise<void> => {
    if (graceMs === 0) server.closeAllConnections();
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
    });
    clearTimeout(cut);
    http1.end();
  };
  return { url: 'path' in target ? url : withPort(url, server.address() as AddressInfo), close };
}

function withPort(url: string, { port }: AddressInfo): string {
  return url.replace(/:\d*$/, `:${port}`);
}
