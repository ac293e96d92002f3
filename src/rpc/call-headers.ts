/** What the headers of a request say: whether it is a call, and what is wrong with it. */
import { isKnownEncoding, unknownEncoding } from './framing.ts';
import { RpcError, STATUS } from './status.ts';
import { parseTimeout } from './timeout.ts';

const CONTENT_TYPE = /^application\/grpc(?:[+;]|$)/;

export type CallHeaders = Record<string, string | string[] | undefined>;

/** A status instead of an answer, and the one that HTTP has for it. */
export interface CallRefusal {
  error: RpcError;
  httpStatus?: number;
}

/** As etcd tells calls from other requests on a port of both. */
export function isGrpc(headers: CallHeaders): boolean {
  return String(headers['content-type'] ?? '').includes('application/grpc');
}

/** What is wrong with the headers of a call, as grpc-go says it. */
export function refusalOf(headers: CallHeaders): CallRefusal | undefined {
  const type = headers['content-type'];
  if (typeof type !== 'string' || !CONTENT_TYPE.test(type)) {
    const text = `invalid gRPC request content-type ${JSON.stringify(type ?? '')}`;
    return { error: new RpcError(STATUS.invalidArgument, text), httpStatus: 415 };
  }
  const method = headers[':method'];
  if (method !== 'POST') {
    const text = `Received a HEADERS frame with :method ${JSON.stringify(method)} which should be POST`;
    return { error: new RpcError(STATUS.internal, text), httpStatus: 405 };
  }
  const timeout = headers['grpc-timeout'];
  if (timeout !== undefined) {
    try {
      parseTimeout(String(timeout));
    } catch (error) {
      return { error: error as RpcError, httpStatus: 400 };
    }
  }
  const encoding = headers['grpc-encoding'];
  if (encoding !== undefined && !isKnownEncoding(String(encoding))) {
    return { error: unknownEncoding(String(encoding)) };
  }
  return undefined;
}
