/** What the Auth service is asked and answers beside the log's requests (etcd v3.6 api/etcdserverpb/rpc.proto); proto3. */
import { permission } from './authpb.ts';
import { bool, count, embed, named, repeated, text } from './field.ts';
import { responseHeader } from './kvpb.ts';
import { message } from './message.ts';

export const authenticateRequest = message('etcdserverpb.AuthenticateRequest', {
  name: text(1),
  password: text(2),
});
export const authenticateResponse = message('etcdserverpb.AuthenticateResponse', {
  header: embed(1, responseHeader),
  token: text(2),
});

export const authStatusResponse = message('etcdserverpb.AuthStatusResponse', {
  header: embed(1, responseHeader),
  enabled: bool(2),
  authRevision: named('authRevision', count(3)),
});

export const authUserGetResponse = message('etcdserverpb.AuthUserGetResponse', {
  header: embed(1, responseHeader),
  roles: repeated(text(2)),
});
export const authUserListResponse = message('etcdserverpb.AuthUserListResponse', {
  header: embed(1, responseHeader),
  users: repeated(text(2)),
});
export const authRoleGetResponse = message('etcdserverpb.AuthRoleGetResponse', {
  header: embed(1, responseHeader),
  perm: repeated(embed(2, permission)),
});
export const authRoleListResponse = message('etcdserverpb.AuthRoleListResponse', {
  header: embed(1, responseHeader),
  roles: repeated(text(2)),
});

/** Of every method that changes something: etcd has a type for each, all with nothing but the header. */
export const authChangeResponse = message('etcdserverpb.AuthChangeResponse', {
  header: embed(1, responseHeader),
});
