/** Users of a server under attack, and logins of all kinds, with what each ends with. */
import assert from 'node:assert/strict';
import type { Channel } from '../../src/client/channel.ts';
import * as requests from '../../src/format/proto/auth-requests.ts';
import { authenticateRequest, authenticateResponse } from '../../src/format/proto/auth-service.ts';
import { RpcError } from '../../src/rpc/status.ts';
import type { Attacked } from './under-attack.ts';

export const PASSWORD = 'a good password';

export const FAILED = 'etcdserver: authentication failed, invalid user ID or password';
export const TOO_MANY = 'etcdserver: too many requests';
export const INVALID_TOKEN = 'etcdserver: invalid auth token';

const auth = (channel: Channel, method: string, message: Uint8Array): Promise<Uint8Array> =>
  channel.unary(`/etcdserverpb.Auth/${method}`, message, { timeoutMs: 60_000 });

interface LoginOptions {
  password?: string;
  signal?: AbortSignal;
}

/** The token. */
export async function logIn(
  channel: Channel,
  name: string,
  { password = PASSWORD, signal }: LoginOptions = {},
): Promise<string> {
  const options = { timeoutMs: 60_000, signal };
  const request = authenticateRequest.encode({ name, password });
  const answer = await channel.unary('/etcdserverpb.Auth/Authenticate', request, options);
  return authenticateResponse.decode(answer).token;
}

export async function addUser(channel: Channel, name: string, password = PASSWORD): Promise<void> {
  await auth(channel, 'UserAdd', requests.authUserAddRequest.encode({ name, password }));
}

/**
 * Turns authentication on, with `root`, who may do everything, and the users that are named, who may do nothing. Who
 * goes on being answered is root from now on.
 */
export async function withUsers(server: Attacked, names: readonly string[] = []): Promise<Channel> {
  const anybody = await server.connect();
  for (const name of ['root', ...names]) await addUser(anybody, name);
  await auth(anybody, 'RoleAdd', requests.authRoleAddRequest.encode({ name: 'root' }));
  const grant = requests.authUserGrantRoleRequest.encode({ user: 'root', role: 'root' });
  await auth(anybody, 'UserGrantRole', grant);
  await auth(anybody, 'AuthEnable', requests.authEnableRequest.encode({}));
  const root = await server.connect({ metadata: { token: await logIn(anybody, 'root') } });
  server.setOther(root);
  return root;
}

/** How often each text was what a call ended with; `ok` for those that ended well. */
export class Outcomes {
  readonly counts = new Map<string, number>();

  async of(call: Promise<unknown>): Promise<void> {
    let text = 'ok';
    try {
      await call;
    } catch (error) {
      text = error instanceof RpcError ? error.message : String(error);
    }
    this.counts.set(text, (this.counts.get(text) ?? 0) + 1);
  }

  count(text: string): number {
    return this.counts.get(text) ?? 0;
  }
}

/** Calls spread over the connections: all at once, or so many at a time. */
export async function storm(
  channels: readonly Channel[],
  count: number,
  call: (channel: Channel, index: number) => Promise<unknown>,
  atATime = count,
): Promise<Outcomes> {
  const outcomes = new Outcomes();
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await outcomes.of(call(channels[i % channels.length]!, i));
  };
  await Promise.all(Array.from({ length: atATime }, lane));
  return outcomes;
}

export function connections(server: Attacked, count: number): Promise<Channel[]> {
  return Promise.all(Array.from({ length: count }, () => server.connect()));
}

export async function metric(server: Attacked, name: string): Promise<number> {
  const value = (await server.metrics()).get(name);
  assert.ok(value !== undefined, name);
  return value;
}

/** Gets in meanwhile, and says how long that took. */
export async function getsIn(server: Attacked, name: string): Promise<number> {
  const began = performance.now();
  const channel = await server.connect();
  const token = await logIn(channel, name);
  await channel.unary('/etcdserverpb.Auth/UserGet', requests.authUserGetRequest.encode({ name }), {
    metadata: { token },
  });
  return Math.round(performance.now() - began);
}
