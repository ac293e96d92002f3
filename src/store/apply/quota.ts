/** What requests may cost in bytes of the database: an estimate that every member makes alike. etcd v3.6 server/storage/quota.go. */
import type { Input } from '../../format/proto/field.ts';
import type { InternalRaftRequest, PutRequest, RequestOp, TxnRequest } from '../../format/proto/rpcpb.ts';

const LEASE_COST = 64;
/** Of a record besides key and value. */
const RECORD_COST = 256;

/** What may need room. */
export type Demand = Pick<Input<InternalRaftRequest>, 'put' | 'txn' | 'leaseGrant'>;

/** 0 for a request that needs no room. */
export function costOf({ put, txn, leaseGrant }: Demand): number {
  if (put) return costOfPut(put);
  if (txn) return costOfTxn(txn);
  return leaseGrant ? LEASE_COST : 0;
}

const costOfPut = ({ key, value }: Input<PutRequest>): number =>
  RECORD_COST + (key?.length ?? 0) + (value?.length ?? 0);

/** That of the dearer branch. */
function costOfTxn({ success = [], failure = [] }: Input<TxnRequest>): number {
  return Math.max(costOfOps(success), costOfOps(failure));
}

function costOfOps(ops: readonly Input<RequestOp>[]): number {
  let cost = 0;
  for (const { requestPut, requestTxn } of ops) {
    if (requestPut) cost += costOfPut(requestPut);
    else if (requestTxn) cost += costOfTxn(requestTxn);
  }
  return cost;
}
