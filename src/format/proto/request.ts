/** Which request a normal log entry holds. */
import { CorruptError, type Where } from '../../errors.ts';
import { type InternalRaftRequest, internalRaftRequest } from './rpcpb.ts';
import { type V2Request, v2Request } from './v2pb.ts';

/** `empty`: the no-op with which a leader begins its term. */
export type Request =
  | { kind: 'empty' }
  | { kind: 'v3'; request: InternalRaftRequest }
  | { kind: 'v2'; request: V2Request };

/** The members of an `InternalRaftRequest` that are requests. */
export type RequestName = Exclude<keyof InternalRaftRequest, 'header' | 'id'>;

const REQUEST_NAMES = Object.keys(internalRaftRequest.fields).filter(
  (name) => name !== 'header' && name !== 'id',
) as RequestName[];

/** First bytes of a message that sets field 1 as a varint, or field 2 as bytes. */
const ID_TAG = 0x08;
const METHOD_TAG = 0x12;

/**
 * The request in the data of a normal entry. There is no mark that tells a bare v2 request from a v3 one:
 * like etcd v3.6 (server/etcdserver/server.go), what does not decode as v3 is taken for v2; the method's name
 * where v3 has a message sees to it. Throws `CorruptError` of the v3 attempt when it is neither.
 */
export function requestOf(data: Uint8Array | undefined, where?: Where): Request {
  if (data === undefined || data.length === 0) return { kind: 'empty' };
  let request: InternalRaftRequest;
  try {
    request = internalRaftRequest.decode(data, where);
  } catch (error) {
    return { kind: 'v2', request: bareV2Request(data, error, where) };
  }
  return request.v2 ? { kind: 'v2', request: request.v2 } : { kind: 'v3', request };
}

function bareV2Request(data: Uint8Array, v3Error: unknown, where?: Where): V2Request {
  let request: V2Request;
  try {
    request = v2Request.decode(data, where);
  } catch (error) {
    throw error instanceof CorruptError ? v3Error : error;
  }
  if (request.method === '') throw v3Error;
  return request;
}

/**
 * Whether the data of a normal entry is a v2 request; false also for what is no request at all. Every etcd
 * writes fields in ascending order, so most entries are told by their first byte.
 */
export function isV2Request(data: Uint8Array | undefined): boolean {
  const first = data?.[0];
  if (first !== ID_TAG && first !== METHOD_TAG) return false;
  try {
    return requestOf(data).kind === 'v2';
  } catch (error) {
    if (error instanceof CorruptError) return false;
    throw error;
  }
}

/** Which request it is, by the name of its field; undefined when this build does not know it. */
export function requestName(request: InternalRaftRequest): RequestName | undefined {
  return REQUEST_NAMES.find((name) => request[name] !== undefined);
}
