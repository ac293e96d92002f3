/** Lines of the gate that let somebody through who must not pass, or hold up somebody who may, when they are wrong. */
import type { Mutant } from './mutants.ts';

const GATE = 'store/apply/permissions.js';

export const AUTH_MUTANTS: readonly Mutant[] = [
  {
    name: 'whoever may write may read',
    file: GATE,
    find: 'read: [PERMISSION_TYPE.read, PERMISSION_TYPE.readWrite]',
    replace: 'read: [PERMISSION_TYPE.read, PERMISSION_TYPE.write, PERMISSION_TYPE.readWrite]',
  },
  {
    name: 'the branch for failure is not looked at',
    file: GATE,
    find: 'for (const op of [...success, ...failure])',
    replace: 'for (const op of success)',
  },
  {
    name: 'the end of a permission belongs to it',
    file: GATE,
    find: 'compareBytes(key, range.end) < 0',
    replace: 'compareBytes(key, range.end) <= 0',
  },
  {
    name: 'what was there before a put is shown to all',
    file: GATE,
    find: "if (prevKv)\n            this.check('read', { key, end: undefined });",
    replace: '',
  },
  {
    name: 'what hangs on a lease does not matter',
    file: GATE,
    find: 'for (const key of this.#leases.keysOf(id))',
    replace: 'for (const key of [])',
  },
];
