/** A listener for HTTP alone under TLS, in both versions, as Go's net/http speaks them: with all limits of a client port. */
import { startServer } from '../../rpc/http2-server.ts';
import type { SecureLayer } from '../../rpc/secure.ts';
import { listenTarget, removeStaleSocket } from '../listen-target.ts';
import type { Log } from '../log.ts';
import type { HttpListener } from '../monitor/http-listener.ts';
import type { HttpHandler } from '../monitor/http.ts';

/** Throws `server.listen` when the address cannot be had. */
export async function listenHttps(
  url: string,
  handler: HttpHandler,
  { secure, log }: { secure: SecureLayer; log: Log },
): Promise<HttpListener> {
  const target = listenTarget(url);
  await removeStaleSocket(target);
  const server = await startServer({
    listen: { ...target, secure },
    methods: [],
    http1: handler,
    http2: handler,
    log,
  });
  return {
    url: 'path' in target ? url : url.replace(/:\d*$/, `:${server.ports[0]}`),
    close: (graceMs) => server.close({ graceMs }),
  };
}
