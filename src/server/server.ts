/** Where a server is started: opens the directory or the backup, and answers on the URLs of its configuration. */
import { UnsupportedError } from '../errors.ts';
import type { ServerConfig, ServerContext, StartServer } from './config.ts';

/** See {@link StartServer}. */
export const startServer: StartServer = async (config: ServerConfig, _context: ServerContext) => {
  throw new UnsupportedError('server.config', `this build cannot serve a ${config.target.kind}`);
};
