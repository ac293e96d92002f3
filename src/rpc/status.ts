/** gRPC's status codes, and the error that carries one to the client. */
import { ToolError } from '../errors.ts';

/** https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
export const STATUS = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;
export type Status = (typeof STATUS)[keyof typeof STATUS];

/** Ends a call with a status; clients of etcd match the text. */
export class RpcError extends ToolError {
  readonly status: Status;

  constructor(status: Status, message: string, cause?: unknown) {
    super('rpc.status', message, { cause });
    this.status = status;
  }
}
