/**
 * How large the database may grow. What would not fit is refused before it is proposed, and an alarm is raised that
 * refuses whatever needs room until an operator clears it. etcd v3.6 server/storage/quota.go.
 */
import type { LeaseGrantRequest, PutRequest, RequestOp, TxnRequest } from '../format/proto/rpcpb.ts';
import { RpcError, STATUS } from '../rpc/status.ts';

/** What a request adds, as etcd reckons it: its bytes and a flat charge. */
const KEY_COST = 256;
const LEASE_COST = 64;

export interface QuotaOptions {
  /** Negative for none. */
  limitBytes: number;
  sizeBytes(): number;
  /** Activates the alarm; once is enough. */
  raiseAlarm(): Promise<void>;
}

/** What may need room. */
export interface Demand {
  put?: PutRequest;
  txn?: TxnRequest;
  leaseGrant?: LeaseGrantRequest;
}

export class Quota {
  readonly #options: QuotaOptions;
  #raising: Promise<void> | undefined;

  constructor(options: QuotaOptions) {
    this.#options = options;
  }

  /** Throws RESOURCE_EXHAUSTED when there is no room, once the alarm stands. */
  async assertRoom(demand: Demand): Promise<void> {
    const { limitBytes, sizeBytes, raiseAlarm } = this.#options;
    const cost = costOf(demand);
    if (limitBytes < 0 || cost === 0 || sizeBytes() + cost < limitBytes) return;
    this.#raising ??= raiseAlarm().finally(() => {
      this.#raising = undefined;
    });
    await this.#raising;
    throw new RpcError(STATUS.resourceExhausted, 'etcdserver: mvcc: database space exceeded');
  }
}

/** Bytes that a request may add. */
export function costOf({ put, txn, leaseGrant }: Demand): number {
  if (put) return costOfPut(put);
  if (txn) return Math.max(costOfPuts(txn.success), costOfPuts(txn.failure));
  return leaseGrant ? LEASE_COST : 0;
}

const costOfPut = ({ key, value }: PutRequest): number => KEY_COST + key.length + value.length;

/** As in etcd, what nested transactions put is not counted. */
function costOfPuts(ops: readonly RequestOp[]): number {
  let cost = 0;
  for (const { requestPut } of ops) if (requestPut) cost += costOfPut(requestPut);
  return cost;
}
