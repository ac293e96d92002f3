/**
 * Which status and text a call ends with. Clients of etcd match both, so they are etcd's (v3.6
 * api/v3rpc/rpctypes/error.go, server/etcdserver/api/v3rpc/util.go).
 */
import { type ErrorCode, ToolError } from '../errors.ts';
import { RpcError, STATUS, type Status } from '../rpc/status.ts';

/** Every text of etcd's API that a client may know, with its status. */
export const ETCD_STATUS = {
  'etcdserver: key is not provided': STATUS.invalidArgument,
  'etcdserver: key not found': STATUS.invalidArgument,
  'etcdserver: value is provided': STATUS.invalidArgument,
  'etcdserver: lease is provided': STATUS.invalidArgument,
  'etcdserver: too many operations in txn request': STATUS.invalidArgument,
  'etcdserver: duplicate key given in txn request': STATUS.invalidArgument,
  'etcdserver: invalid client api version': STATUS.invalidArgument,
  'etcdserver: invalid sort option': STATUS.invalidArgument,
  'etcdserver: mvcc: required revision has been compacted': STATUS.outOfRange,
  'etcdserver: mvcc: required revision is a future revision': STATUS.outOfRange,
  'etcdserver: mvcc: database space exceeded': STATUS.resourceExhausted,

  'etcdserver: requested lease not found': STATUS.notFound,
  'etcdserver: lease already exists': STATUS.failedPrecondition,
  'etcdserver: too large lease TTL': STATUS.outOfRange,

  'etcdserver: watch canceled': STATUS.cancelled,

  'etcdserver: member ID already exist': STATUS.failedPrecondition,
  'etcdserver: Peer URLs already exists': STATUS.failedPrecondition,
  'etcdserver: re-configuration failed due to not enough started members': STATUS.failedPrecondition,
  'etcdserver: given member URLs are invalid': STATUS.invalidArgument,
  'etcdserver: member not found': STATUS.notFound,
  'etcdserver: can only promote a learner member': STATUS.failedPrecondition,
  'etcdserver: can only promote a learner member which is in sync with leader': STATUS.failedPrecondition,
  'etcdserver: too many learner members in cluster': STATUS.failedPrecondition,
  'etcdserver: cluster ID mismatch': STATUS.failedPrecondition,

  'etcdserver: request is too large': STATUS.invalidArgument,
  'etcdserver: too many requests': STATUS.resourceExhausted,

  'etcdserver: root user does not exist': STATUS.failedPrecondition,
  'etcdserver: root user does not have root role': STATUS.failedPrecondition,
  'etcdserver: user name already exists': STATUS.failedPrecondition,
  'etcdserver: user name is empty': STATUS.invalidArgument,
  'etcdserver: user name not found': STATUS.failedPrecondition,
  'etcdserver: role name already exists': STATUS.failedPrecondition,
  'etcdserver: role name not found': STATUS.failedPrecondition,
  'etcdserver: role name is empty': STATUS.invalidArgument,
  'etcdserver: authentication failed, invalid user ID or password': STATUS.invalidArgument,
  'etcdserver: permission not given': STATUS.invalidArgument,
  'etcdserver: permission denied': STATUS.permissionDenied,
  'etcdserver: role is not granted to the user': STATUS.failedPrecondition,
  'etcdserver: permission is not granted to the role': STATUS.failedPrecondition,
  'etcdserver: authentication is not enabled': STATUS.failedPrecondition,
  'etcdserver: invalid auth token': STATUS.unauthenticated,
  'etcdserver: invalid auth management': STATUS.invalidArgument,
  'etcdserver: revision of auth store is old': STATUS.invalidArgument,

  'etcdserver: no leader': STATUS.unavailable,
  'etcdserver: not leader': STATUS.failedPrecondition,
  'etcdserver: leader changed': STATUS.unavailable,
  'etcdserver: not capable': STATUS.failedPrecondition,
  'etcdserver: server stopped': STATUS.unavailable,
  'etcdserver: request timed out': STATUS.unavailable,
  'etcdserver: request timed out, possibly due to previous leader failure': STATUS.unavailable,
  'etcdserver: request timed out, possibly due to connection lost': STATUS.unavailable,
  'etcdserver: request timed out, waiting for the applied index took too long': STATUS.unavailable,
  'etcdserver: unhealthy cluster': STATUS.unavailable,
  'etcdserver: corrupt cluster': STATUS.dataLoss,
  'etcdserver: rpc not supported for learner': STATUS.failedPrecondition,
  'etcdserver: bad leader transferee': STATUS.failedPrecondition,

  'etcdserver: wrong downgrade target version format': STATUS.invalidArgument,
  'etcdserver: invalid downgrade target version': STATUS.invalidArgument,
  'etcdserver: cluster version not found during downgrade': STATUS.failedPrecondition,
  'etcdserver: cluster has a downgrade job in progress': STATUS.failedPrecondition,
  'etcdserver: no inflight downgrade job': STATUS.failedPrecondition,

  'etcdserver: request canceled': STATUS.cancelled,
  'etcdserver: context deadline exceeded': STATUS.deadlineExceeded,
} as const satisfies Record<string, Status>;
/** A text that clients of etcd match. */
export type EtcdText = keyof typeof ETCD_STATUS;

/** What the state machine says, where the API says it in other words. */
const SAID_OTHERWISE: Readonly<Record<string, EtcdText>> = {
  'requested lease not found': 'etcdserver: requested lease not found',
  'lease already exists': 'etcdserver: lease already exists',
  'too large lease TTL': 'etcdserver: too large lease TTL',
  'mvcc: required revision has been compacted': 'etcdserver: mvcc: required revision has been compacted',
  'mvcc: required revision is a future revision': 'etcdserver: mvcc: required revision is a future revision',
  'membership: ID removed': 'etcdserver: member not found',
  'membership: ID not found': 'etcdserver: member not found',
  'membership: ID exists': 'etcdserver: member ID already exist',
  'membership: peerURL exists': 'etcdserver: Peer URLs already exists',
  'membership: can only promote a learner member': 'etcdserver: can only promote a learner member',
  'membership: too many learner members in cluster': 'etcdserver: too many learner members in cluster',
};

/** Codes that stand for one text, however the error is worded. */
const TEXT_OF_CODE: Partial<Record<ErrorCode, EtcdText>> = {
  'mvcc.compacted': 'etcdserver: mvcc: required revision has been compacted',
  'mvcc.future': 'etcdserver: mvcc: required revision is a future revision',
  'server.stopped': 'etcdserver: server stopped',
  'server.log': 'etcdserver: server stopped',
  interrupted: 'etcdserver: request canceled',
};

/** An error in etcd's words. */
export function etcdError(text: EtcdText, cause?: unknown): RpcError {
  return new RpcError(ETCD_STATUS[text], text, cause);
}

/** What the client is told of any error: etcd's status where the text is etcd's, otherwise UNKNOWN, as etcd does. */
export function rpcErrorOf(error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const text =
    (error instanceof ToolError && TEXT_OF_CODE[error.code]) || (SAID_OTHERWISE[message] ?? message);
  return isEtcdText(text) ? etcdError(text, error) : new RpcError(STATUS.unknown, text, error);
}

function isEtcdText(text: string): text is EtcdText {
  return Object.hasOwn(ETCD_STATUS, text);
}

/** The refusal of whatever would change data that is only looked at. No client knows it, so it may say what to do. */
export function readOnlyError(): RpcError {
  return new RpcError(
    STATUS.failedPrecondition,
    'etcdkit: the data is served read-only; serve it with --scratch to try changes on a copy that is thrown away',
  );
}
