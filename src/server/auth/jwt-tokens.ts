/**
 * JWTs, made and read with one algorithm and one key (etcd v3.6 server/auth/jwt.go). They outlive a restart, and nobody
 * can take one back: what ends it is `exp`, or a revision that the auth store has left behind.
 *
 * A token of others pays for the check of its signature once; after that it is known. What is known is found by a keyed digest,
 * so that no time tells how much of a token was right, and is held against the clock each time it is asked for. What
 * can be refused without a signature (another algorithm, past its time, too long) is refused before one is checked.
 */
import { hash, randomBytes } from 'node:crypto';
import { CompactSign, compactVerify, errors } from 'jose';
import { ToolError } from '../../errors.ts';
import { claimsOf, isTimely, type JwtClaims } from './jwt-claims.ts';
import type { JwtOptions } from './jwt-options.ts';
import type { LoginPoint, TokenProvider, TokenRefusal, TokenVerdict } from './tokens.ts';

/** Many times what etcd signs: an RSA key of 16,384 bits makes 2,731 characters of signature. */
const TOKEN_LENGTH_MAX = 16 << 10;
const DEFAULT_KNOWN_MAX = 4096;
/** A check takes about a tenth of a millisecond in the threads that also sync the disk. */
const DEFAULT_CHECKS_MAX = 128;

export interface JwtTokensOptions extends JwtOptions {
  /** Milliseconds since 1970. */
  nowMs: () => number;
  /** Tokens whose signature need not be checked again. */
  knownMax?: number;
  /** Signatures that are checked at one time; more requests with unknown tokens are refused. */
  checksMax?: number;
}

export class JwtTokens implements TokenProvider {
  readonly #options: JwtTokensOptions;
  readonly #knownMax: number;
  readonly #checksMax: number;
  readonly #digestKey = randomBytes(32).toString('hex');
  /** By digest, in the order in which they came: of tokens with one lifetime, that in which they expire. */
  readonly #known = new Map<string, JwtClaims>();
  /** By digest. Requests with one token share its check. */
  readonly #checks = new Map<string, Promise<TokenVerdict>>();

  constructor(options: JwtTokensOptions) {
    this.#options = options;
    this.#knownMax = options.knownMax ?? DEFAULT_KNOWN_MAX;
    this.#checksMax = options.checksMax ?? DEFAULT_CHECKS_MAX;
  }

  get count(): number {
    return this.#known.size;
  }

  prefix(): string {
    return '';
  }

  async assign(username: string, _prefix: string, { revision }: LoginPoint): Promise<string> {
    const { algorithm, keys, ttlMs, nowMs } = this.#options;
    if (!keys.sign) throw new ToolError('server.token', 'auth: token signing attempted with verify-only key');
    const claims = { exp: Math.floor((nowMs() + ttlMs) / 1000), revision, username };
    const token = await new CompactSign(Buffer.from(JSON.stringify(claims)))
      .setProtectedHeader({ alg: algorithm, typ: 'JWT' })
      .sign(keys.sign);
    const said = claimsOf(token);
    // Known at once: whoever has just logged in does not wait behind those who try tokens.
    if (said) this.#remember(this.#digestOf(token), said);
    return token;
  }

  /** The revision is that of the token. */
  infoOf(token: string): TokenVerdict | Promise<TokenVerdict> {
    if (token.length > TOKEN_LENGTH_MAX) return 'shape';
    const digest = this.#digestOf(token);
    const known = this.#known.get(digest);
    if (known) return this.#timely(digest, known);
    const check = this.#checks.get(digest);
    if (check) return check;
    const claims = claimsOf(token);
    if (!claims) return 'shape';
    if (!isTimely(claims, this.#options.nowMs())) return 'time';
    if (this.#checks.size >= this.#checksMax) return 'busy';
    const fresh = this.#check(token, digest, claims);
    this.#checks.set(digest, fresh);
    return fresh;
  }

  /** Nothing to do, as with etcd: a change of a user makes all older revisions too old. */
  invalidate(_username: string): void {}

  clear(): void {
    this.#known.clear();
  }

  close(): void {
    this.clear();
  }

  #digestOf(token: string): string {
    return hash('sha256', this.#digestKey + token, 'base64');
  }

  #timely(digest: string, claims: JwtClaims): TokenVerdict {
    const now = this.#options.nowMs();
    if (now >= claims.expiresAt) this.#known.delete(digest);
    return isTimely(claims, now) ? claims.info : 'time';
  }

  /**
   * Never rejects. Differs from golang-jwt where jose is stricter, as the standards are: a `crit` header that is not
   * understood is refused, and so is the salt of a PS signature that is not as long as its hash.
   */
  async #check(token: string, digest: string, claims: JwtClaims): Promise<TokenVerdict> {
    const { algorithm, keys } = this.#options;
    try {
      await compactVerify(token, keys.verify, { algorithms: [algorithm] });
    } catch (error) {
      return refusalOf(error);
    } finally {
      this.#checks.delete(digest);
    }
    this.#remember(digest, claims);
    return this.#timely(digest, claims);
  }

  #remember(digest: string, claims: JwtClaims): void {
    this.#known.set(digest, claims);
    if (this.#known.size <= this.#knownMax) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      break;
    }
  }
}

function refusalOf(error: unknown): TokenRefusal {
  if (error instanceof errors.JOSEAlgNotAllowed) return 'algorithm';
  return error instanceof errors.JWSSignatureVerificationFailed ? 'signature' : 'shape';
}
