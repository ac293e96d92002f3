/** What the Auth service takes and answers (etcd v3.6 api/etcdserverpb/rpc.proto); proto3. Requests are in the log too. */
import { permission } from '../../format/proto/authpb.ts';
import { bool, count, embed, named, repeated, text } from '../../format/proto/field.ts';
import { responseHeader } from '../../format/proto/kvpb.ts';
import { message } from '../../format/proto/message.ts';

const header = embed(1, responseHeader);

export const authenticateRequest = message('etcdserverpb.AuthenticateRequest', {
  name: text(1),
  password: text(2),
});
export const authenticateResponse = message('etcdserverpb.AuthenticateResponse', { header, token: text(2) });
export const authStatusResponse = message('etcdserverpb.AuthStatusResponse', {
  header,
  enabled: bool(2),
  authRevision: named('authRevision', count(3)),
});
export const authUserGetResponse = message('etcdserverpb.AuthUserGetResponse', {
  header,
  roles: repeated(text(2)),
});
export const authUserListResponse = message('etcdserverpb.AuthUserListResponse', {
  header,
  users: repeated(text(2)),
});
export const authRoleGetResponse = message('etcdserverpb.AuthRoleGetResponse', {
  header,
  perm: repeated(embed(2, permission)),
});
export const authRoleListResponse = message('etcdserverpb.AuthRoleListResponse', {
  header,
  roles: repeated(text(2)),
});
/** All that other methods answer. */
export const authDoneResponse = message('etcdserverpb.AuthDoneResponse', { header });
