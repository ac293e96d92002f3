/** A listener for HTTP alone under TLS, in both versions, as Go's net/http speaks them: with all limits of a client port. */
import { startServer } from '../../rpc/http2-server.ts';
import type { Limits } from '../../rpc/limits.ts';
import type { SecureLayer } from '../../rpc/secure.ts';
import type { ServerStats } from '../../rpc/stats.ts';
import { listenTarget, removeStaleSocket } from '../listen-target.ts';
import type { Log } from '../log.ts';
import type { HttpListener } from '../monitor/http-listener.ts';
import type { HttpHandler } from '../monitor/http.ts';

/** Throws `server.listen` when the address cannot be had. */
export async function listenHttps(
  url: string,
  handler: HttpHandler,
  { secure, log, limits, stats }: { secure: SecureLayer; log: Log; limits?: Limits; stats?: ServerStats },
): Promise<HttpListener> {
  const target = listenTarget(url);
  await removeStaleSocket(target);
  const server = await startServer({
    listen: { ...target, secure },
    methods: [],
    http1: handler,
    http2: handler,
    ...(limits ? { limits } : {}),
    ...(stats ? { stats } : {}),
    log,
  });
  return {
    url: 'path' in target ? url : url.replace(/:\d*$/, `:${server.ports[0]}`),
    close: (graceMs) => server.close({ graceMs }),
  };
}
