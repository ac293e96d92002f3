/**
 * Whether the user a request is from may do it, while authentication is enabled. etcd v3.6
 * server/etcdserver/apply/apply_auth.go.
 */
import { latin1 } from '../../bytes/order.ts';
import type { RequestName } from '../../format/proto/request.ts';
import type {
  InternalRaftRequest,
  PutRequest,
  RequestHeader,
  RequestOp,
  TxnRequest,
} from '../../format/proto/rpcpb.ts';
import { intervalOf, type KeyInterval, pointOf } from './key-intervals.ts';
import type { Leases } from './leases.ts';
import { rejected } from './rejected.ts';
import { ROOT, type Users } from './users.ts';

type Kind = 'read' | 'write';

/** The state that decides. */
export interface Authority {
  users: Users;
  leases: Pick<Leases, 'keysOf'>;
}

/** Who a request is from, as its entry says; no name is nobody. */
export type Signature = Pick<RequestHeader, 'username' | 'authRevision'>;

/** Requests that only root may make. */
const ADMINISTRATION: ReadonlySet<RequestName> = new Set([
  'authEnable',
  'authDisable',
  'authStatus',
  'authUserAdd',
  'authUserDelete',
  'authUserChangePassword',
  'authUserGrantRole',
  'authUserRevokeRole',
  'authUserList',
  'authRoleList',
  'authRoleAdd',
  'authRoleDelete',
  'authRoleGrantPermission',
  'authRoleRevokePermission',
]);

const NOBODY: Signature = { username: '', authRevision: 0 };

/** Throws a rejection unless the request is allowed. */
export function checkPermission(
  name: RequestName,
  request: Partial<InternalRaftRequest>,
  authority: Authority,
): void {
  if (!authority.users.isEnabled) return;
  const asker = new Asker(authority, request.header ?? NOBODY);
  if (ADMINISTRATION.has(name)) return asker.checkRoot();
  const { range, put, deleteRange, txn, leaseRevoke, authUserGet, authRoleGet } = request;
  if (put) asker.checkPut(put);
  else if (range) asker.checkOp({ requestRange: range });
  else if (deleteRange) asker.checkOp({ requestDeleteRange: deleteRange });
  else if (txn) asker.checkTxn(txn);
  else if (leaseRevoke) asker.checkLease('write', leaseRevoke.id);
  else if (authUserGet) asker.checkUserGet(authUserGet.name);
  else if (authRoleGet) asker.checkRoleGet(authRoleGet.role);
}

/** The user a request is from, while authentication is enabled. Every check throws a rejection for what is not allowed. */
export class Asker {
  readonly #users: Users;
  readonly #leases: Authority['leases'];
  readonly #name: string;
  readonly #revision: number;

  constructor({ users, leases }: Authority, { username, authRevision }: Signature) {
    this.#users = users;
    this.#leases = leases;
    this.#name = username;
    this.#revision = authRevision;
  }

  checkRoot(): void {
    if (this.#name === '') throw nobody();
    const rights = this.#users.rightsOf(this.#name);
    if (!rights) throw rejected('etcdserver: user name not found');
    if (!rights.isRoot) throw denied();
  }

  get #isRoot(): boolean {
    return this.#users.rightsOf(this.#name)?.isRoot ?? false;
  }

  checkPut({ key, prevKv, lease }: PutRequest): void {
    const point = pointOf(latin1(key));
    this.#check('write', point, true);
    this.checkLease('write', lease);
    if (prevKv) this.#check('read', point, true);
  }

  /** Whoever attaches a key to a lease, renews it or revokes it must be able to write what hangs on it. */
  checkLease(kind: Kind, id: bigint): void {
    // Of root not even the revision is asked: so the leader's revocations survive a change of users.
    if (id === 0n || this.#isRoot) return;
    for (const key of this.#leases.keysOf(id)) this.#check(kind, pointOf(key), true);
  }

  checkOp({ requestRange, requestPut, requestDeleteRange, requestTxn }: RequestOp): void {
    if (requestRange) this.checkRange('read', requestRange.key, requestRange.rangeEnd);
    else if (requestPut) this.checkPut(requestPut);
    else if (requestDeleteRange) {
      const { key, rangeEnd, prevKv } = requestDeleteRange;
      this.checkRange('write', key, rangeEnd);
      if (prevKv) this.checkRange('read', key, rangeEnd);
    } else if (requestTxn) this.checkTxn(requestTxn);
  }

  /** Both branches: which one is done must not depend on who asks. */
  checkTxn({ compare, success, failure }: TxnRequest): void {
    for (const { key, rangeEnd } of compare) this.checkRange('read', key, rangeEnd);
    for (const op of success) this.checkOp(op);
    for (const op of failure) this.checkOp(op);
  }

  /** Everybody may ask about themselves. */
  checkUserGet(name: string): void {
    if (name !== this.#name) this.checkRoot();
  }

  /** And about the roles they have. */
  checkRoleGet(role: string): void {
    if (!this.#users.user(this.#name)?.roles.includes(role)) this.checkRoot();
  }

  checkRange(kind: Kind, key: Uint8Array, rangeEnd: Uint8Array): void {
    this.#check(kind, intervalOf(key, rangeEnd), rangeEnd.length === 0);
  }

  #check(kind: Kind, interval: KeyInterval, isPoint: boolean): void {
    if (this.#revision === 0) throw nobody();
    if (this.#revision < this.#users.revision) throw stale();
    const rights = this.#users.rightsOf(this.#name);
    if (!rights) throw denied();
    if (rights.isRoot) return;
    const keys = rights[kind];
    if (!(isPoint ? keys.has(interval.begin) : keys.covers(interval))) throw denied();
  }
}

const nobody = (): Error => rejected('etcdserver: user name is empty');
const denied = (): Error => rejected('etcdserver: permission denied');
/** The users or roles have changed since the token was made, or while the request was answered. */
export const stale = (): Error => rejected('etcdserver: revision of auth store is old');

/** Who everything is from that the server does by itself. */
export function signatureOfRoot({ revision }: Users): Signature {
  return { username: ROOT, authRevision: revision };
}
