/** The v3election service. etcd v3.6 server/etcdserver/api/v3election. */
import * as messages from '../../format/proto/concurrency-services.ts';
import type { Input } from '../../format/proto/field.ts';
import type { ResponseHeader } from '../../format/proto/kvpb.ts';
import type { Value } from '../../format/proto/message.ts';
import type { Methods, Stream } from '../../rpc/seam.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import { clientError, Contest, type ContestOptions, leaseOf, type Stake, transact } from './contest.ts';
import type { Core } from '../core.ts';
import { Waker } from './waker.ts';
import { sendWaiting, serverStream, unary } from './method.ts';

const PATH = '/v3electionpb.Election/';

export function electionService(core: Core, options: ContestOptions): Methods {
  const election = new Election(core, options);
  const {
    campaignRequest,
    campaignResponse,
    proclaimRequest,
    proclaimResponse,
    leaderRequest,
    leaderResponse,
    resignRequest,
    resignResponse,
  } = messages;
  return {
    unary: {
      [`${PATH}Campaign`]: unary(campaignRequest, campaignResponse, (request, { signal }) =>
        asClient(election.campaign(request, signal)),
      ),
      [`${PATH}Proclaim`]: unary(proclaimRequest, proclaimResponse, ({ leader, value }) =>
        asClient(election.proclaim(leader, value)),
      ),
      [`${PATH}Leader`]: unary(leaderRequest, leaderResponse, ({ name }) => election.leader(name)),
      [`${PATH}Resign`]: unary(resignRequest, resignResponse, ({ leader }) =>
        asClient(election.resign(leader)),
      ),
    },
    stream: {
      [`${PATH}Observe`]: serverStream(leaderRequest, ({ name }, call) => election.observe(name, call)),
    },
  };
}

async function asClient<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw clientError(error);
  }
}

type LeaderKey = Value<typeof messages.leaderKey>;
type CampaignRequest = Value<typeof messages.campaignRequest>;
type CampaignAnswer = Input<Value<typeof messages.campaignResponse>>;
type LeaderAnswer = Input<Value<typeof messages.leaderResponse>>;

class Election {
  readonly #core: Core;
  readonly #options: ContestOptions;

  constructor(core: Core, options: ContestOptions) {
    this.#core = core;
    this.#options = options;
  }

  #contest(name: Uint8Array): Contest {
    return new Contest(this.#core, this.#options.feed, name);
  }

  /** Resolves when it is elected. Whoever stops waiting leaves no key behind. */
  async campaign({ name, lease, value }: CampaignRequest, signal: AbortSignal): Promise<CampaignAnswer> {
    const own = await leaseOf(this.#core, lease, this.#options);
    const contest = this.#contest(name);
    const mine = await contest.enter(own, value);
    try {
      if (mine.found && Buffer.compare(mine.found.value, value) !== 0) await this.#put(mine, own, value);
      await contest.turnOf(mine, signal);
    } catch (error) {
      await this.#delete(mine).catch(() => {});
      throw error;
    }
    const { header, key, createRevision: rev } = mine;
    return { header, leader: { name, key, rev, lease: own } };
  }

  async proclaim(leader: LeaderKey | undefined, value: Uint8Array): Promise<{ header: ResponseHeader }> {
    const { key, rev, lease } = given(leader);
    const own = await leaseOf(this.#core, lease, this.#options);
    return this.#put({ key, createRevision: rev }, own, value);
  }

  async resign(leader: LeaderKey | undefined): Promise<{ header: ResponseHeader }> {
    const { key, rev } = given(leader);
    return this.#delete({ key, createRevision: rev });
  }

  /** Throws when the key is another's by now. */
  async #put(stake: Stake, lease: bigint, value: Uint8Array): Promise<{ header: ResponseHeader }> {
    const put = { requestPut: { key: stake.key, value, lease } };
    const { header, response } = await transact(this.#core, stake, [put]);
    if (!response.succeeded) throw new RpcError(STATUS.unknown, 'election: not leader');
    return { header };
  }

  async #delete(stake: Stake): Promise<{ header: ResponseHeader }> {
    const { header } = await transact(this.#core, stake, [{ requestDeleteRange: { key: stake.key } }]);
    return { header };
  }

  leader(name: Uint8Array): LeaderAnswer {
    const first = this.#contest(name).first();
    if (!first) throw new RpcError(STATUS.unknown, 'election: no leader');
    return { header: this.#core.header(), kv: first.bytes };
  }

  /** Tells who leads, and what leaders say, until the call ends. A client that is slow misses all but the last. */
  async observe(name: Uint8Array, call: Stream): Promise<void> {
    const contest = this.#contest(name);
    const waker = new Waker();
    call.signal.addEventListener('abort', () => waker.wake(), { once: true });
    while (!call.signal.aborted) {
      const first = contest.first();
      if (first) await this.#observeLeader(first, call, waker);
      else await this.#candidate(contest, waker);
    }
  }

  /** Waits until somebody puts a key. */
  async #candidate(contest: Contest, waker: Waker): Promise<void> {
    const stop = this.#options.feed.follow(contest.range, ({ isDelete }) => {
      if (!isDelete) waker.wake();
    });
    await waker.wait();
    stop();
  }

  /** Returns when the leader's key is deleted. */
  async #observeLeader(first: { key: string; bytes: Uint8Array }, call: Stream, waker: Waker): Promise<void> {
    const untold: Input<LeaderAnswer>[] = [{ header: this.#core.header(), kv: first.bytes }];
    let isDeleted = false;
    let isTaken = true;
    const range = { key: Buffer.from(first.key, 'latin1'), end: undefined };
    const stop = this.#options.feed.follow(range, ({ isDelete, bytes }, revision) => {
      isDeleted ||= isDelete;
      if (!isDeleted) {
        if (!isTaken) untold.length = 0;
        untold.push({ header: { ...this.#core.header(), revision }, kv: bytes });
      }
      waker.wake();
    });
    try {
      while (!call.signal.aborted) {
        const answer = untold.shift();
        if (answer) {
          isTaken = false;
          await sendWaiting(call, messages.leaderResponse.encode(answer));
          isTaken = true;
        } else if (isDeleted) return;
        else await waker.wait();
      }
    } finally {
      stop();
    }
  }
}

function given(leader: LeaderKey | undefined): LeaderKey {
  if (!leader) throw new RpcError(STATUS.unknown, '"leader" field must be provided');
  return leader;
}
