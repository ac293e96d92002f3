/** The text of a bcrypt hash, as golang.org/x/crypto/bcrypt reads and etcd stores it; and which costs it takes. */
import { timingSafeEqual } from 'node:crypto';
import type { Log } from '../log.ts';

const COST_MIN = 4;
const COST_MAX = 31;
const DEFAULT_COST = 10;
/** Beyond, bcrypt does not look at a password. */
export const PASSWORD_BYTES_MAX = 72;
/** Characters of the digest. */
const DIGEST_LENGTH = 31;

/**
 * Version, cost, salt, digest. Go looks at no minor version (`2a`, `2b`, `2x` and `2y` all are what it makes as `2a`),
 * takes older major ones for the same, and looks neither at separators nor at what follows.
 */
const HASH = /^\$[0-2](?:\$|[^$][^])(\d\d|\+\d)[^]([./A-Za-z0-9]{22})([^]{31})/;

export interface BcryptHash {
  /** As bcryptjs takes it: `$2a$10$` and 22 characters. */
  salt: string;
  digest: string;
}

/** Undefined for what is no hash, or has a cost that there is not. */
export function parseHash(text: string): BcryptHash | undefined {
  const [, cost, salt, digest] = HASH.exec(text) ?? [];
  if (cost === undefined || salt === undefined || digest === undefined || !isCost(Number(cost)))
    return undefined;
  return { salt: `$2a$${costText(Number(cost))}$${salt}`, digest };
}

/** In constant time: whether the digest of `made`, a whole hash, is that of a stored one. */
export function hasDigest(made: string, { digest }: BcryptHash): boolean {
  const [a, b] = [made.slice(-DIGEST_LENGTH), digest].map((text) => Buffer.from(text, 'latin1'));
  return a!.length === b!.length && timingSafeEqual(a!, b!);
}

/** Two digits. */
export function costText(cost: number): string {
  return String(cost).padStart(2, '0');
}

function isCost(cost: number): boolean {
  return Number.isInteger(cost) && cost >= COST_MIN && cost <= COST_MAX;
}

/** The cost that etcd hashes with when it is told `given`: its default, with a warning, for what bcrypt does not have. */
export function bcryptCostOf(given: number, log?: Log): number {
  if (isCost(given)) return given;
  log?.warn(
    {
      'min-cost': COST_MIN,
      'max-cost': COST_MAX,
      'default-cost': DEFAULT_COST,
      'given-cost': given,
    },
    'use default bcrypt cost instead of the invalid given cost',
  );
  return DEFAULT_COST;
}
