/** A login to a server, as etcd's clients make it. etcd v3.6 client/v3/client.go. */
import { authenticateRequest, authenticateResponse } from '../format/proto/auth-service.ts';
import { RpcError, STATUS } from '../rpc/status.ts';
import type { Channel } from './channel.ts';

const PATH = '/etcdserverpb.Auth/Authenticate';
const OFF = 'etcdserver: authentication is not enabled';

export interface User {
  name: string;
  password: string;
}

/** What further calls show of themselves: nothing where the server asks nobody. Throws `RpcError`. */
export async function logIn(
  channel: Channel,
  user: User,
  signal?: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  try {
    const answer = await channel.unary(PATH, authenticateRequest.encode(user), { signal });
    return { token: authenticateResponse.decode(answer).token };
  } catch (error) {
    const isOff =
      error instanceof RpcError && error.status === STATUS.failedPrecondition && error.message === OFF;
    if (isOff) return {};
    throw error;
  }
}
