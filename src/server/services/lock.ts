/** The v3lock service. etcd v3.6 server/etcdserver/api/v3lock. */
import {
  lockRequest,
  lockResponse,
  unlockRequest,
  unlockResponse,
} from '../../format/proto/concurrency-services.ts';
import type { ResponseHeader } from '../../format/proto/kvpb.ts';
import type { Methods } from '../../rpc/seam.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import { Acting, clientError, Contest, type ContestOptions, type Entered } from './contest.ts';
import type { Core } from '../core.ts';
import { etcdError } from '../rpc-errors.ts';
import { unary } from './method.ts';

const NOTHING = new Uint8Array();

export function lockService(core: Core, options: ContestOptions): Methods {
  const lock = async (
    request: { name: Uint8Array; lease: bigint },
    acting: Acting,
  ): Promise<{ header: ResponseHeader; key: Uint8Array }> => {
    const lease = await acting.lease(request.lease);
    const contest = new Contest(acting, options.feed, request.name);
    // In one transaction with what follows, etcd asks whose turn it is.
    (await acting.caller()).checkRead({ key: contest.range.key, rangeEnd: contest.range.end });
    const mine = await contest.enter(lease, NOTHING);
    const header = await waitAsOwner(acting, contest, mine);
    return { header, key: mine.key };
  };

  return {
    unary: {
      '/v3lockpb.Lock/Lock': unary(lockRequest, lockResponse, (request, call) =>
        lock(request, new Acting(core, options, call)).catch((error: unknown) => {
          throw clientError(error);
        }),
      ),
      '/v3lockpb.Lock/Unlock': unary(unlockRequest, unlockResponse, async ({ key }, call) => {
        if (key.length === 0) throw clientError(etcdError('etcdserver: key is not provided'));
        await new Acting(core, options, call).propose({ deleteRange: { key } }).catch((error: unknown) => {
          throw clientError(error);
        });
        return { header: core.header() };
      }),
    },
  };
}

/** Gives the header of the moment from which the lock is held. Whoever stops waiting leaves no key behind. */
async function waitAsOwner(acting: Acting, contest: Contest, mine: Entered): Promise<ResponseHeader> {
  const { core } = acting;
  if (contest.first(await acting.caller())?.createRevision === mine.createRevision) return mine.header;
  try {
    await contest.turnOf(mine);
  } catch (error) {
    await acting.propose({ deleteRange: { key: mine.key } }).catch(() => {});
    throw error;
  }
  // The lease may have run out while it waited.
  if (!core.keys.has(mine.key)) throw new RpcError(STATUS.unknown, 'mutex: session is expired');
  return core.header();
}
