/** Bodies for the gateway that are begun and never completed, and that are too long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Attacked, MB, pause, underAttack, until, type Victim } from './under-attack.ts';

const BODY_BYTES = 8 * MB - 1;
const PIECE = Buffer.alloc(256 * 1024, 'A');

const head = (path: string, length = BODY_BYTES): string =>
  `POST /v3/${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;

const heldRequests = async (server: Attacked): Promise<number> =>
  (await server.metrics()).get('etcdkit_queued_bytes{what="requests"}')!;

/** Begins a request, and sends all of its body but the last bytes, as fast as it is taken. */
function begin(server: Attacked, path: string, start: string): Victim {
  const hostile = server.dial(`${head(path)}${start}`);
  let left = BODY_BYTES - start.length - 10;
  const more = (): void => {
    while (left > 0 && !hostile.isClosed) {
      const piece = PIECE.subarray(0, Math.min(left, PIECE.length));
      left -= piece.length;
      if (!hostile.socket.write(piece)) return void hostile.socket.once('drain', more);
    }
  };
  more();
  return hostile;
}

/** A small request over HTTP/1.1 on a connection of its own, to its answer. */
async function putThrough(server: Attacked): Promise<void> {
  const body = '{"key":"Zm9v","value":"YmFy"}';
  const good = server.dial(`${head('kv/put', body.length)}${body}`);
  await until(() => good.heard.includes('"header"'), 'a good client of the gateway is answered', 5000);
  good.socket.destroy();
}

const CONNECTIONS = 100;

test(`${CONNECTIONS} bodies of 8 MiB that are never complete`, { timeout: 120_000 }, async (t) => {
  const server = await underAttack(t, '--max-queued-bytes=67108864');
  let most = 0;
  await server.bears(
    t,
    async () => {
      const hostile = Array.from({ length: CONNECTIONS }, (_, i) =>
        i % 2 === 0
          ? begin(server, 'kv/put', '{"key":"')
          : begin(server, 'watch', '{"create_request":{"key":"'),
      );
      const note = async (): Promise<number> => {
        const held = await heldRequests(server);
        most = Math.max(most, held);
        return held;
      };
      await until(async () => (await note()) >= 64 * MB, 'they are held');
      await putThrough(server);
      assert.ok((await server.metrics()).get('etcdkit_postponed_requests')! > 0, 'further ones wait');
      assert.equal(await server.refused('unfinished_requests'), 0);
      await until(
        async () => {
          await note();
          await putThrough(server);
          await pause(100);
          return (await server.refused('unfinished_requests')) >= 3;
        },
        'those that have held it for long have to go',
        30_000,
      );
      assert.ok(hostile.filter(({ isClosed }) => isClosed).length >= 3);
    },
    { growthMb: 250 },
  );
  t.diagnostic(`${Math.round(most / MB)} MB held at most`);
  // What a connection holds in any case: nearly a harmless body, what was read when it became more, and what was read
  // before the socket was told to wait, 64 KiB each.
  assert.ok(most <= 64 * MB + CONNECTIONS * 3 * 64 * 1024, `${most} bytes`);
  assert.equal(await server.refused('unread_replies'), 0);
});

test('a body that is more than the share of its connection ends it', async (t) => {
  const server = await underAttack(t, '--max-queued-bytes=16777216');
  await server.bears(t, async () => {
    const hostile = begin(server, 'kv/put', '{"key":"');
    await until(() => hostile.isClosed, 'it is closed');
  });
  assert.equal(await server.refused('unfinished_requests'), 1);
  await until(async () => (await heldRequests(server)) === 0, 'nothing is held');
});

test('messages and bodies that are too long are answered, and counted', async (t) => {
  const server = await underAttack(t);
  await server.bears(t, async () => {
    const long = JSON.stringify({ key: 'Zm9v', value: 'A'.repeat(4 * MB) });
    const longer = JSON.stringify({ key: 'Zm9v', value: 'A'.repeat(9 * MB) });
    const create = JSON.stringify({ create_request: { key: 'A'.repeat(4 * MB) } });
    const calls = [
      [long, 'kv/put'],
      [longer, 'kv/put'],
      [create, 'watch'],
    ] as const;
    const asked = calls.map(([body, path]) => server.dial(head(path, body.length), body));
    await until(() => asked.every(({ heard }) => heard.includes('larger than max')), 'all are answered');
  });
  assert.equal(await server.refused('message_size'), 3);
});
