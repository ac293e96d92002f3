/** gRPC's own health service, as load balancers and probes ask it. https://github.com/grpc/grpc/blob/master/doc/health-checking.md */
import {
  healthCheckRequest,
  healthCheckResponse,
  SERVING_STATUS,
} from '../../format/proto/concurrency-services.ts';
import type { Methods, Stream } from '../../rpc/seam.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import { Waker } from './waker.ts';
import { sendWaiting, serverStream, unary } from './method.ts';

type ServingStatus = (typeof SERVING_STATUS)[keyof typeof SERVING_STATUS];

/** Whether the server takes requests; whoever watches is told of each change. */
export class Health {
  #isServing = true;
  readonly #listeners = new Set<() => void>();

  get isServing(): boolean {
    return this.#isServing;
  }

  set isServing(isServing: boolean) {
    this.#isServing = isServing;
    for (const wake of this.#listeners) wake();
  }

  /** Calls `wake` after each change, until what it gives is called. */
  listen(wake: () => void): () => void {
    this.#listeners.add(wake);
    return () => void this.#listeners.delete(wake);
  }
}

/** The empty name stands for the whole server, and no other is known, as in etcd. */
export function healthService(health: Health): Methods {
  const statusOf = (service: string): ServingStatus | undefined => {
    if (service !== '') return undefined;
    return health.isServing ? SERVING_STATUS.serving : SERVING_STATUS.notServing;
  };
  return {
    unary: {
      '/grpc.health.v1.Health/Check': unary(healthCheckRequest, healthCheckResponse, ({ service }) => {
        const status = statusOf(service);
        if (status === undefined) throw new RpcError(STATUS.notFound, 'unknown service');
        return { status };
      }),
    },
    stream: {
      '/grpc.health.v1.Health/Watch': serverStream(healthCheckRequest, ({ service }, call) =>
        watch(health, () => statusOf(service) ?? SERVING_STATUS.serviceUnknown, call),
      ),
    },
  };
}

/** Changes that a slow client did not see are passed over: it is told the last one. */
async function watch(health: Health, status: () => ServingStatus, call: Stream): Promise<void> {
  const waker = new Waker();
  const stop = health.listen(() => waker.wake());
  call.signal.addEventListener('abort', () => waker.wake(), { once: true });
  try {
    for (let last: ServingStatus | undefined; !call.signal.aborted; await waker.wait()) {
      const now = status();
      if (now === last) continue;
      last = now;
      await sendWaiting(call, healthCheckResponse.encode({ status: now }));
    }
  } finally {
    stop();
  }
}
