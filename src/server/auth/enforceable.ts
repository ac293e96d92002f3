/** Whether a server can keep out whom the users and roles of its data keep out. */
import { RefusedError } from '../../errors.ts';
import type { Users } from '../../store/apply/users.ts';

/** Throws `server.auth` where a user or role cannot be read: who may do what would be anybody's guess. */
export function assertEnforceable(users: Users, path: string): void {
  if (!users.isEnabled) return;
  const readable = (what: string, name: string, read: () => unknown): void => {
    try {
      read();
    } catch (cause) {
      throw new RefusedError(
        'server.auth',
        `authentication is enabled in ${path}, but ${what} ${JSON.stringify(name)} cannot be read, so it cannot be enforced`,
        { cause, hint: `see what is damaged with etcdkit snapshot verify ${path}` },
      );
    }
  };
  for (const name of users.roleNames()) readable('role', name, () => users.role(name));
  for (const name of users.names()) readable('user', name, () => users.user(name));
}
