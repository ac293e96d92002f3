/**
 * How a status of gRPC looks over HTTP. etcd 3.5 has the first major version of grpc-gateway, later ones the second; codes
 * and bodies differ.
 */
import { RpcError, STATUS, type Status } from '../../rpc/status.ts';
import type { Version } from '../../store/schema/buckets.ts';

const HTTP_CODES: Readonly<Record<Status, number>> = {
  [STATUS.ok]: 200,
  [STATUS.cancelled]: 499,
  [STATUS.unknown]: 500,
  [STATUS.invalidArgument]: 400,
  [STATUS.deadlineExceeded]: 504,
  [STATUS.notFound]: 404,
  [STATUS.alreadyExists]: 409,
  [STATUS.permissionDenied]: 403,
  [STATUS.resourceExhausted]: 429,
  [STATUS.failedPrecondition]: 400,
  [STATUS.aborted]: 409,
  [STATUS.outOfRange]: 400,
  [STATUS.unimplemented]: 501,
  [STATUS.internal]: 500,
  [STATUS.unavailable]: 503,
  [STATUS.dataLoss]: 500,
  [STATUS.unauthenticated]: 401,
};
/** Go's `http.StatusText`, of what can come. */
const HTTP_TEXTS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

/** Whether errors look as those of grpc-gateway's first major version. */
export const isFirstGateway = (emulated: Version): boolean => emulated === '3.4' || emulated === '3.5';

export function httpCodeOf(status: Status, emulated: Version): number {
  return status === STATUS.cancelled && isFirstGateway(emulated) ? 408 : HTTP_CODES[status];
}

/** The body of an answer that is an error. */
export function errorBody({ status, message }: RpcError, emulated: Version): string {
  const first = isFirstGateway(emulated) ? { error: message } : {};
  return JSON.stringify({ ...first, code: status, message: message === '' ? undefined : message });
}

/** An error in a stream, without its line end. */
export function errorLine({ status, message }: RpcError, emulated: Version): string {
  if (!isFirstGateway(emulated)) return JSON.stringify({ error: { code: status, message } });
  const code = httpCodeOf(status, emulated);
  return JSON.stringify({
    error: { grpc_code: status, http_code: code, message, http_status: HTTP_TEXTS[code] },
  });
}

/** What a path without a route, or a method other than POST, is answered. */
export const noRoute = (): RpcError => new RpcError(STATUS.notFound, HTTP_TEXTS[404]!);
export const noMethod = (): RpcError => new RpcError(STATUS.unimplemented, HTTP_TEXTS[405]!);
