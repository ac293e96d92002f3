/**
 * Who calls are from, and what they may. While authentication is off everybody may do everything. What the state
 * machine decides by itself, from a request's signature, is decided there once more. etcd v3.6 server/auth/store.go
 * `AuthInfoFromCtx`, server/etcdserver/v3_server.go.
 */
import type { RequestName } from '../../format/proto/request.ts';
import type { InternalRaftRequest } from '../../format/proto/rpcpb.ts';
import type { Call } from '../../rpc/seam.ts';
import {
  Asker,
  type Authority,
  checkPermission,
  type Signature,
  signatureOfRoot,
  stale,
} from '../../store/apply/permissions.ts';
import { etcdError } from '../rpc-errors.ts';
import type { AccessStats } from '../monitor/stats.ts';
import type { AuthInfo, TokenProvider, TokenVerdict } from './tokens.ts';

export interface AccessOptions {
  authority: Authority;
  tokens: TokenProvider;
  /** Whether the common name of a client's certificate says who it is: `--client-cert-auth`. */
  isNamedByCertificate: boolean;
  /** Whether everybody is root, said aloud when the server was started. */
  isSkipped?: boolean;
  stats: AccessStats;
}

const BEARER = 'Bearer ';

export class Access {
  readonly #options: AccessOptions;
  readonly #anybody: Caller;

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#anybody = new Caller(options.authority, undefined);
  }

  /** Runs `run` for whoever calls; at once, unless the token takes a while to read. */
  as<T>(call: Call, run: (caller: Caller) => T | Promise<T>): T | Promise<T> {
    const caller = this.callerOf(call);
    return caller instanceof Promise ? caller.then(run) : run(caller);
  }

  /** To be asked anew for each message of a stream: a token may have run out meanwhile. */
  callerOf(call: Call): Caller | Promise<Caller> {
    const { authority, tokens, isNamedByCertificate, isSkipped } = this.#options;
    if (!authority.users.isEnabled) return this.#anybody;
    if (isSkipped) return new Caller(authority, infoOf(signatureOfRoot(authority.users)));
    const token = call.metadata.get('token') ?? call.metadata.get('authorization');
    if (token !== undefined) {
      const text = token.startsWith(BEARER) ? token.slice(BEARER.length) : token;
      const verdict = tokens.infoOf(text, authority.users.revision);
      return verdict instanceof Promise ? verdict.then((late) => this.#judged(late)) : this.#judged(verdict);
    }
    const { commonName } = call;
    // A gateway before the server shows its own certificate, whoever asked it.
    const isNamed =
      isNamedByCertificate && commonName !== undefined && !call.metadata.has('grpcgateway-accept');
    return new Caller(
      authority,
      isNamed ? { username: commonName, revision: authority.users.revision } : undefined,
    );
  }

  /** Throws `etcdserver: too many requests` where nobody had the time to look at the token. */
  #judged(verdict: TokenVerdict): Caller {
    const { authority, stats } = this.#options;
    if (typeof verdict !== 'string') return new Caller(authority, verdict);
    stats.tokensRefused[verdict]++;
    if (verdict === 'busy') throw etcdError('etcdserver: too many requests');
    return new Caller(authority, 'invalid');
  }

  /** What the server signs what it does by itself with; nothing while authentication is off. */
  ownSignature(): Signature | undefined {
    const { users } = this.#options.authority;
    return users.isEnabled ? signatureOfRoot(users) : undefined;
  }
}

const infoOf = ({ username, authRevision }: Signature): AuthInfo => ({ username, revision: authRevision });

/** Who a call is from. A token that is not valid counts from the moment that somebody asks who it is. */
export class Caller {
  readonly #authority: Authority;
  readonly #info: AuthInfo | 'invalid' | undefined;

  constructor(authority: Authority, info: AuthInfo | 'invalid' | undefined) {
    this.#authority = authority;
    this.#info = info;
  }

  /** Throws UNAUTHENTICATED for a token that is not valid. Undefined for nobody. */
  get info(): AuthInfo | undefined {
    if (this.#info === 'invalid') throw etcdError('etcdserver: invalid auth token');
    return this.#info;
  }

  /** For the header of a request that is proposed. */
  get signature(): Signature | undefined {
    const { info } = this;
    return info && { username: info.username, authRevision: info.revision };
  }

  get #isAsked(): boolean {
    return this.#authority.users.isEnabled;
  }

  get #asker(): Asker {
    return new Asker(this.#authority, this.signature ?? { username: '', authRevision: 0 });
  }

  /** Throws unless somebody is known to call. */
  requireLogin(): void {
    if (this.#isAsked && !this.info) throw etcdError('etcdserver: user name is empty');
  }

  requireRoot(): void {
    if (this.#isAsked) this.#asker.checkRoot();
  }

  /** Throws a rejection unless the state machine would let it pass. */
  check(name: RequestName, request: Partial<InternalRaftRequest>): void {
    if (!this.#isAsked) return;
    const { signature } = this;
    checkPermission(
      name,
      signature ? { ...request, header: { id: 0n, ...signature } } : request,
      this.#authority,
    );
  }

  /** Throws unless the caller may read all keys of a range. */
  checkRead({ key, rangeEnd }: { key: Uint8Array; rangeEnd: Uint8Array }): void {
    if (this.#isAsked) this.#asker.checkRange('read', key, rangeEnd);
  }

  /** Throws unless the caller may read, or write, all keys that hang on a lease. */
  checkLease(kind: 'read' | 'write', id: bigint): void {
    if (!this.#isAsked) return;
    this.requireLogin();
    this.#asker.checkLease(kind, id);
  }

  /** Throws when users or roles have changed since the caller was known. */
  requireCurrent(): void {
    const info = this.#isAsked ? this.info : undefined;
    if (info && info.revision !== this.#authority.users.revision) throw stale();
  }
}
