/** Between bytes and messages: what all methods have in common. */
import { CorruptError } from '../../errors.ts';
import type { Input, Message } from '../../format/proto/field.ts';
import type { Call, Stream, StreamHandler, UnaryHandler } from '../../rpc/seam.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import { rpcErrorOf } from '../rpc-errors.ts';

/** One request, one response. Whatever `run` throws ends the call with etcd's status for it. */
export function unary<Q, A>(
  request: Message<Q>,
  response: Message<A>,
  run: (request: Q, call: Call) => Input<A> | Promise<Input<A>>,
): UnaryHandler {
  // What is answered at once costs no promise.
  return (bytes, call) => {
    try {
      const answer = run(decodeRequest(request, bytes), call);
      if (!(answer instanceof Promise)) return response.encode(answer);
      return answer.then(
        (later) => response.encode(later),
        (error: unknown) => {
          throw rpcErrorOf(error);
        },
      );
    } catch (error) {
      throw rpcErrorOf(error);
    }
  };
}

/** One request, a stream of responses; a client that ends its side without a request gets none. */
export function serverStream<Q>(
  request: Message<Q>,
  run: (request: Q, stream: Stream) => Promise<void>,
): StreamHandler {
  return stream(async (call) => {
    const bytes = await call.receive();
    if (bytes !== undefined) await run(decodeRequest(request, bytes), call);
  });
}

/** A handler whose errors end the call with etcd's status for them. */
export function stream(run: StreamHandler): StreamHandler {
  return async (call) => {
    try {
      await run(call);
    } catch (error) {
      throw rpcErrorOf(error);
    }
  };
}

/** Throws INTERNAL for bytes that are no such message, as servers in Go do. */
export function decodeRequest<Q>(request: Message<Q>, bytes: Uint8Array): Q {
  try {
    return request.decode(bytes);
  } catch (error) {
    if (!(error instanceof CorruptError)) throw error;
    throw new RpcError(STATUS.internal, `grpc: error unmarshalling request: ${error.message}`, error);
  }
}

/** Sends, and waits until the client has taken enough for the next one. */
export async function sendWaiting(call: Stream, message: Uint8Array): Promise<void> {
  if (!call.send(message)) await call.drained();
}
