/** Auth requests in the log (etcd v3.6 api/etcdserverpb/rpc.proto, raft_internal.proto); proto3. */
import { permission, userAddOptions } from './authpb.ts';
import { bytes, embed, named, text } from './field.ts';
import { message, type Value } from './message.ts';

export const authEnableRequest = message('etcdserverpb.AuthEnableRequest', {});
export const authDisableRequest = message('etcdserverpb.AuthDisableRequest', {});
export const authStatusRequest = message('etcdserverpb.AuthStatusRequest', {});

/** Makes a token; changes nothing on disk. */
export const internalAuthenticateRequest = message('etcdserverpb.InternalAuthenticateRequest', {
  name: text(1),
  password: text(2),
  simpleToken: text(3),
});
export type InternalAuthenticateRequest = Value<typeof internalAuthenticateRequest>;

/** `hashedPassword` is base64 of bcrypt's text, since 3.5; older entries carry the plain password. */
export const authUserAddRequest = message('etcdserverpb.AuthUserAddRequest', {
  name: text(1),
  password: text(2),
  options: embed(3, userAddOptions),
  hashedPassword: named('hashedPassword', text(4)),
});
export type AuthUserAddRequest = Value<typeof authUserAddRequest>;

export const authUserDeleteRequest = message('etcdserverpb.AuthUserDeleteRequest', { name: text(1) });
export const authUserGetRequest = message('etcdserverpb.AuthUserGetRequest', { name: text(1) });

export const authUserChangePasswordRequest = message('etcdserverpb.AuthUserChangePasswordRequest', {
  name: text(1),
  password: text(2),
  hashedPassword: named('hashedPassword', text(3)),
});
export type AuthUserChangePasswordRequest = Value<typeof authUserChangePasswordRequest>;

export const authUserGrantRoleRequest = message('etcdserverpb.AuthUserGrantRoleRequest', {
  user: text(1),
  role: text(2),
});
export const authUserRevokeRoleRequest = message('etcdserverpb.AuthUserRevokeRoleRequest', {
  name: text(1),
  role: text(2),
});
export const authUserListRequest = message('etcdserverpb.AuthUserListRequest', {});
export const authRoleListRequest = message('etcdserverpb.AuthRoleListRequest', {});

export const authRoleAddRequest = message('etcdserverpb.AuthRoleAddRequest', { name: text(1) });
export const authRoleDeleteRequest = message('etcdserverpb.AuthRoleDeleteRequest', { role: text(1) });
export const authRoleGetRequest = message('etcdserverpb.AuthRoleGetRequest', { role: text(1) });

export const authRoleGrantPermissionRequest = message('etcdserverpb.AuthRoleGrantPermissionRequest', {
  name: text(1),
  perm: embed(2, permission),
});
export type AuthRoleGrantPermissionRequest = Value<typeof authRoleGrantPermissionRequest>;

export const authRoleRevokePermissionRequest = message('etcdserverpb.AuthRoleRevokePermissionRequest', {
  role: text(1),
  key: bytes(2),
  rangeEnd: bytes(3),
});
export type AuthRoleRevokePermissionRequest = Value<typeof authRoleRevokePermissionRequest>;
