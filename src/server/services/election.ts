/** The v3election service. etcd v3.6 server/etcdserver/api/v3election. */
import * as messages from '../../format/proto/concurrency-services.ts';
import type { Input } from '../../format/proto/field.ts';
import type { ResponseHeader } from '../../format/proto/kvpb.ts';
import type { Value } from '../../format/proto/message.ts';
import type { Call, Methods, Stream } from '../../rpc/seam.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import { Acting, clientError, Contest, type ContestOptions, type Stake } from './contest.ts';
import type { Core } from '../core.ts';
import { etcdError } from '../rpc-errors.ts';
import type { KeyFeed } from './key-feed.ts';
import { Waker } from './waker.ts';
import { sendWaiting, serverStream, unary } from './method.ts';

const PATH = '/v3electionpb.Election/';

export function electionService(core: Core, options: ContestOptions): Methods {
  const election = (call: Call): Election => new Election(new Acting(core, options, call), options.feed);
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
      [`${PATH}Campaign`]: unary(campaignRequest, campaignResponse, (request, call) =>
        asClient(election(call).campaign(request)),
      ),
      [`${PATH}Proclaim`]: unary(proclaimRequest, proclaimResponse, ({ leader, value }, call) =>
        asClient(election(call).proclaim(leader, value)),
      ),
      [`${PATH}Leader`]: unary(leaderRequest, leaderResponse, ({ name }, call) =>
        asClient(election(call).leader(name)),
      ),
      [`${PATH}Resign`]: unary(resignRequest, resignResponse, ({ leader }, call) =>
        asClient(election(call).resign(leader)),
      ),
    },
    stream: {
      [`${PATH}Observe`]: serverStream(leaderRequest, ({ name }, call) => election(call).observe(name, call)),
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
  readonly #acting: Acting;
  readonly #core: Core;
  readonly #feed: KeyFeed;

  constructor(acting: Acting, feed: KeyFeed) {
    this.#acting = acting;
    this.#core = acting.core;
    this.#feed = feed;
  }

  #contest(name: Uint8Array): Contest {
    return new Contest(this.#acting, this.#feed, name);
  }

  /** Resolves when it is elected. Whoever stops waiting leaves no key behind. */
  async campaign({ name, lease, value }: CampaignRequest): Promise<CampaignAnswer> {
    const own = await this.#acting.lease(lease);
    const contest = this.#contest(name);
    const mine = await contest.enter(own, value);
    try {
      if (mine.found && Buffer.compare(mine.found.value, value) !== 0) await this.#put(mine, own, value);
      await contest.turnOf(mine);
    } catch (error) {
      await this.#delete(mine).catch(() => {});
      throw error;
    }
    const { header, key, createRevision: rev } = mine;
    return { header, leader: { name, key, rev, lease: own } };
  }

  async proclaim(leader: LeaderKey | undefined, value: Uint8Array): Promise<{ header: ResponseHeader }> {
    const { key, rev, lease } = given(leader);
    const own = await this.#acting.lease(lease);
    return this.#put({ key, createRevision: rev }, own, value);
  }

  async resign(leader: LeaderKey | undefined): Promise<{ header: ResponseHeader }> {
    const { key, rev } = given(leader);
    return this.#delete({ key, createRevision: rev });
  }

  /** Throws when the key is another's by now. */
  async #put(stake: Stake, lease: bigint, value: Uint8Array): Promise<{ header: ResponseHeader }> {
    const put = { requestPut: { key: stake.key, value, lease } };
    const { header, response } = await this.#acting.transact(stake, [put]);
    if (!response.succeeded) throw new RpcError(STATUS.unknown, 'election: not leader');
    return { header };
  }

  async #delete(stake: Stake): Promise<{ header: ResponseHeader }> {
    const { header } = await this.#acting.transact(stake, [{ requestDeleteRange: { key: stake.key } }]);
    return { header };
  }

  async leader(name: Uint8Array): Promise<LeaderAnswer> {
    const first = this.#contest(name).first(await this.#acting.caller());
    if (!first) throw new RpcError(STATUS.unknown, 'election: no leader');
    return { header: this.#core.header(), kv: first.bytes };
  }

  /** Tells who leads, and what leaders say, until the call ends. A client that is slow misses all but the last. */
  async observe(name: Uint8Array, call: Stream): Promise<void> {
    const contest = this.#contest(name);
    const waker = new Waker();
    call.signal.addEventListener('abort', () => waker.wake(), { once: true });
    while (!call.signal.aborted) {
      const first = contest.first(await this.#acting.caller());
      if (first) await this.#observeLeader(first, call, waker);
      else await this.#candidate(contest, waker);
    }
  }

  /** Waits until somebody puts a key. */
  async #candidate(contest: Contest, waker: Waker): Promise<void> {
    const stop = this.#feed.follow(contest.range, ({ isDelete }) => {
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
    const stop = this.#feed.follow(range, ({ isDelete, bytes }, revision) => {
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
  if (leader.key.length === 0) throw etcdError('etcdserver: key is not provided');
  return leader;
}
