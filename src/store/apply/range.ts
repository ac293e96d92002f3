/** A RangeRequest answered as etcd answers it: filters, order and limit over what is stored. etcd v3.6 server/etcdserver/txn. */
import { compareBytes } from '../../bytes/order.ts';
import type { RangeResponse } from '../../format/proto/kvpb.ts';
import { type RangeRequest, SORT_ORDER, SORT_TARGET } from '../../format/proto/rpcpb.ts';
import { valueOf, withoutValue } from '../mvcc/key-value.ts';
import { type KeyRange, type KeyValues, rangeOf, type Stored } from '../mvcc/key-values.ts';

/** Throws `mvcc.compacted` or `mvcc.future`. The header is the caller's. */
export function answerRange(keys: KeyValues, request: RangeRequest): RangeResponse {
  const range = rangeOf(request.key, request.rangeEnd);
  const revision = request.revision > 0n ? Number(request.revision) : undefined;
  if (request.countOnly) return { kvs: [], more: false, count: keys.count(range, { revision }) };
  const { found, count } = pageOf(keys, range, request, revision);
  const kept = sorted(filtered(found, request), request);
  const limit = request.limit > 0n ? Number(request.limit) : Infinity;
  const given = kept.length > limit ? kept.slice(0, limit) : kept;
  const kvs = given.map(({ bytes }) => (request.keysOnly ? withoutValue(bytes) : bytes));
  return { kvs, more: kept.length > limit, count };
}

/** What has to be looked at: one more than is wanted, unless order or filters decide what is. */
function pageOf(
  keys: KeyValues,
  range: KeyRange,
  request: RangeRequest,
  revision: number | undefined,
): { found: Stored[]; count: number } {
  const isAll = request.limit <= 0n || request.sortOrder !== SORT_ORDER.none || filtersOf(request).length > 0;
  return keys.page(range, { revision, limit: isAll ? undefined : Number(request.limit) + 1 });
}

type Filter = (stored: Stored) => boolean;

function filtersOf(request: RangeRequest): Filter[] {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  const filters: Filter[] = [];
  if (maxModRevision !== 0n) filters.push(({ modRevision }) => modRevision <= maxModRevision);
  if (minModRevision !== 0n) filters.push(({ modRevision }) => modRevision >= minModRevision);
  if (maxCreateRevision !== 0n) filters.push(({ createRevision }) => createRevision <= maxCreateRevision);
  if (minCreateRevision !== 0n) filters.push(({ createRevision }) => createRevision >= minCreateRevision);
  return filters;
}

function filtered(found: Stored[], request: RangeRequest): Stored[] {
  const filters = filtersOf(request);
  return filters.length === 0 ? found : found.filter((stored) => filters.every((filter) => filter(stored)));
}

type Order = (a: Stored, b: Stored) => number;

const ORDERS: Record<number, Order> = {
  [SORT_TARGET.version]: (a, b) => a.version - b.version,
  [SORT_TARGET.create]: (a, b) => a.createRevision - b.createRevision,
  [SORT_TARGET.mod]: (a, b) => a.modRevision - b.modRevision,
};

/** They come in ascending order of their keys; any other target without an order means ascending. */
function sorted(found: Stored[], { sortOrder, sortTarget }: RangeRequest): Stored[] {
  const isDescending = sortOrder === SORT_ORDER.descend;
  if (sortTarget === SORT_TARGET.key) return isDescending ? found.reverse() : found;
  if (sortTarget === SORT_TARGET.value) return sortedByValue(found, isDescending);
  const order = ORDERS[sortTarget];
  if (!order) return found;
  return found.sort(isDescending ? (a, b) => order(b, a) : order);
}

function sortedByValue(found: readonly Stored[], isDescending: boolean): Stored[] {
  const sign = isDescending ? -1 : 1;
  return found
    .map((stored) => ({ stored, value: valueOf(stored.bytes) }))
    .sort((a, b) => sign * compareBytes(a.value, b.value))
    .map(({ stored }) => stored);
}
