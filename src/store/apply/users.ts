/** Users and roles as rows of `auth`, `authUsers` and `authRoles`. etcd v3.6 server/auth/store.go. */
import { compareBytes } from '../../bytes/order.ts';
import { UnsupportedError } from '../../errors.ts';
import type {
  AuthRoleGrantPermissionRequest,
  AuthRoleRevokePermissionRequest,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
} from '../../format/proto/auth-requests.ts';
import {
  PERMISSION_TYPE,
  type Permission,
  type Role,
  role as roleMessage,
  type User,
  user as userMessage,
} from '../../format/proto/authpb.ts';
import type { Backend } from '../backend/backend.ts';
import { intervalOf, KeyIntervals } from './key-intervals.ts';
import { encodeIndex, indexOf } from '../schema/rows.ts';
import { rejected } from './rejected.ts';

export const ROOT = 'root';
const ENABLED_KEY = Buffer.from('authEnabled');
const REVISION_KEY = Buffer.from('authRevision');
const FIRST_REVISION = 1;
/** What role root may, whatever its row says. */
const EVERYTHING: Permission = {
  permType: PERMISSION_TYPE.readWrite,
  key: new Uint8Array(),
  rangeEnd: Uint8Array.of(0),
};

/** What a user may, by all roles together. */
export interface Rights {
  isRoot: boolean;
  read: KeyIntervals;
  write: KeyIntervals;
}

const byText = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

export class Users {
  /** Whether requests are asked who makes them. */
  isEnabled: boolean;
  /** Grows with each change of users and roles. */
  revision: number;
  /** Told of a user whose log-ins count no more; of all of them without a name. */
  onLogOut: ((name?: string) => void) | undefined;
  readonly #backend: Backend;
  /** Of those who were asked about since users or roles last changed. */
  readonly #rights = new Map<string, Rights>();

  /** Throws `CorruptError`. */
  constructor(backend: Backend) {
    this.#backend = backend;
    this.isEnabled = backend.get('auth', ENABLED_KEY)?.[0] === 1;
    const value = backend.get('auth', REVISION_KEY);
    this.revision = value ? indexOf(value, 'authRevision') : FIRST_REVISION;
  }

