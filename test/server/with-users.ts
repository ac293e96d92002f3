/** All services over a core in memory, in which there are users. */
import type { Input, Message } from '../../src/format/proto/field.ts';
import type { Version } from '../../src/store/schema/buckets.ts';
import type { Methods } from '../../src/rpc/seam.ts';
import { SimpleTokens } from '../../src/server/auth/simple-tokens.ts';
import { Stats } from '../../src/server/monitor/stats.ts';
import { makeServices, type Services } from '../../src/server/services.ts';
import { addRole, addUser, ENABLE, giveRole, permit } from '../store/apply/accounts.ts';
import type { Request } from '../store/apply/state-machine.ts';
import { ask, FakeCall } from './fake-call.ts';
import { FakeClock } from './fake-clock.ts';
import { MemoryCore, type MemoryCoreOptions } from './memory-core.ts';

const [READ, WRITE] = [0, 1];
/** User u reads a to c and writes w; root is root; nobody has any right. */
const USERS: readonly Request[] = [
  addUser('u'),
  addUser('nobody'),
  addRole('r'),
  giveRole('u', 'r'),
  permit('r', READ, 'a', 'c'),
  permit('r', WRITE, 'w'),
  ...ENABLE,
];

interface WithUsersOptions {
  emulated?: Version;
  core?: MemoryCoreOptions;
  isNamedByCertificate?: boolean;
  isSkipped?: boolean;
  /** Of what is asked before there are users. */
  before?: readonly Request[];
}

export class WithUsers {
  readonly clock = new FakeClock();
  readonly tokens = new SimpleTokens({ ttlMs: 300_000, clock: this.clock });
  /** What became of passwords: `hash` and `matches`. */
  readonly looked: string[] = [];
  readonly stats = new Stats();
  readonly core: MemoryCore;
  readonly services: Services;
  readonly methods: Methods;
  /** Runs while a password is looked at. */
  meanwhile: () => Promise<unknown> = async () => {};

  private constructor(core: MemoryCore, options: WithUsersOptions) {
    this.core = core;
    this.services = makeServices(core, {
      emulated: options.emulated ?? '3.6',
      version: '3.6.16',
      quotaBytes: -1,
      txnOperationsMax: 128,
      requestSizeMax: 1 << 20,
      progressNotifyMs: 1000,
      electionMs: 1000,
      isLeaseCheckpointed: false,
      stats: this.stats,
      auth: {
        tokens: this.tokens,
        passwords: {
          hash: async (password) => {
            this.looked.push('hash');
            return `hash of ${password}`;
          },
          matches: async (password, hash) => {
            this.looked.push('matches');
            await this.meanwhile();
            return Buffer.from(hash).toString() === password;
          },
        },
        bcryptCost: 4,
        isNamedByCertificate: options.isNamedByCertificate ?? false,
        isSkipped: options.isSkipped ?? false,
      },
    });
    this.methods = {
      unary: Object.assign({}, ...this.services.methods.map(({ unary }) => unary)),
      stream: Object.assign({}, ...this.services.methods.map(({ stream }) => stream)),
    };
  }

  static async make(options: WithUsersOptions = {}): Promise<WithUsers> {
    const core = new MemoryCore(options.core);
    for (const request of [...(options.before ?? []), ...USERS]) await core.propose(request);
    core.proposals.length = 0;
    return new WithUsers(core, options);
  }

  /** A token as of a login. */
  token(username: string): string {
    const { revision } = this.core.applier.users;
    return this.tokens.assign(username, this.tokens.prefix(), { index: ++this.core.appliedIndex, revision });
  }

  /** A call of a user, or of nobody. */
  callOf(username: string | undefined): FakeCall {
    return this.callWith(username === undefined ? undefined : this.token(username));
  }

  callWith(token: string | undefined): FakeCall {
    return new FakeCall('', token === undefined ? {} : { metadata: { token } });
  }

  ask<Q, A>(
    path: string,
    [request, value]: [Message<Q>, Input<Q>],
    response: Message<A>,
    call: FakeCall,
  ): Promise<A> {
    return ask(this.methods, path, [request, value], response, call);
  }
}
