/**
 * What the KV service answers (etcd v3.6 api/etcdserverpb/rpc.proto); proto3. Keys and values travel as they are
 * stored: an encoded mvccpb.KeyValue is the same bytes on the wire, so it stays encoded where the schema has a message.
 */
import { bool, count, embed, encoded, int64, type Message, oneOf, repeated, uint64 } from './field.ts';
import { message, type Value } from './message.ts';
import { keyValue } from './mvccpb.ts';

/** Opens every response. `revision` is that of the store when it was made. */
export const responseHeader = message('etcdserverpb.ResponseHeader', {
  clusterId: uint64(1),
  memberId: uint64(2),
  revision: count(3),
  raftTerm: count(4),
});
export type ResponseHeader = Value<typeof responseHeader>;

/** `kvs`: encoded mvccpb.KeyValue each. */
export const rangeResponse = message('etcdserverpb.RangeResponse', {
  header: embed(1, responseHeader),
  kvs: repeated(encoded(2, keyValue)),
  more: bool(3),
  count: count(4),
});
export type RangeResponse = Value<typeof rangeResponse>;

/** `prevKv`: an encoded mvccpb.KeyValue; empty when there was none, or it was not asked for. */
export const putResponse = message('etcdserverpb.PutResponse', {
  header: embed(1, responseHeader),
  prevKv: encoded(2, keyValue),
});
export type PutResponse = Value<typeof putResponse>;

/** `prevKvs`: encoded mvccpb.KeyValue each. */
export const deleteRangeResponse = message('etcdserverpb.DeleteRangeResponse', {
  header: embed(1, responseHeader),
  deleted: count(2),
  prevKvs: repeated(encoded(3, keyValue)),
});
export type DeleteRangeResponse = Value<typeof deleteRangeResponse>;

/** The answer to one operation of a transaction: one member is set. */
export interface ResponseOp {
  responseRange?: RangeResponse;
  responsePut?: PutResponse;
  responseDeleteRange?: DeleteRangeResponse;
  responseTxn?: TxnResponse;
}

export interface TxnResponse {
  header?: ResponseHeader;
  /** Whether all comparisons held. */
  succeeded: boolean;
  /** Of the operations that were done, in their order. */
  responses: ResponseOp[];
}

export const responseOp: Message<ResponseOp> = message('etcdserverpb.ResponseOp', {
  responseRange: oneOf('response', embed(1, rangeResponse)),
  responsePut: oneOf('response', embed(2, putResponse)),
  responseDeleteRange: oneOf('response', embed(3, deleteRangeResponse)),
  responseTxn: oneOf(
    'response',
    embed(4, (): Message<TxnResponse> => txnResponse),
  ),
});

export const txnResponse: Message<TxnResponse> = message('etcdserverpb.TxnResponse', {
  header: embed(1, responseHeader),
  succeeded: bool(2),
  responses: repeated(embed(3, responseOp)),
});

export const compactionResponse = message('etcdserverpb.CompactionResponse', {
  header: embed(1, responseHeader),
});

/** `revision` 0 is the newest. */
export const hashKvRequest = message('etcdserverpb.HashKVRequest', { revision: int64(1) });
