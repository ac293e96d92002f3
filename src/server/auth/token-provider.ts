/** Which kind of token `--auth-token` asks for (etcd v3.6 server/auth/store.go `NewTokenProvider`). */
import { ToolError } from '../../errors.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { invalidOptions, JWT_OPTION_NAMES, jwtOptionsOf } from './jwt-options.ts';
import { JwtTokens } from './jwt-tokens.ts';
import { SimpleTokens } from './simple-tokens.ts';
import type { TokenProvider } from './tokens.ts';

export interface TokenSettings {
  /** `--auth-token`: `simple`, `jwt,sign-method=…`, or empty, where nobody can log in by password. */
  authToken: string;
  /** Of a simple token that is not used; `--auth-token-ttl`. 0: etcd's default. */
  simpleTtlMs: number;
  clock: Clock;
  /** The time that a JWT's claims speak of, in milliseconds since 1970. */
  nowMs?: () => number;
  log: Log;
}

/** Throws a `UsageError` that starts with etcd's text, where the settings or the key files make no sense. */
export function tokenProviderOf(settings: TokenSettings): TokenProvider {
  const { authToken, simpleTtlMs, clock, log, nowMs = Date.now } = settings;
  const { kind, options } = splitOptions(authToken);
  if (kind === 'simple') {
    log.warn({}, 'simple token is not cryptographically signed');
    return new SimpleTokens({ ttlMs: simpleTtlMs, clock });
  }
  if (kind === 'jwt') {
    const jwt = jwtOptionsOf(options);
    const unknown = [...options.keys()].filter((name) => !JWT_OPTION_NAMES.includes(name));
    if (unknown.length > 0) log.warn({ keys: unknown }, 'unknown JWT options');
    return new JwtTokens({ ...jwt, nowMs });
  }
  if (kind === '') return NO_TOKENS;
  throw invalidOptions(`there is no token type ${JSON.stringify(kind)}: simple, or jwt and its options`);
}

interface SplitOptions {
  kind: string;
  options: ReadonlyMap<string, string>;
}

/** Options of `simple` have to be well-formed too, and mean nothing. */
function splitOptions(text: string): SplitOptions {
  const [kind = '', ...pairs] = text.split(',');
  const options = new Map<string, string>();
  for (const pair of pairs) {
    const [name, value, ...rest] = pair.split('=');
    if (name === undefined || value === undefined || rest.length > 0)
      throw invalidOptions(`${JSON.stringify(pair)} is not name=value`);
    if (options.has(name)) throw invalidOptions(`${name} is given twice`);
    options.set(name, value);
  }
  return { kind, options };
}

const NO_TOKENS: TokenProvider = {
  count: 0,
  prefix: () => '',
  assign() {
    throw new ToolError('server.token', 'auth: authentication failed, invalid user ID or password');
  },
  infoOf: () => 'unknown',
  invalidate() {},
  clear() {},
  close() {},
};
