/**
 * Contenders under one name, first come, first served: locks and elections. Each is a key `name/lease`, and the oldest
 * one has its turn. etcd v3.6 client/v3/concurrency, which the server runs for those who cannot.
 */
import { ascending, prefixEnd } from '../../bytes/order.ts';
import type { Input } from '../../format/proto/field.ts';
import type { ResponseHeader, TxnResponse } from '../../format/proto/kvpb.ts';
import { type KeyValue, keyValue } from '../../format/proto/mvccpb.ts';
import {
  COMPARE_RESULT,
  COMPARE_TARGET,
  type InternalRaftRequest,
  type RequestOp,
  type TxnRequest,
} from '../../format/proto/rpcpb.ts';
import type { Call } from '../../rpc/seam.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import { costOf } from '../../store/apply/quota.ts';
import type { Head, KeyRange, Stored } from '../../store/mvcc/key-values.ts';
import type { Access, Caller } from '../auth/access.ts';
import type { Applied, Core } from '../core.ts';
import type { KeyFeed } from './key-feed.ts';
import { freshLeaseId } from './lease-ids.ts';
import { rpcErrorOf } from '../rpc-errors.ts';

/** Of a session whose client brought no lease; seconds. */
const SESSION_TTL = 60n;

/** What locks and elections need. */
export interface ContestOptions {
  access: Access;
  /** Throws NOSPACE when so many bytes exceed the quota, after it has raised the alarm. */
  admit: (bytes: number) => Promise<void> | undefined;
  feed: KeyFeed;
  /** 64 random bits. */
  randomId: () => bigint;
}

/** Which key stands for somebody, and since when. */
export interface Stake {
  key: Uint8Array;
  createRevision: number;
}

/** One that is there, under the header of the transaction that put or found it. */
export interface Entered extends Stake {
  header: ResponseHeader;
  /** What was there already. */
  found: KeyValue | undefined;
}

/** A call, as what acts for its caller: who that is is asked at each step, since waiting takes long. */
export class Acting {
  readonly core: Core;
  readonly signal: AbortSignal;
  readonly #options: ContestOptions;
  readonly #call: Call;

  constructor(core: Core, options: ContestOptions, call: Call) {
    this.core = core;
    this.signal = call.signal;
    this.#options = options;
    this.#call = call;
  }

  async caller(): Promise<Caller> {
    return this.#options.access.callerOf(this.#call);
  }

  async propose(request: Input<InternalRaftRequest>): Promise<Applied> {
    return this.core.propose({ ...request, header: (await this.caller()).signature });
  }

  /** The lease that a client brought, or a new one. */
  async lease(given: bigint): Promise<bigint> {
    if (given !== 0n) return given;
    await this.#options.admit(costOf({ leaseGrant: { id: 0n, ttl: SESSION_TTL } }));
    (await this.caller()).requireLogin();
    const id = freshLeaseId(this.core.applier.leases, this.#options.randomId);
    await this.propose({ leaseGrant: { id, ttl: SESSION_TTL } });
    return id;
  }

  /** Does one thing if a key was created at a revision (0: is not there), else the other if there is one. */
  async transact(
    { key, createRevision }: Stake,
    [success, failure]: [success: Input<RequestOp>, failure?: Input<RequestOp>],
  ): Promise<Transacted> {
    const is = { result: COMPARE_RESULT.equal, target: COMPARE_TARGET.create };
    const txn: Input<TxnRequest> = {
      compare: [{ ...is, key, createRevision: BigInt(createRevision) }],
      success: [success],
      failure: failure ? [failure] : [],
    };
    await this.#options.admit(costOf({ txn }));
    const response = (await this.propose({ txn })).response as TxnResponse;
    const { revision } = response.header ?? this.core.header();
    return { response, header: { ...this.core.header(), revision } };
  }
}

interface Transacted {
  /** With the revision of the transaction. */
  header: ResponseHeader;
  response: TxnResponse;
}

export class Contest {
  /** Keys of all contenders. */
  readonly range: KeyRange & { end: Uint8Array };
  readonly #acting: Acting;
  readonly #feed: KeyFeed;

  constructor(acting: Acting, feed: KeyFeed, name: Uint8Array) {
    const key = Buffer.concat([name, Buffer.from('/')]);
    this.range = { key, end: prefixEnd(key) };
    this.#acting = acting;
    this.#feed = feed;
  }

  /** Puts the key of a lease, unless it is there. */
  async enter(lease: bigint, value: Uint8Array): Promise<Entered> {
    const key = Buffer.concat([this.range.key, Buffer.from(lease.toString(16))]);
    const { header, response } = await this.#acting.transact({ key, createRevision: 0 }, [
      { requestPut: { key, value, lease } },
      { requestRange: { key } },
    ]);
    const bytes = response.responses[0]?.responseRange?.kvs[0];
    const found = bytes && keyValue.decode(bytes);
    return { key, header, found, createRevision: found?.createRevision ?? header.revision };
  }

  /**
   * Whose turn it is. Throws unless the caller may read all contenders. At once: what happens between the look and the
   * wait for what comes next would be missed.
   */
  first(caller: Caller): Stored | undefined {
    const [head] = this.#heads(caller);
    return head && this.#acting.core.keys.range({ key: Buffer.from(head.key, 'latin1'), end: undefined })[0];
  }

  /** Waits until all that came before are gone. Throws when the call is over before. */
  async turnOf({ createRevision }: Stake): Promise<void> {
    const { signal } = this.#acting;
    for (;;) {
      const caller = await this.#acting.caller();
      const before = this.#heads(caller).findLast((head) => head.createRevision < createRevision);
      if (!before) return;
      await this.#feed.deletionOf(Buffer.from(before.key, 'latin1'), signal);
    }
  }

  /** The oldest first. */
  #heads(caller: Caller): Head[] {
    const { key, end } = this.range;
    caller.checkRead({ key, rangeEnd: end });
    const byAge = (a: Head, b: Head): number =>
      a.createRevision - b.createRevision || ascending(a.key, b.key);
    return this.#acting.core.keys.heads(this.range).sort(byAge);
  }
}

/** etcd runs these services as a client of itself, and its client's errors lose their status on the way out. */
export function clientError(error: unknown): RpcError {
  const told = rpcErrorOf(error);
  const isEtcds = told.message.startsWith('etcdserver: ') && told.status !== STATUS.cancelled;
  return isEtcds ? new RpcError(STATUS.unknown, told.message, error) : told;
}
