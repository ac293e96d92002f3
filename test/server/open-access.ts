/** Access where authentication is off, and stays so. */
import { Access } from '../../src/server/auth/access.ts';
import { AccessStats } from '../../src/server/monitor/stats.ts';
import type { AuthOptions } from '../../src/server/services.ts';
import type { TokenProvider } from '../../src/server/auth/tokens.ts';
import { Users } from '../../src/store/apply/users.ts';
import { Overlay } from '../../src/store/backend/overlay.ts';

const NO_TOKENS: TokenProvider = {
  count: 0,
  prefix: () => '',
  assign: () => '',
  infoOf: () => 'unknown',
  invalidate() {},
  clear() {},
  close() {},
};

/** For services over whatever core. */
export const OPEN_AUTH: AuthOptions = {
  tokens: NO_TOKENS,
  passwords: { hash: async () => '', matches: async () => false },
  bcryptCost: 4,
  isNamedByCertificate: false,
  isSkipped: false,
};

export const OPEN_ACCESS = new Access({
  authority: {
    users: new Users(new Overlay({ get: () => undefined, scan: () => [] })),
    leases: { keysOf: () => [] },
  },
  tokens: NO_TOKENS,
  isNamedByCertificate: false,
  stats: new AccessStats(),
});
