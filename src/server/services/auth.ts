/**
 * The Auth service: users, roles, what they may, and log-ins. Passwords never go through the log, only what bcrypt makes
 * of them. etcd v3.6 server/etcdserver/api/v3rpc/auth.go, v3_server.go, server/auth/store.go.
 */
import * as requests from '../../format/proto/auth-requests.ts';
import * as service from '../../format/proto/auth-service.ts';
import type { Input, Message } from '../../format/proto/field.ts';
import type { ResponseHeader } from '../../format/proto/kvpb.ts';
import type { Value } from '../../format/proto/message.ts';
import type { RequestName } from '../../format/proto/request.ts';
import type { Call, Methods, UnaryHandler } from '../../rpc/seam.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import type { Access } from '../auth/access.ts';
import type { Passwords } from '../auth/passwords.ts';
import type { TokenProvider } from '../auth/tokens.ts';
import type { Core } from '../core.ts';
import type { Version } from '../../store/schema/buckets.ts';
import type { AccessStats } from '../monitor/stats.ts';
import { etcdError } from '../rpc-errors.ts';
import { unary } from './method.ts';

export interface AuthServiceOptions {
  access: Access;
  tokens: TokenProvider;
  passwords: Pick<Passwords, 'hash' | 'matches'>;
  /** Of new passwords. */
  bcryptCost: number;
  /** The etcd that the server stands for. */
  emulated: Version;
  stats: AccessStats;
}

const SERVICE = '/etcdserverpb.Auth';
/** Of a name that somebody sent, in the log. */
const NAME_SHOWN = 64;
/** Logins that failed and are logged in a second; all of them are counted. */
const TOLD_A_SECOND = 10;

export function authService(core: Core, options: AuthServiceOptions): Methods {
  const { access, passwords, bcryptCost, emulated } = options;
  const login = new Login(core, options);

  /** The state answers, without an entry in the log for each look, as etcd has it. */
  const question = <Q, A>(
    name: RequestName,
    [request, response]: [Message<Q>, Message<A>],
    answer: (asked: Q, header: ResponseHeader) => Input<A>,
  ): UnaryHandler =>
    unary(request, response, (asked, call) =>
      access.as(call, (caller) => {
        caller.check(name, { [name]: asked });
        return answer(asked, core.header());
      }),
    );

  /** `prepare` replaces what must not go through the log; it costs time, so who asks is asked before it. */
  const change = <Q extends object>(
    name: RequestName,
    request: Message<Q>,
    prepare?: (asked: Q, call: Call) => Promise<object>,
  ): UnaryHandler =>
    unary(request, service.authChangeResponse, async (asked, call) => {
      const caller = await access.callerOf(call);
      caller.check(name, { [name]: asked });
      assertName(asked);
      const prepared = prepare ? await prepare(asked, call) : asked;
      const { revision } = await core.propose({ [name]: prepared, header: caller.signature });
      return { header: core.header(revision) };
    });

  const { users } = core.applier;
  const hashed = async (username: string, password: string, { signal }: Call): Promise<string> =>
    Buffer.from(await passwords.hash(password, bcryptCost, { username, signal })).toString('base64');

  return methodsOf({
    Authenticate: unary(service.authenticateRequest, service.authenticateResponse, (request, call) =>
      login.run(request, call),
    ),
    AuthStatus: unary(requests.authStatusRequest, service.authStatusResponse, (asked, call) =>
      access.as(call, (caller) => {
        // Since 3.7 whether one has to log in is no secret.
        if (emulated === '3.7') void caller.info;
        else caller.check('authStatus', { authStatus: asked });
        return { header: core.header(), enabled: users.isEnabled, authRevision: users.revision };
      }),
    ),
    AuthEnable: change('authEnable', requests.authEnableRequest),
    AuthDisable: change('authDisable', requests.authDisableRequest),
    UserAdd: change(
      'authUserAdd',
      requests.authUserAddRequest,
      async ({ name, password, options }, call) => ({
        name,
        options,
        ...(options?.noPassword ? {} : { hashedPassword: await hashed(name, password, call) }),
      }),
    ),
    UserGet: question(
      'authUserGet',
      [requests.authUserGetRequest, service.authUserGetResponse],
      ({ name }, header) => ({ header, roles: users.rolesOf(name) }),
    ),
    UserList: question(
      'authUserList',
      [requests.authUserListRequest, service.authUserListResponse],
      (_asked, header) => ({ header, users: users.names() }),
    ),
    UserDelete: change('authUserDelete', requests.authUserDeleteRequest),
    UserChangePassword: change(
      'authUserChangePassword',
      requests.authUserChangePasswordRequest,
      async ({ name, password }, call) => ({
        name,
        ...(password === '' ? {} : { hashedPassword: await hashed(name, password, call) }),
      }),
    ),
    UserGrantRole: change('authUserGrantRole', requests.authUserGrantRoleRequest),
    UserRevokeRole: change('authUserRevokeRole', requests.authUserRevokeRoleRequest),
    RoleAdd: change('authRoleAdd', requests.authRoleAddRequest),
    RoleGet: question(
      'authRoleGet',
      [requests.authRoleGetRequest, service.authRoleGetResponse],
      ({ role }, header) => ({ header, perm: users.permissionsOf(role) }),
    ),
    RoleList: question(
      'authRoleList',
      [requests.authRoleListRequest, service.authRoleListResponse],
      (_asked, header) => ({ header, roles: users.roleNames() }),
    ),
    RoleDelete: change('authRoleDelete', requests.authRoleDeleteRequest),
    RoleGrantPermission: change('authRoleGrantPermission', requests.authRoleGrantPermissionRequest),
    RoleRevokePermission: change('authRoleRevokePermission', requests.authRoleRevokePermissionRequest),
  });
}

