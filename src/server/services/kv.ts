/**
 * The KV service. Reads are answered from the state at once: all that is in it is durable, and with one member nobody
 * else can have a newer one. etcd v3.6 server/etcdserver/api/v3rpc/key.go, v3_server.go.
 */
import {
  compactionResponse,
  type DeleteRangeResponse,
  deleteRangeResponse,
  type PutResponse,
  putResponse,
  rangeResponse,
  type TxnResponse,
  txnResponse,
} from '../../format/proto/kvpb.ts';
import {
  compactionRequest,
  deleteRangeRequest,
  putRequest,
  rangeRequest,
  type TxnRequest,
  txnRequest,
} from '../../format/proto/rpcpb.ts';
import type { Methods } from '../../rpc/seam.ts';
import { costOf } from '../../store/apply/quota.ts';
import { answerRange } from '../../store/apply/range.ts';
import { applyTxn } from '../../store/apply/txn.ts';
import type { Core } from '../core.ts';
import { checkDelete, checkPut, checkRange, checkTxn } from './kv-checks.ts';
import { unary } from './method.ts';

export interface KvOptions {
  /** Operations in one list of a transaction. */
  txnOperationsMax: number;
  /** Throws NOSPACE when so many bytes exceed the quota, after it has raised the alarm. */
  admit: (bytes: number) => Promise<void> | undefined;
}

const SERVICE = '/etcdserverpb.KV';

export function kvService(core: Core, { txnOperationsMax, admit }: KvOptions): Methods {
  return {
    unary: {
      [`${SERVICE}/Range`]: unary(rangeRequest, rangeResponse, (request) => {
        checkRange(request);
        return { ...answerRange(core.keys, request), header: core.header() };
      }),

      [`${SERVICE}/Put`]: unary(putRequest, putResponse, async (put) => {
        checkPut(put);
        await admit(costOf({ put }));
        const { response, revision } = await core.propose({ put });
        return { ...(response as PutResponse), header: core.header(revision) };
      }),

      [`${SERVICE}/DeleteRange`]: unary(deleteRangeRequest, deleteRangeResponse, async (deleteRange) => {
        checkDelete(deleteRange);
        const { response, revision } = await core.propose({ deleteRange });
        return { ...(response as DeleteRangeResponse), header: core.header(revision) };
      }),

      [`${SERVICE}/Txn`]: unary(txnRequest, txnResponse, async (txn) => {
        checkTxn(txn, txnOperationsMax);
        if (isReadOnly(txn)) return { ...applyTxn(core.applier, txn), header: core.header() };
        await admit(costOf({ txn }));
        const { response, revision } = await core.propose({ txn });
        return { ...(response as TxnResponse), header: core.header(revision) };
      }),

      [`${SERVICE}/Compact`]: unary(compactionRequest, compactionResponse, async (compaction) => {
        const { revision, compacted } = await core.propose({ compaction });
        if (compaction.physical) await compacted;
        return { header: core.header(revision) };
      }),
    },
  };
}

/** Nested transactions count as writes, whatever is in them. */
function isReadOnly({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].every(({ requestRange }) => requestRange !== undefined);
}
