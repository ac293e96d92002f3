/** What each method asks of its caller before anything else. etcd v3.6 server/etcdserver/api/v3rpc. */
import type { Methods, StreamHandler, UnaryHandler } from '../../rpc/seam.ts';
import { rpcErrorOf } from '../rpc-errors.ts';
import type { Access, Caller } from './access.ts';

/** `inside`: the method asks by itself, by what is in the request; `nothing`: it is for everybody. */
export type Guard = 'root' | 'login' | 'inside' | 'nothing';

/** A method without a row cannot be served. */
export const GUARDS: Readonly<Record<string, Guard>> = {
  ...guards('/etcdserverpb.KV', {
    Range: 'inside',
    Put: 'inside',
    DeleteRange: 'inside',
    Txn: 'inside',
    Compact: 'root',
  }),
  ...guards('/etcdserverpb.Watch', { Watch: 'inside' }),
  ...guards('/etcdserverpb.Lease', {
    LeaseGrant: 'login',
    LeaseRevoke: 'login',
    LeaseTimeToLive: 'login',
    LeaseLeases: 'inside',
    LeaseKeepAlive: 'inside',
  }),
  ...guards('/etcdserverpb.Cluster', {
    MemberList: 'login',
    MemberAdd: 'inside',
    MemberRemove: 'root',
    MemberUpdate: 'root',
    MemberPromote: 'root',
  }),
  ...guards('/etcdserverpb.Maintenance', {
    Alarm: 'inside',
    Status: 'login',
    Defragment: 'root',
    Hash: 'root',
    HashKV: 'root',
    MoveLeader: 'root',
    Downgrade: 'root',
    Snapshot: 'root',
  }),
  ...guards('/etcdserverpb.Auth', {
    AuthEnable: 'inside',
    AuthDisable: 'inside',
    AuthStatus: 'inside',
    Authenticate: 'nothing',
    UserAdd: 'inside',
    UserDelete: 'inside',
    UserGet: 'inside',
    UserList: 'inside',
    UserChangePassword: 'inside',
    UserGrantRole: 'inside',
    UserRevokeRole: 'inside',
    RoleAdd: 'inside',
    RoleDelete: 'inside',
    RoleGet: 'inside',
    RoleList: 'inside',
    RoleGrantPermission: 'inside',
    RoleRevokePermission: 'inside',
  }),
  ...guards('/v3lockpb.Lock', { Lock: 'inside', Unlock: 'inside' }),
  ...guards('/v3electionpb.Election', {
    Campaign: 'inside',
    Proclaim: 'inside',
    Leader: 'inside',
    Resign: 'inside',
    Observe: 'inside',
  }),
  ...guards('/grpc.health.v1.Health', { Check: 'nothing', Watch: 'nothing' }),
};

function guards(service: string, methods: Readonly<Record<string, Guard>>): Record<string, Guard> {
  return Object.fromEntries(Object.entries(methods).map(([name, guard]) => [`${service}/${name}`, guard]));
}

const DEMANDS: Readonly<Record<'root' | 'login', (caller: Caller) => void>> = {
  root: (caller) => caller.requireRoot(),
  login: (caller) => caller.requireLogin(),
};

/** The same methods, each behind what it asks of its caller. */
export function guarded({ unary = {}, stream = {} }: Methods, access: Access): Methods {
  return {
    unary: mapped(unary, (handler, demand) => guardedUnary(handler, demand, access)),
    stream: mapped(stream, (handler, demand) => guardedStream(handler, demand, access)),
  };
}

type Demand = (caller: Caller) => void;

function mapped<H>(
  handlers: Readonly<Record<string, H>>,
  guard: (handler: H, demand: Demand) => H,
): Record<string, H> {
  return Object.fromEntries(
    Object.entries(handlers).map(([path, handler]) => {
      const kind = GUARDS[path];
      if (kind === undefined) throw new TypeError(`nothing says who may call ${path}`);
      return [path, kind === 'root' || kind === 'login' ? guard(handler, DEMANDS[kind]) : handler];
    }),
  );
}

function guardedUnary(handler: UnaryHandler, demand: Demand, access: Access): UnaryHandler {
  return (bytes, call) =>
    access.as(call, (caller) => {
      told(() => demand(caller));
      return handler(bytes, call);
    });
}

function guardedStream(handler: StreamHandler, demand: Demand, access: Access): StreamHandler {
  return async (stream) => {
    const caller = await access.callerOf(stream);
    told(() => demand(caller));
    await handler(stream);
  };
}

function told(demand: () => void): void {
  try {
    demand();
  } catch (error) {
    throw rpcErrorOf(error);
  }
}
