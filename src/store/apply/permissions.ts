/** Whether the user a request is from may do it, while authentication is enabled. etcd v3.6 server/etcdserver/apply/apply_auth.go. */
import { compareBytes } from '../../bytes/order.ts';
import { PERMISSION_TYPE, type Permission } from '../../format/proto/authpb.ts';
import type { InternalRaftRequest, PutRequest, RequestOp, TxnRequest } from '../../format/proto/rpcpb.ts';
import { type KeyRange, rangeOf } from '../mvcc/key-values.ts';
import type { RequestName } from '../../format/proto/request.ts';
import type { Leases } from './leases.ts';
import { rejected } from './rejected.ts';
import { ROOT, type Users } from './users.ts';

type Kind = 'read' | 'write';

const GRANTS: Record<Kind, readonly number[]> = {
  read: [PERMISSION_TYPE.read, PERMISSION_TYPE.readWrite],
  write: [PERMISSION_TYPE.write, PERMISSION_TYPE.readWrite],
};

/** Requests that only root may make. */
const ADMINISTRATION: readonly RequestName[] = [
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
];

/** Throws a rejection unless the request is allowed. */
export function checkPermission(
  name: RequestName,
  request: InternalRaftRequest,
  { users, leases }: { users: Users; leases: Leases },
): void {
  if (!users.isEnabled) return;
  const { username = '', authRevision = 0 } = request.header ?? {};
  if (ADMINISTRATION.includes(name)) {
    checkRoot(users, username);
    return;
  }
  const asker = new Asker({ users, leases }, username, authRevision);
  const { range, put, deleteRange, txn, leaseRevoke, authUserGet, authRoleGet } = request;
  if (put) asker.checkPut(put);
  else if (range) asker.checkOp({ requestRange: range });
  else if (deleteRange) asker.checkOp({ requestDeleteRange: deleteRange });
  else if (txn) asker.checkTxn(txn);
  else if (leaseRevoke) asker.checkLease(leaseRevoke.id);
  else if (authUserGet && authUserGet.name !== username) checkRoot(users, username);
  else if (authRoleGet && !users.user(username)?.roles.includes(authRoleGet.role)) checkRoot(users, username);
}

function checkRoot(users: Users, username: string): void {
  if (username === '') throw rejected('etcdserver: user name is empty');
  if (!users.user(username)?.roles.includes(ROOT)) throw denied();
}

const denied = (): Error => rejected('etcdserver: permission denied');

/** The user a request is from. */
class Asker {
  readonly #users: Users;
  readonly #leases: Leases;
  readonly #name: string;
  readonly #revision: number;

  constructor({ users, leases }: { users: Users; leases: Leases }, name: string, revision: number) {
    this.#users = users;
    this.#leases = leases;
    this.#name = name;
    this.#revision = revision;
  }

  checkPut({ key, prevKv, lease }: PutRequest): void {
    this.check('write', { key, end: undefined });
    this.checkLease(lease);
    if (prevKv) this.check('read', { key, end: undefined });
  }

  /** Whoever attaches a key to a lease, or revokes it, must be able to delete what hangs on it. */
  checkLease(id: bigint): void {
    // Of root not even the revision is asked: so the leader's revocations survive a change of users.
    if (this.#users.user(this.#name)?.roles.includes(ROOT)) return;
    for (const key of this.#leases.keysOf(id))
      this.check('write', { key: Buffer.from(key, 'latin1'), end: undefined });
  }

  checkOp({ requestRange, requestPut, requestDeleteRange, requestTxn }: RequestOp): void {
    if (requestRange) this.check('read', rangeOf(requestRange.key, requestRange.rangeEnd));
    else if (requestPut) this.checkPut(requestPut);
    else if (requestDeleteRange) {
      const range = rangeOf(requestDeleteRange.key, requestDeleteRange.rangeEnd);
      this.check('write', range);
      if (requestDeleteRange.prevKv) this.check('read', range);
    } else if (requestTxn) this.checkTxn(requestTxn);
  }

  /** Both branches: which one is done must not depend on who asks. */
  checkTxn({ compare, success, failure }: TxnRequest): void {
    for (const { key, rangeEnd } of compare) this.check('read', rangeOf(key, rangeEnd));
    for (const op of [...success, ...failure]) this.checkOp(op);
  }

  check(kind: Kind, range: KeyRange): void {
    if (this.#revision === 0) throw rejected('etcdserver: user name is empty');
    if (this.#revision < this.#users.revision) throw rejected('etcdserver: revision of auth store is old');
    const user = this.#users.user(this.#name);
    if (!user) throw denied();
    if (user.roles.includes(ROOT)) return;
    const grants = user.roles
      .flatMap((role) => this.#users.role(role)?.keyPermission ?? [])
      .filter(({ permType }) => GRANTS[kind].includes(permType));
    if (!covers(grants, range)) throw denied();
  }
}

/** Whether the permissions together leave no key of the range out. */
function covers(grants: readonly Permission[], { key, end }: KeyRange): boolean {
  const isOpen = (bytes: Uint8Array): boolean => bytes.length === 0;
  const ranges = grants
    .map((grant) => rangeOf(grant.key, grant.rangeEnd))
    .sort((a, b) => compareBytes(a.key, b.key));
  const holdsPoint = (range: KeyRange): boolean =>
    range.end === undefined
      ? compareBytes(range.key, key) === 0
      : compareBytes(range.key, key) <= 0 && (isOpen(range.end) || compareBytes(key, range.end) < 0);
  if (end === undefined) return ranges.some(holdsPoint);

  let reached = key;
  for (const range of ranges) {
    if (compareBytes(range.key, reached) > 0) return false;
    // A permission for one key ends right behind it.
    const to = range.end ?? Buffer.concat([range.key, Uint8Array.of(0)]);
    if (isOpen(to)) return true;
    if (compareBytes(to, reached) > 0) reached = to;
    if (!isOpen(end) && compareBytes(reached, end) >= 0) return true;
  }
  return false;
}
