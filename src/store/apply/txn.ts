/**
 * Puts, deletions and transactions as etcd applies them: everything is decided on the state before the first change.
 * etcd v3.6 server/etcdserver/txn.
 */
import { compareBytes } from '../../bytes/order.ts';
import type { KeyValue } from '../../format/proto/mvccpb.ts';
import {
  COMPARE_RESULT,
  COMPARE_TARGET,
  type Compare,
  type DeleteRangeRequest,
  type PutRequest,
  type RangeRequest,
  type RequestOp,
  type TxnRequest,
} from '../../format/proto/rpcpb.ts';
import { type KeyChange, type KeyValues, rangeOf } from '../mvcc/key-values.ts';
import type { Leases } from './leases.ts';
import { rejected } from './rejected.ts';

const NO_KEY: KeyValue = {
  key: new Uint8Array(),
  value: new Uint8Array(),
  createRevision: 0,
  modRevision: 0,
  version: 0,
  lease: 0n,
};

/** What a request needs of the state. */
export interface KeySpace {
  keys: KeyValues;
  leases: Leases;
}

export function applyPut(space: KeySpace, request: PutRequest): void {
  checkPut(space, request);
  space.keys.change((change) => put(space, change, request));
}

export function applyDelete({ keys }: KeySpace, request: DeleteRangeRequest): void {
  keys.change((change) => change.delete(rangeOf(request.key, request.rangeEnd)));
}

export function applyTxn(space: KeySpace, request: TxnRequest): void {
  const ops = chosenOps(space, request);
  for (const op of ops) checkOp(space, op);
  space.keys.change((change) => {
    for (const { requestPut, requestDeleteRange } of ops) {
      if (requestPut) put(space, change, requestPut);
      else if (requestDeleteRange)
        change.delete(rangeOf(requestDeleteRange.key, requestDeleteRange.rangeEnd));
    }
  });
}

/** The operations that will be done, those of nested transactions in their places. */
function chosenOps(space: KeySpace, { compare, success, failure }: TxnRequest): RequestOp[] {
  const ops = compare.every((one) => holds(space, one)) ? success : failure;
  return ops.flatMap((op) => (op.requestTxn ? chosenOps(space, op.requestTxn) : [op]));
}

function holds({ keys }: KeySpace, compare: Compare): boolean {
  const found = keys.range(rangeOf(compare.key, compare.rangeEnd));
  if (found.length > 0) return found.every((pair) => agrees(compare, pair));
  return compare.target !== COMPARE_TARGET.value && agrees(compare, NO_KEY);
}

const orderOf = (a: bigint | number, b: bigint): number => {
  const left = BigInt(a);
  return left < b ? -1 : Number(left > b);
};

const TARGETS: Record<number, (compare: Compare, pair: KeyValue) => number> = {
  [COMPARE_TARGET.version]: ({ version = 0n }, pair) => orderOf(pair.version, version),
  [COMPARE_TARGET.create]: ({ createRevision = 0n }, pair) => orderOf(pair.createRevision, createRevision),
  [COMPARE_TARGET.mod]: ({ modRevision = 0n }, pair) => orderOf(pair.modRevision, modRevision),
  [COMPARE_TARGET.value]: ({ value = new Uint8Array() }, pair) => compareBytes(pair.value, value),
  [COMPARE_TARGET.lease]: ({ lease = 0n }, pair) => orderOf(pair.lease, lease),
};

const RESULTS: Record<number, (order: number) => boolean> = {
  [COMPARE_RESULT.equal]: (order) => order === 0,
  [COMPARE_RESULT.notEqual]: (order) => order !== 0,
  [COMPARE_RESULT.greater]: (order) => order > 0,
  [COMPARE_RESULT.less]: (order) => order < 0,
};

/** Of a target or a result that it does not know, etcd takes the two for equal, and the comparison for true. */
function agrees(compare: Compare, pair: KeyValue): boolean {
  const order = TARGETS[compare.target]?.(compare, pair) ?? 0;
  return RESULTS[compare.result]?.(order) ?? true;
}

function checkOp(space: KeySpace, { requestPut, requestRange }: RequestOp): void {
  if (requestPut) checkPut(space, requestPut);
  else if (requestRange) checkRange(space, requestRange);
}

function checkRange({ keys }: KeySpace, { revision }: RangeRequest): void {
  if (revision !== 0n) keys.assertHeld(Number(revision));
}

function checkPut({ keys, leases }: KeySpace, { key, lease, ignoreValue, ignoreLease }: PutRequest): void {
  if (lease !== 0n && !leases.has(lease)) throw rejected('requested lease not found');
  if ((ignoreValue || ignoreLease) && !keys.has(key)) throw rejected('etcdserver: key not found');
}

function put({ keys }: KeySpace, change: KeyChange, request: PutRequest): void {
  const { key, ignoreValue, ignoreLease } = request;
  const before = ignoreValue || ignoreLease ? keys.range({ key, end: undefined })[0] : undefined;
  const value = ignoreValue && before ? before.value : request.value;
  change.put(key, value, ignoreLease && before ? before.lease : request.lease);
}