  #advance(): void {
    this.#rights.clear();
    this.#backend.put('auth', REVISION_KEY, encodeIndex(++this.revision));
  }

  #setEnabled(isEnabled: boolean): void {
    this.isEnabled = isEnabled;
    this.#backend.put('auth', ENABLED_KEY, Uint8Array.of(Number(isEnabled)));
  }

  user(name: string): User | undefined {
    const value = this.#backend.get('authUsers', Buffer.from(name));
    return value && userMessage.decode(value);
  }

  role(name: string): Role | undefined {
    const value = this.#backend.get('authRoles', Buffer.from(name));
    return value && roleMessage.decode(value);
  }

  /** Undefined for a user that is not there. */
  rightsOf(name: string): Rights | undefined {
    const known = this.#rights.get(name);
    if (known) return known;
    const user = this.user(name);
    if (!user) return undefined;
    const rights = this.#rightsBy(user.roles);
    this.#rights.set(name, rights);
    return rights;
  }

  #rightsBy(roles: readonly string[]): Rights {
    const permissions = roles.flatMap((role) => this.role(role)?.keyPermission ?? []);
    const keysBy = (...types: readonly number[]): KeyIntervals =>
      new KeyIntervals(
        permissions
          .filter(({ permType }) => types.includes(permType))
          .map(({ key, rangeEnd }) => intervalOf(key, rangeEnd)),
      );
    return {
      isRoot: roles.includes(ROOT),
      read: keysBy(PERMISSION_TYPE.read, PERMISSION_TYPE.readWrite),
      write: keysBy(PERMISSION_TYPE.write, PERMISSION_TYPE.readWrite),
    };
  }

  /** Throws a rejection for a user who cannot have logged in; whether the password was right is not known here. */
  checkLogin(name: string): void {
    if (!this.isEnabled) throw rejected('etcdserver: authentication is not enabled');
    const user = this.user(name);
    if (!user || user.options?.noPassword)
      throw rejected('etcdserver: authentication failed, invalid user ID or password');
  }

  /** In the order of their rows. */
  names(): string[] {
    return this.#rowNames('authUsers');
  }

  /** Of roles, in the order of their rows. */
  roleNames(): string[] {
    return this.#rowNames('authRoles');
  }

  #rowNames(bucket: 'authUsers' | 'authRoles'): string[] {
    return [...this.#backend.scan(bucket)].map(({ key }) => Buffer.from(key).toString());
  }

  /** Throws a rejection when there is no such user. */
  rolesOf(name: string): string[] {
    return this.#known(name).roles;
  }

  /** Throws a rejection when there is no such role. */
  permissionsOf(name: string): Permission[] {
    const { keyPermission } = this.#knownRole(name);
    return name === ROOT ? [EVERYTHING] : keyPermission;
  }

  #known(name: string): User {
    const user = this.user(name);
    if (!user) throw rejected('etcdserver: user name not found');
    return user;
  }

  #knownRole(name: string): Role {
    const role = this.role(name);
    if (!role) throw rejected('etcdserver: role name not found');
    return role;
  }

  #writeUser(user: User): void {
    this.#backend.put('authUsers', user.name, userMessage.encode(user));
    this.#advance();
  }

  #writeRole(role: Role): void {
    this.#backend.put('authRoles', role.name, roleMessage.encode(role));
  }

  enable(): void {
    if (this.isEnabled) return;
    const root = this.user(ROOT);
    if (!root) throw rejected('etcdserver: root user does not exist');
    if (!root.roles.includes(ROOT)) throw rejected('etcdserver: root user does not have root role');
    this.#setEnabled(true);
  }

  disable(): void {
    if (!this.isEnabled) return;
    this.#setEnabled(false);
    this.#advance();
    this.onLogOut?.();
  }

  /** While authentication is on, nobody may lock everybody out. */
  #protectRoot(isRoot: boolean): void {
    if (this.isEnabled && isRoot) throw rejected('etcdserver: invalid auth management');
  }

  addUser(request: AuthUserAddRequest): void {
    const { name } = request;
    if (name === '') throw rejected('etcdserver: user name is empty');
    if (this.user(name)) throw rejected('etcdserver: user name already exists');
    const options = request.options ?? { noPassword: false };
    this.#writeUser({ name: Buffer.from(name), password: passwordOf(request, options), roles: [], options });
  }

  changePassword(request: AuthUserChangePasswordRequest): void {
    const user = this.#known(request.name);
    const options = user.options ?? { noPassword: false };
    this.#writeUser({ ...user, password: passwordOf(request, options) });
    this.onLogOut?.(request.name);
  }

  deleteUser(name: string): void {
    this.#protectRoot(name === ROOT);
    this.#known(name);
    this.#backend.delete('authUsers', Buffer.from(name));
    this.#advance();
    this.onLogOut?.(name);
  }

  grantRole(name: string, role: string): void {
    const user = this.#known(name);
    if (role !== ROOT) this.#knownRole(role);
    if (user.roles.includes(role)) return;
    this.#writeUser({ ...user, roles: [...user.roles, role].sort(byText) });
  }

  revokeRole(name: string, role: string): void {
    this.#protectRoot(name === ROOT && role === ROOT);
    const user = this.#known(name);
    if (!user.roles.includes(role)) throw rejected('etcdserver: role is not granted to the user');
    this.#writeUser({ ...user, roles: user.roles.filter((one) => one !== role) });
  }

  addRole(name: string): void {
    if (name === '') throw rejected('etcdserver: role name is empty');
    if (this.role(name)) throw rejected('etcdserver: role name already exists');
    this.#writeRole({ name: Buffer.from(name), keyPermission: [] });
    this.#advance();
  }

  deleteRole(name: string): void {
    this.#protectRoot(name === ROOT);
    this.#knownRole(name);
    this.#backend.delete('authRoles', Buffer.from(name));
    const rows = [...this.#backend.scan('authUsers')];
    for (const { key, value } of rows) {
      const user = userMessage.decode(value);
      if (!user.roles.includes(name)) continue;
      const roles = user.roles.filter((one) => one !== name);
      this.#backend.put('authUsers', key, userMessage.encode({ ...user, roles }));
    }
    this.#advance();
  }

  grantPermission({ name, perm }: AuthRoleGrantPermissionRequest): void {
    if (!perm) throw rejected('etcdserver: permission not given');
    if (!isPermissible(perm)) throw rejected('etcdserver: invalid auth management');
    const role = this.#knownRole(name);
    const first = role.keyPermission.find(({ key }) => compareBytes(key, perm.key) === 0);
    const isSame = first && compareBytes(first.rangeEnd, perm.rangeEnd) === 0;
    const keyPermission = isSame
      ? role.keyPermission.map((one) => (one === first ? perm : one))
      : [...role.keyPermission, perm].sort((a, b) => compareBytes(a.key, b.key));
    this.#writeRole({ ...role, keyPermission });
    this.#advance();
  }

  revokePermission({ role: name, key, rangeEnd }: AuthRoleRevokePermissionRequest): void {
    const role = this.#knownRole(name);
    const keyPermission = role.keyPermission.filter(
      (one) => compareBytes(one.key, key) !== 0 || compareBytes(one.rangeEnd, rangeEnd) !== 0,
    );
    if (keyPermission.length === role.keyPermission.length)
      throw rejected('etcdserver: permission is not granted to the role');
    this.#writeRole({ ...role, keyPermission });
    this.#advance();
  }
}

/** Whether the permission is for any key at all. */
function isPermissible({ key, rangeEnd }: Permission): boolean {
  if (key.length === 0) return false;
  const isOpen = rangeEnd.length === 1 && rangeEnd[0] === 0;
  return rangeEnd.length === 0 || isOpen || compareBytes(key, rangeEnd) < 0;
}

/** bcrypt's text. Servers up to 3.4 logged the plain password, and each member made another text of it. */
function passwordOf(
  { password, hashedPassword }: { password: string; hashedPassword: string },
  { noPassword }: { noPassword: boolean },
): Uint8Array {
  if (noPassword) return new Uint8Array();
  if (hashedPassword === '' && password !== '') {
    throw new UnsupportedError('apply.password', 'the log holds a plain password, as etcd 3.4 wrote them', {
      hint: 'start the old etcd on the directory once, so that it applies its log, and stop it again',
    });
  }
  return Buffer.from(hashedPassword, 'base64');
}
