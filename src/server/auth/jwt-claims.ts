/**
 * What a JWT says, and whether it is its time: as etcd v3.6 server/auth/jwt.go reads it through golang-jwt v5 with the
 * default parser. No leeway; a token without `exp`, or with 0 there, never expires; `iat`, `iss`, `aud` and `sub` are
 * not looked at. Nothing here says who signed it.
 */
import type { AuthInfo } from './tokens.ts';

/** Base64url without padding, twice or three times; the signature may be empty here, and is refused later. */
const SHAPE = /^[\w-]+\.([\w-]+)\.[\w-]*$/;
/** Go's time overflows beyond, and wraps around. */
const SECONDS_MAX = 2 ** 63 - 62_135_596_800;

export interface JwtClaims {
  info: AuthInfo;
  /** Milliseconds since 1970; Infinity without. */
  expiresAt: number;
  /** Milliseconds since 1970; -Infinity without. */
  notBefore: number;
}

/** Undefined for what is no token of etcd's, whoever signed it. */
export function claimsOf(token: string): JwtClaims | undefined {
  const claims = objectOf(SHAPE.exec(token)?.[1]);
  if (!claims) return undefined;
  const { username, revision } = claims;
  if (typeof username !== 'string' || typeof revision !== 'number') return undefined;
  // Differs from etcd, where one below 0 becomes a revision above all others. Those that no request's header can carry
  // exactly are none either.
  if (!(revision >= 0 && revision <= Number.MAX_SAFE_INTEGER)) return undefined;
  const expiresAt = timeOf(claims, 'exp') ?? Infinity;
  const notBefore = timeOf(claims, 'nbf') ?? -Infinity;
  if (Number.isNaN(expiresAt) || Number.isNaN(notBefore)) return undefined;
  return { info: { username, revision: Math.trunc(revision) }, expiresAt, notBefore };
}

/** Valid from the first millisecond of `nbf` to the last before `exp`. */
export function isTimely({ expiresAt, notBefore }: JwtClaims, nowMs: number): boolean {
  return nowMs >= notBefore && nowMs < expiresAt;
}

function objectOf(segment: string | undefined): Record<string, unknown> | undefined {
  if (segment === undefined || segment.length % 4 === 1) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(segment, 'base64url').toString());
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined for none, NaN for what is no time. Whole seconds count, rounded down. */
function timeOf(claims: Record<string, unknown>, name: string): number | undefined {
  if (!Object.hasOwn(claims, name) || claims[name] === 0) return undefined;
  const seconds = claims[name];
  // Differs from golang-jwt for an `nbf` that far away: it wraps around there, into the past.
  if (typeof seconds !== 'number' || Math.abs(seconds) >= SECONDS_MAX) return NaN;
  return Math.floor(seconds) * 1000;
}
