import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { Http1Server } from '../../src/rpc/http1.ts';
import { DEFAULT_LIMITS } from '../../src/rpc/limits.ts';
import { ServerStats } from '../../src/rpc/stats.ts';
import { until } from './server-under-test.ts';

interface Under {
  stats: ServerStats;
  dial(said: string): Socket;
}

async function listen(
  t: TestContext,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  { requestTimeoutMs = 60_000, connectionsMax = 10 } = {},
): Promise<Under> {
  const stats = new ServerStats();
  const http1 = new Http1Server({
    limits: { ...DEFAULT_LIMITS, headerListSizeMax: 2048, requestTimeoutMs },
    stats,
    handler,
    isFull: () => stats.http1 >= connectionsMax,
  });
  http1.server.listen(0, '127.0.0.1');
  await once(http1.server, 'listening');
  t.after(() => {
    http1.server.closeAllConnections();
    http1.server.close();
    http1.end();
  });
  const { port } = http1.server.address() as AddressInfo;
  const dial = (said: string): Socket => {
    const socket = connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.write(said);
    return socket;
  };
  return { stats, dial };
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

test('an answer that nobody takes is given up, one that is taken slowly is not', async (t) => {
  const answer = Buffer.alloc(16 << 20);
  const { stats, dial } = await listen(t, (_, response) => response.end(answer), { requestTimeoutMs: 900 });
  const deaf = dial(GET);
  deaf.pause();
  const pour = await listen(
    t,
    (_, response) => {
      const more = (): void => {
        if (!response.destroyed) response.write(Buffer.alloc(1 << 20), more);
      };
      more();
    },
    { requestTimeoutMs: 900 },
  );
  const slow = pour.dial(GET);
  // So little at a time that something always waits.
  const reading = setInterval(() => slow.resume().once('data', () => slow.pause()), 5);
  t.after(() => clearInterval(reading));
  await until(() => stats.refused.unread_replies === 1, 'it is given up');
  await until(() => stats.http1 === 0, 'and forgotten');
  await new Promise((resolve) => setTimeout(resolve, 1200));
  assert.equal(pour.stats.http1, 1);
});

test('connections over the limit are closed and counted, and so are headers over theirs', async (t) => {
  const { stats, dial } = await listen(t, (_, response) => response.end(), { connectionsMax: 1 });
  const first = dial(GET);
  await once(first, 'data');
  const second = dial(GET);
  await once(second, 'close');
  assert.equal(stats.refused.connections, 1);
  first.write(`GET / HTTP/1.1\r\nX: ${'x'.repeat(4000)}\r\n\r\n`);
  const [answer] = (await once(first, 'data')) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 431 /);
  assert.equal(stats.refused.headers, 1);
  await until(() => stats.http1 === 0, 'it is closed');
});

test('an error within a request whose answer has begun says nothing more', async (t) => {
  const { stats, dial } = await listen(t, (_, response) => void response.write('begun'));
  const socket = dial(`${GET}\0\0\0`);
  let heard = '';
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.toString();
  });
  await once(socket, 'close');
  assert.equal(stats.refused.malformed, 1);
  assert.doesNotMatch(heard, /400/);
});

test('requests that come at once are answered in turn', async (t) => {
  const open: ServerResponse[] = [];
  const { dial } = await listen(t, (_, response) => void open.push(response));
  const socket = dial(GET.repeat(3));
  let heard = '';
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.toString();
  });
  for (let i = 0; i < 3; i++) {
    await until(() => open.length === i + 1, 'its turn');
    open[i]!.end(`answer ${i};`);
  }
  await until(() => heard.includes('answer 2;'), 'all are answered');
  assert.equal(open.length, 3);
});
