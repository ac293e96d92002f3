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
import type { Access } from '../auth/access.ts';
import type { Core } from '../core.ts';
import { checkDelete, checkPut, checkRange, checkTxn } from './kv-checks.ts';
import { unary } from './method.ts';

export interface KvOptions {
  access: Access;
  /** Operations in one list of a transaction. */
  txnOperationsMax: number;
  /** Throws NOSPACE when so many bytes exceed the quota, after it has raised the alarm. */
  admit: (bytes: number) => Promise<void> | undefined;
}

const SERVICE = '/etcdserverpb.KV';

export function kvService(core: Core, { access, txnOperationsMax, admit }: KvOptions): Methods {
  return {
    unary: {
      [`${SERVICE}/Range`]: unary(rangeRequest, rangeResponse, (request, call) => {
        checkRange(request);
        return access.as(call, (caller) => {
          caller.checkRead(request);
          const answer = { ...answerRange(core.keys, request), header: core.header() };
          caller.requireCurrent();
          return answer;
        });
      }),

      [`${SERVICE}/Put`]: unary(putRequest, putResponse, async (put, call) => {
        checkPut(put);
        await admit(costOf({ put }));
        const caller = await access.callerOf(call);
        const { response, revision } = await core.propose({ put, header: caller.signature });
        return { ...(response as PutResponse), header: core.header(revision) };
      }),

      [`${SERVICE}/DeleteRange`]: unary(
        deleteRangeRequest,
        deleteRangeResponse,
        async (deleteRange, call) => {
          checkDelete(deleteRange);
          const caller = await access.callerOf(call);
          const { response, revision } = await core.propose({ deleteRange, header: caller.signature });
          return { ...(response as DeleteRangeResponse), header: core.header(revision) };
        },
      ),

      [`${SERVICE}/Txn`]: unary(txnRequest, txnResponse, async (txn, call) => {
        checkTxn(txn, txnOperationsMax);
        const caller = await access.callerOf(call);
        if (isReadOnly(txn)) {
          caller.check('txn', { txn });
          const answer = { ...applyTxn(core.applier, txn), header: core.header() };
          caller.requireCurrent();
          return answer;
        }
        await admit(costOf({ txn }));
        const { response, revision } = await core.propose({ txn, header: caller.signature });
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
