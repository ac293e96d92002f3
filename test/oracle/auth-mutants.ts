/** Lines of access control that let somebody through who must not pass, or hold up somebody who may, when they are wrong. */
import type { Mutant } from './mutants.ts';

/** A mutant of access control, and where it must be noticed: among the cells unless given. */
export interface AuthMutant extends Mutant {
  readonly part?: 'effects';
  /** Signed unless given. */
  readonly tokens?: 'simple';
}

const PERMISSIONS = 'store/apply/permissions.js';
const INTERVALS = 'store/apply/key-intervals.js';
const USERS = 'store/apply/users.js';
const ACCESS = 'server/auth/access.js';
const GUARDS = 'server/auth/guards.js';

export const AUTH_MUTANTS: readonly AuthMutant[] = [
  {
    name: 'whoever may write may read',
    file: USERS,
    find: 'read: keysBy(PERMISSION_TYPE.read,',
    replace: 'read: keysBy(PERMISSION_TYPE.read, PERMISSION_TYPE.write,',
  },
  {
    name: 'rights stay as they were when first asked for',
    file: USERS,
    find: 'this.#rights.clear();',
    replace: '',
    part: 'effects',
    tokens: 'simple',
  },
  {
    name: 'the branch for failure is not looked at',
    file: PERMISSIONS,
    find: 'for (const op of failure)',
    replace: 'for (const op of [])',
  },
  {
    name: 'comparisons are not looked at',
    file: PERMISSIONS,
    find: 'of compare)',
    replace: 'of [])',
  },
  {
    name: 'what was there before a put is shown to all',
    file: PERMISSIONS,
    find: "if (prevKv)\n            this.#check('read', point, true);",
    replace: '',
  },
  {
    name: 'what was there before a delete is shown to all',
    file: PERMISSIONS,
    find: "if (prevKv)\n                this.checkRange('read', key, rangeEnd);",
    replace: '',
  },
  {
    name: 'what hangs on a lease does not matter',
    file: PERMISSIONS,
    find: 'for (const key of this.#leases.keysOf(id))',
    replace: 'for (const key of [])',
  },
  {
    name: 'what hangs on a lease only matters to whom revokes it',
    file: PERMISSIONS,
    find: "this.checkLease('write', lease);",
    replace: '',
  },
  {
    name: 'nested transactions are not looked at',
    file: PERMISSIONS,
    find: 'else if (requestTxn)',
    replace: 'else if (!requestTxn)',
  },
  {
    name: 'a token of an old revision is as good as new',
    file: PERMISSIONS,
    find: 'if (this.#revision < this.#users.revision)',
    replace: 'if (this.#revision > this.#users.revision)',
  },
  {
    name: 'everybody may ask about everybody',
    file: PERMISSIONS,
    find: 'if (name !== this.#name)',
    replace: "if (name === '')",
  },
  {
    name: 'roles are not administration',
    file: PERMISSIONS,
    find: "'authRoleGrantPermission',",
    replace: '',
  },
  {
    name: 'the end of a permission belongs to it',
    file: INTERVALS,
    find: 'return !isLeft && isBefore(asked.begin, held.end);',
    replace: 'return !isLeft && !isBefore(held.end, asked.begin);',
  },
  {
    name: 'a request may go one key too far',
    file: INTERVALS,
    find: '!isBefore(end, asked.end)',
    replace: '!isBefore(`${end}\\0`, asked.end)',
  },
  {
    name: 'a gap between permissions is no matter',
    file: INTERVALS,
    find: 'else if (isBefore(end, held.begin))',
    replace: 'else if (false)',
  },
  {
    name: 'a request to the end of all keys counts as one of nothing',
    file: INTERVALS,
    find: "end: end === TO_THE_END ? '' : end",
    replace: 'end',
  },
  {
    name: 'a token that is not valid is as good as none, which may list members',
    file: ACCESS,
    find: 'if (this.#isAsked && !this.info)',
    replace: 'if (this.#isAsked && this.#info === null)',
  },
  {
    name: 'whoever is logged in counts as root',
    file: ACCESS,
    find: 'this.#asker.checkRoot();',
    replace: 'this.requireLogin();',
  },
  {
    name: 'whoever is logged in may defragment',
    file: GUARDS,
    find: "Defragment: 'root'",
    replace: "Defragment: 'login'",
  },
  {
    name: 'anybody may grant leases',
    file: GUARDS,
    find: "LeaseGrant: 'login'",
    replace: "LeaseGrant: 'nothing'",
  },
  {
    name: 'a watch is for everybody',
    file: 'server/services/watch-session.js',
    find: 'caller.checkRead(range);',
    replace: '',
  },
  {
    name: 'whoever reads may renew',
    file: 'server/services/lease.js',
    find: "checkLease('write', id)",
    replace: "checkLease('read', id)",
  },
  {
    name: 'the token of a user who is gone, or has another password, goes on',
    file: 'server/services.js',
    find: 'tokens.invalidate(name)',
    replace: 'undefined',
    tokens: 'simple',
  },
  {
    name: 'the tokens of before authentication was off go on',
    file: 'server/services.js',
    find: 'tokens.clear()',
    replace: 'undefined',
    part: 'effects',
    tokens: 'simple',
  },
];
