/** Requests about users and roles. */
import { text } from '../database-builder.ts';
import type { Request } from './state-machine.ts';

export const addUser = (name: string): Request => ({
  authUserAdd: { name, hashedPassword: Buffer.from('secret').toString('base64') },
});
export const addRole = (name: string): Request => ({ authRoleAdd: { name } });
export const giveRole = (user: string, role: string): Request => ({ authUserGrantRole: { user, role } });
export const permit = (name: string, permType: number, key: string, rangeEnd = ''): Request => ({
  authRoleGrantPermission: { name, perm: { permType, key: text(key), rangeEnd: text(rangeEnd) } },
});
/** Authentication with `root`, at revision 4. */
export const ENABLE: readonly Request[] = [
  addUser('root'),
  addRole('root'),
  giveRole('root', 'root'),
  { authEnable: {} },
];
