/** Finds the handler of a path. */
import type { Methods, StreamHandler, UnaryHandler } from './seam.ts';
import { RpcError, STATUS } from './status.ts';

export type Method =
  | { unary: UnaryHandler; stream?: undefined }
  | { unary?: undefined; stream: StreamHandler };

/** All methods of a server, by path. */
export class MethodTable {
  readonly #methods = new Map<string, Method>();
  readonly #services = new Set<string>();

  constructor(services: readonly Methods[]) {
    for (const { unary = {}, stream = {} } of services) {
      for (const [path, handler] of Object.entries(unary)) this.#add(path, { unary: handler });
      for (const [path, handler] of Object.entries(stream)) this.#add(path, { stream: handler });
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
