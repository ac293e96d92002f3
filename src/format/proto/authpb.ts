/** Rows of `authUsers` and `authRoles` (etcd v3.6 api/authpb/auth.proto); proto3. */
import { bool, bytes, choice, embed, named, repeated, text } from './field.ts';
import { message, type Value } from './message.ts';

export const userAddOptions = message('authpb.UserAddOptions', { noPassword: bool(1) });
export type UserAddOptions = Value<typeof userAddOptions>;

/** `password` is bcrypt's text; `roles` are sorted; `options` is there since 3.4, even if empty. */
export const user = message('authpb.User', {
  name: bytes(1),
  password: bytes(2),
  roles: repeated(text(3)),
  options: embed(4, userAddOptions),
});
export type User = Value<typeof user>;

export const PERMISSION_TYPE = { read: 0, write: 1, readWrite: 2 } as const;

/** `rangeEnd` empty: one key; a single zero byte: to the end of all keys. */
export const permission = message('authpb.Permission', {
  permType: named('permType', choice(1, ['READ', 'WRITE', 'READWRITE'])),
  key: bytes(2),
  rangeEnd: bytes(3),
});
export type Permission = Value<typeof permission>;

/** `keyPermission` is sorted by key. */
export const role = message('authpb.Role', {
  name: bytes(1),
  keyPermission: named('keyPermission', repeated(embed(2, permission))),
});
export type Role = Value<typeof role>;
