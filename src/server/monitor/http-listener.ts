/** A listener for HTTP/1.1 alone, as for `--listen-metrics-urls` and `--listen-client-http-urls`. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ToolError } from '../../errors.ts';
import type { HttpHandler } from './http-exchange.ts';
import { listenTarget, removeStaleSocket } from '../listen-target.ts';

const HEADERS_TIMEOUT_MS = 5 * 60_000;

export interface HttpListener {
  /** With the port that was really taken. */
  url: string;
  /** Takes no more connections, and ends those that are idle; others are cut after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Throws `server.listen` when the address cannot be had. */
export async function listenHttp(url: string, handler: HttpHandler): Promise<HttpListener> {
  const target = listenTarget(url);
  await removeStaleSocket(target);
  const server = createServer(
    // A body may be a stream of messages: whoever takes it says how long it may last.
    { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 0 },
    handler,
  );
  await new Promise<void>((resolve, reject) => {
    server.on('error', (cause) => {
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
  };
  return { url: 'path' in target ? url : withPort(url, server.address() as AddressInfo), close };
}

function withPort(url: string, { port }: AddressInfo): string {
  return url.replace(/:\d*$/, `:${port}`);
}
