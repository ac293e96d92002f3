/** What the KV service refuses before anything is read or written. etcd v3.6 server/etcdserver/api/v3rpc/key.go. */
import { latin1 } from '../../bytes/order.ts';
import {
  type DeleteRangeRequest,
  type PutRequest,
  type RangeRequest,
  type RequestOp,
  SORT_ORDER,
  SORT_TARGET,
  type TxnRequest,
} from '../../format/proto/rpcpb.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';

const refused = (text: string): RpcError => new RpcError(STATUS.invalidArgument, `etcdserver: ${text}`);

function assertKey(key: Uint8Array): void {
  if (key.length === 0) throw refused('key is not provided');
}

const ORDERS: readonly number[] = Object.values(SORT_ORDER);
const TARGETS: readonly number[] = Object.values(SORT_TARGET);

export function checkRange({ key, sortOrder, sortTarget }: RangeRequest): void {
  assertKey(key);
  if (!ORDERS.includes(sortOrder) || !TARGETS.includes(sortTarget)) throw refused('invalid sort option');
}

export function checkPut({ key, value, lease, ignoreValue, ignoreLease }: PutRequest): void {
  assertKey(key);
  if (ignoreValue && value.length > 0) throw refused('value is provided');
  if (ignoreLease && lease !== 0n) throw refused('lease is provided');
}

export function checkDelete({ key }: DeleteRangeRequest): void {
  assertKey(key);
}

/** `operationsMax` is what may stand in one list; each level leaves less to the next. */
export function checkTxn(request: TxnRequest, operationsMax: number): void {
  checkOperations(request, operationsMax);
  written(request.success);
  written(request.failure);
}

function checkOperations({ compare, success, failure }: TxnRequest, operationsMax: number): void {
  const count = Math.max(compare.length, success.length, failure.length);
  if (count > operationsMax) throw refused('too many operations in txn request');
  for (const { key } of compare) assertKey(key);
  for (const op of [...success, ...failure]) checkOperation(op, operationsMax - count);
}

function checkOperation(op: RequestOp, operationsMax: number): void {
  if (op.requestRange) checkRange(op.requestRange);
  else if (op.requestPut) checkPut(op.requestPut);
  else if (op.requestDeleteRange) checkDelete(op.requestDeleteRange);
  else if (op.requestTxn) checkOperations(op.requestTxn, operationsMax);
  else throw refused('key not found');
}

/** What a branch may write, with the branches inside it. Keys are `latin1`. */
interface Written {
  puts: Set<string>;
  deletes: { from: string; to: string | undefined }[];
}

/** Throws when one key might be put twice, or put and deleted, in one run through `ops`. */
function written(ops: readonly RequestOp[]): Written {
  const all: Written = { puts: new Set(), deletes: [] };
  for (const { requestDeleteRange: request } of ops) {
    if (!request) continue;
    // A range to the end of all keys is not seen here, nor is it by etcd.
    const to = request.rangeEnd.length > 0 ? latin1(request.rangeEnd) : undefined;
    all.deletes.push({ from: latin1(request.key), to });
  }
  const put = (key: string, isExclusive = false): void => {
    const isDeleted = all.deletes.some(({ from, to }) =>
      to === undefined ? key === from : key >= from && key < to,
    );
    if (isDeleted || (all.puts.has(key) && !isExclusive)) throw refused('duplicate key given in txn request');
  };
  for (const { requestTxn } of ops) {
    if (!requestTxn) continue;
    const [success, failure] = [written(requestTxn.success), written(requestTxn.failure)];
    for (const key of success.puts) put(key);
    for (const key of success.puts) all.puts.add(key);
    // Only one of the two branches is done.
    for (const key of failure.puts) put(key, success.puts.has(key));
    for (const key of failure.puts) all.puts.add(key);
    all.deletes.push(...success.deletes, ...failure.deletes);
  }
  for (const { requestPut } of ops) {
    if (!requestPut) continue;
    const key = latin1(requestPut.key);
    put(key);
    all.puts.add(key);
  }
  return all;
}
