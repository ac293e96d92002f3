/**
 * Puts, deletions and transactions as etcd applies them: everything is decided on the state before the first change.
 * etcd v3.6 server/etcdserver/txn.
 */
import { compareBytes } from '../../bytes/order.ts';
import type {
  DeleteRangeResponse,
  PutResponse,
  ResponseHeader,
  ResponseOp,
  TxnResponse,
} from '../../format/proto/kvpb.ts';
import {
  COMPARE_RESULT,
  COMPARE_TARGET,
  type Compare,
  type DeleteRangeRequest,
  type PutRequest,
  type RequestOp,
  type TxnRequest,
} from '../../format/proto/rpcpb.ts';
import type { KeyChange } from '../mvcc/key-change.ts';
import { valueOf } from '../mvcc/key-value.ts';
import { type Head, type KeyValues, rangeOf, type Stored } from '../mvcc/key-values.ts';
import type { Leases } from './leases.ts';
import { answerRange } from './range.ts';
import { rejected } from './rejected.ts';

const NO_KEY: Head = { key: '', createRevision: 0, modRevision: 0, version: 0, lease: 0n };

/** What a request needs of the state. */
export interface KeySpace {
  keys: KeyValues;
  leases: Leases;
}

/** Of the answers within an answer, etcd fills in nothing but the revision. */
const headerAt = (revision: number): ResponseHeader => ({
  clusterId: 0n,
  memberId: 0n,
  revision,
  raftTerm: 0,
});
const NOTHING = new Uint8Array();

export function applyPut(space: KeySpace, request: PutRequest): PutResponse {
  checkLease(space, request);
  checkKey(space, request);
  return changed(space, (change) => put(space, change, request));
}

export function applyDelete(space: KeySpace, request: DeleteRangeRequest): DeleteRangeResponse {
  return changed(space, (change) => remove(space, change, request));
}

/** All operations are one revision; each sees what those before it did. */
export function applyTxn(space: KeySpace, request: TxnRequest): TxnResponse {
  const chosen = choose(space, request);
  check(space, chosen);
  return changed(space, (change) => ({ ...run(space, change, chosen), header: headerAt(change.revision) }));
}

function changed<R>({ keys }: KeySpace, run: (change: KeyChange) => R): R {
  let result: R | undefined;
  keys.change((change) => void (result = run(change)));
  return result!;
}

/** The branch that will be done, and those within it. */
interface Chosen {
  isSuccess: boolean;
  ops: Array<{ op: RequestOp; within: Chosen | undefined }>;
}

function choose(space: KeySpace, { compare, success, failure }: TxnRequest): Chosen {
  const isSuccess = compare.every((one) => holds(space, one));
  const ops = isSuccess ? success : failure;
  return {
    isSuccess,
    ops: ops.map((op) => ({ op, within: op.requestTxn && choose(space, op.requestTxn) })),
  };
}

function check(space: KeySpace, { ops }: Chosen): void {
  for (const { op, within } of ops) {
    if (within) check(space, within);
    else if (op.requestPut) {
      checkKey(space, op.requestPut);
      checkLease(space, op.requestPut);
    } else if (op.requestRange && op.requestRange.revision !== 0n)
      space.keys.assertHeld(Number(op.requestRange.revision));
  }
}

function run(space: KeySpace, change: KeyChange, { isSuccess, ops }: Chosen): TxnResponse {
  const responses = ops.map(({ op, within }): ResponseOp => {
    if (within) return { responseTxn: { ...run(space, change, within), header: headerAt(0) } };
    if (op.requestPut) return { responsePut: put(space, change, op.requestPut) };
    if (op.requestDeleteRange) return { responseDeleteRange: remove(space, change, op.requestDeleteRange) };
    if (!op.requestRange) return {};
    const range = answerRange(space.keys, op.requestRange);
    return { responseRange: { ...range, header: headerAt(change.revision) } };
  });
  return { succeeded: isSuccess, responses };
}

function holds({ keys }: KeySpace, compare: Compare): boolean {
  const range = rangeOf(compare.key, compare.rangeEnd);
  if (compare.target === COMPARE_TARGET.value) {
    const found = keys.range(range);
    return found.length > 0 && found.every((stored) => agreesInValue(compare, stored));
  }
  const found = keys.heads(range);
  return found.length === 0 ? agrees(compare, NO_KEY) : found.every((head) => agrees(compare, head));
}

const orderOf = (a: bigint | number, b: bigint): number => {
  const left = BigInt(a);
  return left < b ? -1 : Number(left > b);
};

const TARGETS: Record<number, (compare: Compare, head: Head) => number> = {
  [COMPARE_TARGET.version]: ({ version = 0n }, head) => orderOf(head.version, version),
  [COMPARE_TARGET.create]: ({ createRevision = 0n }, head) => orderOf(head.createRevision, createRevision),
  [COMPARE_TARGET.mod]: ({ modRevision = 0n }, head) => orderOf(head.modRevision, modRevision),
  [COMPARE_TARGET.lease]: ({ lease = 0n }, head) => orderOf(head.lease, lease),
};

const RESULTS: Record<number, (order: number) => boolean> = {
  [COMPARE_RESULT.equal]: (order) => order === 0,
  [COMPARE_RESULT.notEqual]: (order) => order !== 0,
  [COMPARE_RESULT.greater]: (order) => order > 0,
  [COMPARE_RESULT.less]: (order) => order < 0,
};

/** Of a target or a result that it does not know, etcd takes the two for equal, and the comparison for true. */
function agrees(compare: Compare, head: Head): boolean {
  return hasResult(compare, TARGETS[compare.target]?.(compare, head) ?? 0);
}

/** Where there is no key, nothing agrees: no value is not the empty one. */
function agreesInValue(compare: Compare, { bytes }: Stored): boolean {
  return hasResult(compare, compareBytes(valueOf(bytes), compare.value ?? NOTHING));
}

function hasResult({ result }: Compare, order: number): boolean {
  return RESULTS[result]?.(order) ?? true;
}

function checkLease({ leases }: KeySpace, { lease }: PutRequest): void {
  if (lease !== 0n && !leases.has(lease)) throw rejected('requested lease not found');
}

function checkKey({ keys }: KeySpace, { key, ignoreValue, ignoreLease }: PutRequest): void {
  if ((ignoreValue || ignoreLease) && !keys.has(key)) throw rejected('etcdserver: key not found');
}

function put({ keys }: KeySpace, change: KeyChange, request: PutRequest): PutResponse {
  const { key, ignoreValue, ignoreLease, prevKv } = request;
  const isRead = ignoreValue || ignoreLease || prevKv;
  const before = isRead ? keys.range({ key, end: undefined })[0] : undefined;
  const value = ignoreValue && before ? valueOf(before.bytes) : request.value;
  change.put(key, value, ignoreLease && before ? before.lease : request.lease);
  return { header: headerAt(change.revision), prevKv: prevKv && before ? before.bytes : NOTHING };
}

function remove({ keys }: KeySpace, change: KeyChange, request: DeleteRangeRequest): DeleteRangeResponse {
  const range = rangeOf(request.key, request.rangeEnd);
  const prevKvs = request.prevKv ? keys.range(range).map(({ bytes }) => bytes) : [];
  const deleted = change.delete(range);
  return { header: headerAt(change.revision), deleted, prevKvs };
}
