/** Finds the handler of a path. */
import type { Methods, StreamHandler, UnaryHandler } from './seam.ts';
import { RpcError, STATUS } from './status.ts';

export type Method = { isWaiting: boolean } & (
  | { unary: UnaryHandler; stream?: undefined }
  | { unary?: undefined; stream: StreamHandler }
);

/** All methods of a server, by path. */
export class MethodTable {
  readonly #methods = new Map<string, Method>();
  readonly #services = new Set<string>();

  /** Calls to the paths in `waiting` end when the server begins to close. */
  constructor(services: readonly Methods[], waiting: readonly string[] = []) {
    const isWaiting = (path: string): boolean => waiting.includes(path);
    for (const { unary = {}, stream = {} } of services) {
      for (const [path, handler] of Object.entries(unary))
        this.#add(path, {
          unary: handler,
          isWaiting: isWaiting(path),
        });
      for (const [path, handler] of Object.entries(stream))
        this.#add(path, {
          stream: handler,
          isWaiting: isWaiting(path),
        });
    }
  }

  #add(path: string, method: Method): void {
    this.#methods.set(path, method);
    this.#services.add(path.slice(1, path.lastIndexOf('/')));
  }

  get(path: string): Method | undefined {
    return this.#methods.get(path);
  }

  /** Why a path has no method, in grpc-go's words. */
  refusal(path: string): RpcError {
    const slash = path.lastIndexOf('/');
    if (!path.startsWith('/') || slash < 1) {
      return new RpcError(STATUS.unimplemented, `malformed method name: ${JSON.stringify(path)}`);
    }
    const service = path.slice(1, slash);
    const text = this.#services.has(service)
      ? `unknown method ${path.slice(slash + 1)} for service ${service}`
      : `unknown service ${service}`;
    return new RpcError(STATUS.unimplemented, text);
  }
}
