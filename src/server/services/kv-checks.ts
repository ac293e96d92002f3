/** What the KV service refuses before anything is read or written. etcd v3.6 server/etcdserver/api/v3rpc/key.go. */
import { ascending, latin1 } from '../../bytes/order.ts';
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
  deletes: DeletedKeys;
}

/** Throws when one key might be put twice, or put and deleted, in one run through `ops`. */
function written(ops: readonly RequestOp[]): Written {
  const all: Written = { puts: new Set(), deletes: new DeletedKeys() };
  all.deletes.add(ops.flatMap(({ requestDeleteRange }) => requestDeleteRange ?? []).map(deletedBy));
  const put = (key: string, isExclusive = false): void => {
    if (all.deletes.has(key) || (all.puts.has(key) && !isExclusive))
      throw refused('duplicate key given in txn request');
  };
  for (const { requestTxn } of ops) {
    if (!requestTxn) continue;
    const [success, failure] = [written(requestTxn.success), written(requestTxn.failure)];
    for (const key of success.puts) put(key);
    for (const key of success.puts) all.puts.add(key);
    // Only one of the two branches is done.
    for (const key of failure.puts) put(key, success.puts.has(key));
    for (const key of failure.puts) all.puts.add(key);
    all.deletes.addAll(success.deletes);
    all.deletes.addAll(failure.deletes);
  }
  for (const { requestPut } of ops) {
    if (!requestPut) continue;
    const key = latin1(requestPut.key);
    put(key);
    all.puts.add(key);
  }
  return all;
}

/** Whatever lies between two keys; the end of one key is its successor. */
interface Deleted {
  from: string;
  to: string;
}

/** A range to the end of all keys is not seen here, nor is it by etcd. */
function deletedBy({ key, rangeEnd }: DeleteRangeRequest): Deleted {
  const from = latin1(key);
  return { from, to: rangeEnd.length > 0 ? latin1(rangeEnd) : `${from}\0` };
}

/**
 * Keys that are deleted, asked for as often as there are puts: runs of ranges that are sorted and do not overlap, each
 * at least twice as long as the next one, so that there are few of them and none is sorted again often.
 */
class DeletedKeys {
  readonly #runs: Deleted[][] = [];

  has(key: string): boolean {
    return this.#runs.some((run) => {
      const range = run[lastUpTo(run, key)];
      return range !== undefined && key < range.to;
    });
  }

  add(ranges: readonly Deleted[]): void {
    if (ranges.length > 0) this.#push(disjoint(ranges));
  }

  addAll(others: DeletedKeys): void {
    for (const run of others.#runs) this.#push(run);
  }

  #push(run: Deleted[]): void {
    let last = run;
    for (
      let before = this.#runs.at(-1);
      before && before.length < 2 * last.length;
      before = this.#runs.at(-1)
    ) {
      this.#runs.pop();
      last = disjoint([...before, ...last]);
    }
    this.#runs.push(last);
  }
}

/** Index of the last range that begins at or before a key, or -1. */
function lastUpTo(run: readonly Deleted[], key: string): number {
  let [low, high] = [0, run.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (run[middle]!.from <= key) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The same keys, in order, without those that a range before has. */
function disjoint(ranges: readonly Deleted[]): Deleted[] {
  const merged: Deleted[] = [];
  for (const range of ranges.toSorted((a, b) => ascending(a.from, b.from))) {
    const last = merged.at(-1);
    if (last === undefined || range.from > last.to) merged.push({ ...range });
    else if (range.to > last.to) last.to = range.to;
  }
  return merged;
}
