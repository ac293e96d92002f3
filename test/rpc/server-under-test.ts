/** A server with methods that show what a transport does, on a free port. */
import assert from 'node:assert/strict';
import { Channel, type ChannelOptions } from '../../src/client/channel.ts';
import { type RpcServer, type ServerOptions, startServer } from '../../src/rpc/http2-server.ts';
import type { Call, Methods } from '../../src/rpc/seam.ts';
import { RpcError, STATUS } from '../../src/rpc/status.ts';

export const text = (words: string): Uint8Array => Buffer.from(words);
export const words = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();

/** What a method saw of its call. */
export interface Seen {
  calls: Call[];
  aborted: unknown[];
}

export interface UnderTest {
  server: RpcServer;
  seen: Seen;
  endpoint: string;
  port: number;
  connect(options?: ChannelOptions): Promise<Channel>;
  /** Closes the channels and the server. */
  end(): Promise<void>;
}

/** Waits for the abort of a call, and notes its reason. */
function untilAborted(call: Call, seen: Seen): Promise<never> {
  const { signal } = call;
  return new Promise((_, reject) => {
    const end = (): void => {
      seen.aborted.push(signal.reason);
      reject(signal.reason as Error);
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}

function methods(seen: Seen): Methods {
  const note = (call: Call): void => {
    seen.calls.push(call);
  };
  return {
    unary: {
      '/test.Calls/Echo': (request) => request,
      '/test.Calls/Later': async (request, call) => {
        note(call);
        await new Promise((resolve) => {
          setTimeout(resolve, 5);
        });
        return request;
      },
      '/test.Calls/Wait': (_, call) => {
        note(call);
        return untilAborted(call, seen);
      },
      '/test.Calls/Metadata': (_, call) => text(JSON.stringify([...call.metadata])),
      '/test.Calls/Fail': (request) => {
        throw new RpcError(STATUS.notFound, `etcdserver: ${words(request)}`);
      },
      '/test.Calls/Break': () => {
        throw new TypeError('a slip');
      },
      '/test.Calls/Size': (request) => text(String(request.length)),
      '/test.Calls/Zeros': (request) => new Uint8Array(Number(words(request))),
    },
    stream: {
      '/test.Streams/Echo': async (stream) => {
        for (let message; (message = await stream.receive());) {
          if (!stream.send(message)) await stream.drained();
        }
      },
      '/test.Streams/Count': async (stream) => {
        const count = Number(words(await stream.receive()));
        for (let index = 0; index < count; index++) {
          if (!stream.send(text(String(index)))) await stream.drained();
        }
      },
      '/test.Streams/Fail': async (stream) => {
        const status = Number(words(await stream.receive()));
        if (status > 100) stream.send(text('before it'));
        throw new RpcError((status % 100) as 5, 'of no use: 100 % – gone');
      },
      '/test.Streams/Wait': (stream) => {
        note(stream);
        return untilAborted(stream, seen);
      },
      '/test.Streams/Ignore': async (stream) => {
        note(stream);
        await untilAborted(stream, seen);
      },
    },
  };
}

export async function serverUnderTest(options: Partial<ServerOptions> = {}): Promise<UnderTest> {
  const seen: Seen = { calls: [], aborted: [] };
  const server = await startServer({
    listen: { host: '127.0.0.1', port: 0 },
    http1: (request, response) => response.end(`http/1.1 ${request.url}`),
    ...options,
    methods: [methods(seen), ...(options.methods ?? [])],
  });
  const channels: Channel[] = [];
  const port = server.ports[0]!;
  const endpoint = `http://127.0.0.1:${port}`;
  return {
    server,
    seen,
    endpoint,
    port,
    connect: async (options) => {
      const channel = await Channel.connect(endpoint, options);
      channels.push(channel);
      return channel;
    },
    end: async () => {
      await Promise.all(channels.map((channel) => channel.close()));
      await server.close({ graceMs: 0 });
    },
  };
}

/** Waits until something is so, for 5 s at most. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `${what} within 5 s`);
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}
