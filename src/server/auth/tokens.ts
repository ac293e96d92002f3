/** What a user shows after a login, and whose it is. etcd v3.6 server/auth/store.go `TokenProvider`. */

/** Who a request is from, and which state of users and roles that was known under. */
export interface AuthInfo {
  username: string;
  /** Of the auth store, when the token was made or read. */
  revision: number;
}

/** Why a token is not valid: nobody has it, or what is wrong with one that is signed; `busy`: too many were being checked. */
export const TOKEN_REFUSALS = ['unknown', 'shape', 'algorithm', 'signature', 'time', 'busy'] as const;

export type TokenRefusal = (typeof TOKEN_REFUSALS)[number];

/** Whose token it is, or why it is not valid. */
export type TokenVerdict = AuthInfo | TokenRefusal;

/** Where a login stands in the log. */
export interface LoginPoint {
  /** Of the entry. */
  index: number;
  /** Of the auth store. */
  revision: number;
}

export interface TokenProvider {
  /** Tokens that are known now. */
  readonly count: number;
  /** The part of a token that goes through the log; empty where there is none. */
  prefix(): string;
  /** A token for a user who has shown the password. Throws a `ToolError` with etcd's text where none can be made. */
  assign(username: string, prefix: string, point: LoginPoint): string | Promise<string>;
  /**
   * `revision` is that of the auth store now. Answers at once wherever it can: it stands before every request.
   */
  infoOf(token: string, revision: number): TokenVerdict | Promise<TokenVerdict>;
  /** The user was deleted, or has another password. */
  invalidate(username: string): void;
  /** Authentication was turned off. */
  clear(): void;
  close(): void;
}
