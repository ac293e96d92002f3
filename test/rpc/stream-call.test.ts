/** Flow control both ways: whoever is not read has to wait, and memory stays bounded meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Stream } from '../../src/rpc/seam.ts';
import { serverUnderTest, text, until, words } from './server-under-test.ts';

test('holds a sender back whose client does not read', async (t) => {
  let sent = 0;
  const under = await serverUnderTest({
    methods: [
      {
        stream: {
          '/test.Flow/Pour': async (stream) => {
            const piece = new Uint8Array(32 * 1024);
            while (sent < 200 && !stream.signal.aborted) {
              sent++;
              if (!stream.send(piece)) await stream.drained();
              assert.ok(stream.queuedBytes <= 64 * 1024);
            }
          },
        },
      },
    ],
  });
  t.after(() => under.end());
  const channel = await under.connect();
  const stream = channel.stream('/test.Flow/Pour');
  await until(() => sent > 30, 'the first pieces are sent');
  await new Promise((resolve) => {
    setTimeout(resolve, 200);
  });
  // A window of 1 MiB, what is queued, and what the client had read before it paused.
  assert.ok(sent < 60, `${sent} pieces were sent to nobody`);
  let received = 0;
  for await (const piece of stream) received += piece.length;
  assert.equal(received, 200 * 32 * 1024);
});

test('holds a client back whose messages are not received', async (t) => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let total = 0;
  const under = await serverUnderTest({
    methods: [
      {
        stream: {
          '/test.Flow/Drink': async (stream) => {
            await held;
            for (let message; (message = await stream.receive());) total += message.length;
            stream.send(text(String(total)));
          },
        },
      },
    ],
  });
  t.after(() => under.end());
  const channel = await under.connect();
  const stream = channel.stream('/test.Flow/Drink');
  let sent = 0;
  const pouring = (async () => {
    const piece = new Uint8Array(16 * 1024);
    for (; sent < 400; sent++) if (!stream.send(piece)) await stream.drained();
    stream.end();
  })();
  await until(() => sent > 60, 'a window is sent');
  await new Promise((resolve) => {
    setTimeout(resolve, 200);
  });
  assert.ok(sent < 90, `${sent} pieces were taken by nobody`);
  release();
  await pouring;
  assert.equal(words(await stream.receive()), String(400 * 16 * 1024));
  assert.equal(await stream.receive(), undefined);
});

test('takes back the window of bodies that nobody reads', async (t) => {
  const under = await serverUnderTest();
  t.after(() => under.end());
  const channel = await under.connect();
  // In all more than the window of the connection.
  for (let call = 0; call < 60; call++)
    await assert.rejects(channel.unary('/no.Service/No', new Uint8Array(500_000)), /unknown service/);
  assert.equal(words(await channel.unary('/test.Calls/Size', new Uint8Array(1_000_000))), '1000000');
});

test('a call that waits, and whose client takes nothing, is reset when its server closes', async (t) => {
  const path = '/test.Streams/Flood';
  let sentBytes = 0;
  const flood = async (stream: Stream): Promise<void> => {
    while (!stream.signal.aborted) {
      sentBytes += 65_536;
      if (!stream.send(new Uint8Array(65_536))) await stream.drained();
    }
  };
  const under = await serverUnderTest({ waiting: [path], methods: [{ stream: { [path]: flood } }] });
  t.after(() => under.end());
  const channel = await under.connect();
  const stream = channel.stream(path);
  await until(() => sentBytes > 512 * 1024, 'it is stalled');
  const began = performance.now();
  await under.server.close({ graceMs: 60_000 });
  assert.ok(performance.now() - began < 4000, `${performance.now() - began} ms`);
  stream.cancel();
});
