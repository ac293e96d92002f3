/** Finds the handler of a path, and counts what comes of its calls. */
import type { Methods, StreamHandler, UnaryHandler } from './seam.ts';
import { RpcError, STATUS, type Status } from './status.ts';

/** Calls of one method so far; message sizes are without framing. */
export class MethodCounts {
  readonly path: string;
  readonly isStream: boolean;
  started = 0;
  received = 0;
  sent = 0;
  /** Ended calls, by status. */
  readonly ended: number[] = Object.values(STATUS).map(() => 0);

  constructor(path: string, isStream: boolean) {
    this.path = path;
    this.isStream = isStream;
  }

  end(status: Status): void {
    this.ended[status]!++;
  }
}

export type Method = { counts: MethodCounts; isWaiting: boolean } & (
  | { unary: UnaryHandler; stream?: undefined }
  | { unary?: undefined; stream: StreamHandler }
);

/** All methods of a server, by path. */
export class MethodTable {
  readonly #methods = new Map<string, Method>();
  readonly #services = new Set<string>();
  /** Of calls to paths that nobody serves; one row, since clients choose the paths. */
  readonly unknown = new MethodCounts('', false);

  /** Calls to the paths in `waiting` end when the server begins to close. */
  constructor(services: readonly Methods[], waiting: readonly string[] = []) {
    const isWaiting = (path: string): boolean => waiting.includes(path);
    for (const { unary = {}, stream = {} } of services) {
      for (const [path, handler] of Object.entries(unary))
        this.#add(path, {
          unary: handler,
          counts: new MethodCounts(path, false),
          isWaiting: isWaiting(path),
        });
      for (const [path, handler] of Object.entries(stream))
        this.#add(path, {
          stream: handler,
          counts: new MethodCounts(path, true),
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

  counts(): MethodCounts[] {
    return [...this.#methods.values()].map(({ counts }) => counts);
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