/** etcd takes a longer one, and dies of it: no row of its database has such a key. */
const NAME_SIZE_MAX = 32_768;

function assertName(asked: object): void {
  const { name } = asked as { name?: unknown };
  if (typeof name === 'string' && Buffer.byteLength(name) > NAME_SIZE_MAX)
    throw etcdError('etcdserver: request is too large');
}

function methodsOf(handlers: Readonly<Record<string, UnaryHandler>>): Methods {
  const rows = Object.entries(handlers).map(([name, handler]) => [`${SERVICE}/${name}`, handler]);
  return { unary: Object.fromEntries(rows) };
}

type LoginRequest = Value<typeof service.authenticateRequest>;
type LoginAnswer = Input<Value<typeof service.authenticateResponse>>;

class Login {
  readonly #core: Core;
  readonly #tokens: TokenProvider;
  readonly #passwords: AuthServiceOptions['passwords'];
  /** Log-ins to what has no log of its own. */
  #unloggedCount = 0;
  readonly #stats: AccessStats;
  /** Since the second began. */
  #told = 0;
  #toldSinceMs = 0;
  /** Since something was told. */
  #untold = 0;

  constructor(core: Core, { tokens, passwords, stats }: AuthServiceOptions) {
    this.#stats = stats;
    this.#core = core;
    this.#tokens = tokens;
    this.#passwords = passwords;
  }

  async run({ name, password }: LoginRequest, { signal, peer }: Call): Promise<LoginAnswer> {
    const { users } = this.#core.applier;
    for (;;) {
      const { revision } = users;
      try {
        await this.#checkPassword(name, password, signal);
      } catch (error) {
        if (users.isEnabled) this.#tell({ user: name.slice(0, NAME_SHOWN), peer, error });
        throw error;
      }
      const prefix = this.#tokens.prefix();
      const index = await this.#logged(name, prefix);
      // The password, or the user, may be another by now.
      if (users.revision !== revision) continue;
      const token = await this.#tokens.assign(name, prefix, { index, revision });
      return { header: this.#core.header(), token };
    }
  }

  async #checkPassword(name: string, password: string, signal: AbortSignal): Promise<void> {
    const { users } = this.#core.applier;
    if (!users.isEnabled) throw etcdError('etcdserver: authentication is not enabled');
    const user = users.user(name);
    if (!user) throw this.#failed();
    if (user.options?.noPassword) {
      this.#stats.loginsFailed++;
      const text = 'auth: authentication failed, password was given for no password user';
      throw new RpcError(STATUS.unknown, text);
    }
    const options = { username: name, signal };
    if (!(await this.#passwords.matches(password, user.password, options))) throw this.#failed();
  }

  #failed(): RpcError {
    this.#stats.loginsFailed++;
    return etcdError('etcdserver: authentication failed, invalid user ID or password');
  }

  /** Whoever tries passwords must not fill the disk too. */
  #tell(fields: { user: string; peer: string; error: unknown }): void {
    const now = performance.now();
    if (now - this.#toldSinceMs >= 1000) {
      this.#toldSinceMs = now;
      this.#told = 0;
    }
    if (this.#told++ >= TOLD_A_SECOND) {
      this.#untold++;
      return;
    }
    const unlogged = this.#untold > 0 ? { unlogged: this.#untold } : {};
    this.#untold = 0;
    this.#core.log.warn({ ...fields, ...unlogged }, 'invalid authentication was requested');
  }

  /** Index of the entry. */
  async #logged(name: string, simpleToken: string): Promise<number> {
    const core = this.#core;
    if (core.isReadOnly) return core.appliedIndex + ++this.#unloggedCount;
    return (await core.propose({ authenticate: { name, simpleToken } })).index;
  }
}
