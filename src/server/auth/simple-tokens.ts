/**
 * Simple tokens: random letters, a dot, and the log index of the login (etcd v3.6 server/auth/simple_token.go). They
 * live in memory alone, until nobody has used them for a while.
 *
 * Found by the index, which is no secret, and then compared as a whole in constant time. The map is in the order of the
 * last use, which is that of expiry, so that a look at what has expired ends at the first that has not.
 */
import { randomInt, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { LoginPoint, TokenProvider, TokenVerdict } from './tokens.ts';

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
const PREFIX_LENGTH = 16;
const DEFAULT_TTL_MS = 300_000;
/** How often expired tokens are looked for; one that is used in between lives on, as with etcd. */
const RESOLUTION_MS = 1000;
/** Ten times what can log in while a token lives, at the speed of bcrypt. */
const DEFAULT_COUNT_MAX = 1 << 16;
/** Without leading zeros, as the index is written in a token. */
const SHAPE = /^[^.]*\.(0|[1-9]\d{0,19})$/;
/** Of a prefix, a dot and 20 digits. */
const LENGTH_MAX = PREFIX_LENGTH + 21;

export interface SimpleTokenOptions {
  /** 0 and below: etcd's default. */
  ttlMs: number;
  clock: Clock;
  /** With more, those that were not used for longest are forgotten. */
  countMax?: number;
}

interface Login {
  token: Buffer;
  username: string;
  endsAt: number;
}

export class SimpleTokens implements TokenProvider {
  readonly #ttlMs: number;
  readonly #clock: Clock;
  readonly #countMax: number;
  /** By index. */
  readonly #logins = new Map<string, Login>();
  #cancelSweep: (() => void) | undefined;

  constructor({ ttlMs, clock, countMax = DEFAULT_COUNT_MAX }: SimpleTokenOptions) {
    this.#ttlMs = ttlMs > 0 ? ttlMs : DEFAULT_TTL_MS;
    this.#clock = clock;
    this.#countMax = countMax;
  }

  get count(): number {
    return this.#logins.size;
  }

  prefix(): string {
    return Array.from({ length: PREFIX_LENGTH }, () => LETTERS[randomInt(LETTERS.length)]).join('');
  }

  assign(username: string, prefix: string, { index }: LoginPoint): string {
    const token = `${prefix}.${index}`;
    this.#use(String(index), { token: Buffer.from(token), username, endsAt: 0 });
    if (this.#logins.size > this.#countMax) {
      for (const oldest of this.#logins.keys()) {
        this.#logins.delete(oldest);
        break;
      }
    }
    this.#cancelSweep ??= this.#clock.after(RESOLUTION_MS, () => this.#sweep());
    return token;
  }

  /**
   * Differs from etcd, which lets a token of an index that is not applied yet wait for it: there is one member, and it
   * gives out no token before it has applied the login.
   */
  infoOf(token: string, revision: number): TokenVerdict {
    if (token.length > LENGTH_MAX) return 'shape';
    const index = SHAPE.exec(token)?.[1];
    if (index === undefined) return 'shape';
    const login = this.#logins.get(index);
    const shown = Buffer.from(token);
    if (!login || shown.length !== login.token.length || !timingSafeEqual(shown, login.token))
      return 'unknown';
    // A sweep that is late, as after a pause of the process, gives no token more time.
    if (this.#clock.now() > login.endsAt + RESOLUTION_MS) return 'unknown';
    this.#use(index, login);
    return { username: login.username, revision };
  }

  invalidate(username: string): void {
    for (const [index, login] of this.#logins) if (login.username === username) this.#logins.delete(index);
  }

  clear(): void {
    this.#logins.clear();
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
  }

  close(): void {
    this.clear();
  }

  /** Its time starts anew, at the end of the order. */
  #use(index: string, login: Login): void {
    login.endsAt = this.#clock.now() + this.#ttlMs;
    this.#logins.delete(index);
    this.#logins.set(index, login);
  }

  #sweep(): void {
    const now = this.#clock.now();
    for (const [index, { endsAt }] of this.#logins) {
      if (endsAt >= now) break;
      this.#logins.delete(index);
    }
    this.#cancelSweep =
      this.#logins.size > 0 ? this.#clock.after(RESOLUTION_MS, () => this.#sweep()) : undefined;
  }
}
